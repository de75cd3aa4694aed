"""Panels that several kernels would make of one parameter are made once.

    k1: pack w into p; multiply x, p          w: pack w into q
    k5: pack w into p; multiply y, p     →    k1: multiply x, q
                                              k5: multiply y, q

The steps of an unrolled recurrence multiply by one weight over and over.  Parameters keep their values while a program
runs, so what is made of them alone is as good before the first kernel that needs it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import islice

from tenfold_rt.frozen import frozen
from tenfoldc.loops.alike import form_of
from tenfoldc.loops.ir import Buffer, Kernel, Program, Statement
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import all_expressions, loaded, owners, stored

_MOST_EXPRESSIONS = 200
"""What makes panels is short; longer statements are not compared."""


@frozen
class _Packing:
    """The statements of a kernel that fill `panels`, scratch memory, from `parameter` alone."""

    kernel: int
    panels: Buffer
    parameter: Buffer
    statements: Sequence[Statement]


def with_common_panels(program: Program) -> Program:
    """`program` with the panels of parameters that several kernels make of them in temporaries, made once."""
    alike: dict[Hashable, list[_Packing]] = {}
    for packing in _packings(program):
        key = (packing.panels.shape, packing.panels.dtype, form_of(packing.statements, [packing.panels]))
        alike.setdefault(key, []).append(packing)
    shared = [packings for packings in alike.values() if len(packings) > 1]
    if not shared:
        return program
    first: dict[int, list[Kernel]] = {}
    given: dict[int, dict[Buffer, Buffer]] = {}
    moved: set[Statement] = set()
    temporaries: list[Buffer] = []
    for packing, *others in shared:
        panels = replace(packing.panels, name=f"{packing.parameter.name}_panels")
        temporaries.append(panels)
        body = BufferReplacer({packing.panels: panels}).statements(packing.statements)
        made = Kernel(f"pack_{packing.parameter.name}", body, (), program.kernels[packing.kernel].location)
        first.setdefault(packing.kernel, []).append(made)
        for each in (packing, *others):
            given.setdefault(each.kernel, {})[each.panels] = panels
            moved |= set(each.statements)
    kernels: list[Kernel] = []
    for number, kernel in enumerate(program.kernels):
        kernels += first.get(number, [])
        kernels.append(_on_given(kernel, given[number], moved) if number in given else kernel)
    return replace(program, kernels=tuple(kernels), temporaries=(*program.temporaries, *temporaries))


def _packings(program: Program) -> Iterator[_Packing]:
    """The panels of every kernel that are made of one parameter, by statements of their own."""
    parameters = set(program.parameters)
    for number, kernel in enumerate(program.kernels):
        for panels in kernel.scratch:
            statements = _fill(kernel, panels)
            sources = list(owners(loaded(statements)) - {panels})
            if len(sources) == 1 and parameters.issuperset(sources) and _is_short(statements):
                yield _Packing(number, panels, sources[0], statements)


def _fill(kernel: Kernel, panels: Buffer) -> Sequence[Statement]:
    """The statements that write `panels` and nothing else, where all that read them come later; else none."""
    writers = [statement for statement in kernel.body if panels in owners(stored((statement,)))]
    readers = [statement for statement in kernel.body if panels in owners(loaded((statement,)))]
    only = owners(stored(writers)) == {panels}
    in_order = [*writers, *(statement for statement in readers if statement not in writers)]
    return writers if only and in_order == [s for s in kernel.body if s in in_order] else []


def _is_short(statements: Sequence[Statement]) -> bool:
    return len(list(islice(all_expressions(statements), _MOST_EXPRESSIONS + 1))) <= _MOST_EXPRESSIONS


def _on_given(kernel: Kernel, given: Mapping[Buffer, Buffer], moved: Set[Statement]) -> Kernel:
    """`kernel` on panels that are made before it."""
    kept = [statement for statement in kernel.body if statement not in moved]
    scratch = tuple(buffer for buffer in kernel.scratch if buffer not in given)
    return replace(kernel, body=BufferReplacer(given).statements(kept), scratch=scratch)
