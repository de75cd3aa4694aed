"""Whether one buffer may be written into the memory of another that the same statements read.

This is asked for donated parameters, whose memory a result may take, and for the carry of a loop, whose next value
is best written over the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tenfoldc.loops.ir import Apply, Axis, Buffer, Constant, Expr, For, If, Launch, Load, Program, Statement, Store
from tenfoldc.loops.primitive import Primitive
from tenfoldc.loops.traversal import (
    all_expressions,
    expressions,
    loaded,
    owners,
    roots_of,
    stored,
    touched,
    walk_statements,
)


class DonatedMemory:
    """The memory of a program's buffers, where results take that of the parameters that are donated for them."""

    def __init__(self, program: Program) -> None:
        pairs = [(program.results[result], program.parameters[parameter]) for parameter, result in program.donated]
        self._given = {result.storage: parameter.storage for result, parameter in pairs}

    def owners(self, buffers: Iterable[Buffer]) -> set[Buffer]:
        """The buffers that own the memory of `buffers`: for a result that takes a parameter's, the parameter."""
        return {self._given.get(owner, owner) for owner in owners(buffers)}


def may_share(statements: Sequence[Statement], source: Buffer, target: Buffer) -> bool:
    """Whether `statements` compute the same if `target`, which they fill, has the memory of `source`.

    From the first statement that writes `target` on, `source` may be read only there, each element before, or in the
    same turn of the same loops in which, it is overwritten.
    """
    writer = next((place for place, s in enumerate(statements) if _writes(s, target)), None)
    if writer is None:
        return True
    earlier = _own_loads(statements[: writer + 1])
    for statement in statements[writer + 1 :]:
        if any(load not in earlier for load in _loads((statement,), source)) or _panels_read(statement, source):
            return False
    statement = statements[writer]
    if not _loads((statement,), source) and not _panels_read(statement, source):
        return True
    match statement:
        case Store():
            return True
        case If():
            branches = (statement.then, statement.otherwise)
            return all(may_share(branch, source, target) for branch in branches)
        case For():
            carried = expressions(carry.next for carry in statement.carries)
            if any(isinstance(e, Load) and e.buffer.storage is source.storage for e in carried):
                return False
            apart = _turns_are_apart(statement, source, target) or _is_in_one_turn(statement, source, target)
            return apart and may_share(statement.body, source, target)
        case Launch():
            return _Thread(statement, source, target).keeps_to_its_elements()
        case _:
            return False


def _writes(statement: Statement, target: Buffer) -> bool:
    return any(buffer.storage is target.storage for buffer in stored((statement,)))


def _panels_read(statement: Statement, source: Buffer) -> bool:
    """Whether a part of `statement` that is no expression reads `source`."""
    named = sum(buffer.storage is source.storage for buffer in loaded((statement,)))
    return named > len(_loads((statement,), source))


def _loads(statements: Sequence[Statement], source: Buffer) -> list[Load]:
    found = all_expressions(statements)
    return [e for e in found if isinstance(e, Load) and e.buffer.storage is source.storage]


def _own_loads(statements: Sequence[Statement]) -> set[Expr]:
    """Loads that the statements themselves, not those nested in them, have evaluated."""
    stores = [statement for statement in statements if isinstance(statement, Store)]
    return set(expressions(root for statement in stores for root in roots_of(statement)))


def _turns_are_apart(loop: For, source: Buffer, target: Buffer) -> bool:
    """Whether different turns of `loop` touch different elements, both buffers taken together.

    So it is where the loop's index is the same part of every access, or where all accesses have one and the same
    index in which it occurs: results are stored once per element.
    """
    if _panels_read(loop, source):
        return False
    accesses: list[tuple[Buffer, tuple[Expr, ...]]] = []
    for statement in walk_statements(loop.body):
        if isinstance(statement, Store) and statement.buffer.storage is target.storage:
            accesses.append((statement.buffer, statement.index))
    accesses.extend((load.buffer, load.index) for load in _loads(loop.body, source))
    if not accesses or any(buffer.shape != accesses[0][0].shape for buffer, _ in accesses):
        return False
    indices = [index for _, index in accesses]
    if any(all(index[p] is loop.axis for index in indices) for p in range(len(indices[0]))):
        return True
    same = all(a is b for index in indices for a, b in zip(index, indices[0], strict=True))
    return same and any(isinstance(e, Axis) and e is loop.axis for e in expressions(indices[0]))


def _is_in_one_turn(loop: For, source: Buffer, target: Buffer) -> bool:
    """Whether one turn of `loop`, known beforehand, touches the buffers, and no other does.

    So it is in a product that is summed block by block of its depth, where the last block finishes the result.
    """
    turns: set[Constant] = set()
    return _is_under_choices(loop.body, loop.axis, source, target, turns) and len({turn.value for turn in turns}) == 1


def _is_under_choices(
    statements: Sequence[Statement], axis: Axis, source: Buffer, target: Buffer, turns: set[Constant]
) -> bool:
    """Whether choices of one value of `axis`, added to `turns`, are around all that touches the buffers."""
    both = source.storage, target.storage
    for statement in statements:
        if touched((statement,)).isdisjoint(both):
            continue
        roots = expressions(roots_of(statement))
        if any(isinstance(e, Load) and e.buffer.storage is source.storage for e in roots):
            return False
        match statement:
            case If(Apply(Primitive.EQ, (one, Constant() as turn)), then, ()) if one is axis:
                turns.add(turn)
            case If(_, then, otherwise):
                if not all(_is_under_choices(branch, axis, source, target, turns) for branch in (then, otherwise)):
                    return False
            case For():
                if not _is_under_choices(statement.body, axis, source, target, turns):
                    return False
            case _:
                return False
    return True


_Element: TypeAlias = tuple[object, ...]


class _Thread:
    """What a thread of a launch does to the elements of two buffers, of which each is stored once.

    Threads do not come in each other's way where each reads no elements but those that it stores, and none after it
    has stored it.
    """

    def __init__(self, launch: Launch, source: Buffer, target: Buffer) -> None:
        self._launch, self._source, self._target = launch, source, target
        self._stored = {_element(s) for s in walk_statements(launch.body) if self._is_target(s)}

    def keeps_to_its_elements(self) -> bool:
        if _panels_read(self._launch, self._source):
            return False
        return self._walk(self._launch.body, set(), set())

    def _is_target(self, statement: Statement) -> bool:
        return isinstance(statement, Store) and statement.buffer.storage is self._target.storage

    def _walk(self, statements: Sequence[Statement], known: set[Expr], overwritten: set[_Element]) -> bool:
        """Whether all is well after elements were `overwritten`, loads that are `known` being done already."""
        for statement in statements:
            if not isinstance(statement, Store | If) and not _binds(statement):
                if not touched((statement,)).isdisjoint((self._source.storage, self._target.storage)):
                    return False
                continue
            loads = [e for e in expressions(roots_of(statement)) if isinstance(e, Load)]
            loads = [load for load in loads if load.buffer.storage is self._source.storage and load not in known]
            elements = {_element(load) for load in loads}
            if not elements <= self._stored or elements & overwritten:
                return False
            known.update(loads)
            if self._is_target(statement):
                overwritten.add(_element(statement))
            if isinstance(statement, If):
                after = [set(overwritten), set(overwritten)]
                for branch, found in zip((statement.then, statement.otherwise), after, strict=True):
                    if not self._walk(branch, set(known), found):
                        return False
                overwritten |= after[0] | after[1]
        return True


def _binds(statement: Statement) -> bool:
    """Whether a statement is no loop really, but binds what its carries begin with."""
    return isinstance(statement, For) and isinstance(statement.extent, Constant) and statement.extent.value == 0


def _element(access: Statement | Load) -> _Element:
    """What two accesses to one element have in common, as far as is seen."""
    assert isinstance(access, Store | Load)
    return (access.buffer.shape, *access.index)
