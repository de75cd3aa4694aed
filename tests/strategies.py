"""Random programs: well-typed tensor IR over many ops, with inputs on which rounding cannot change the outcome.

`programs()` draws a module and arrays for its `main`.  Floats stay moderate, and ops that jump (comparisons,
rounding, indices of maxima) are only applied to values that every implementation computes exactly.  Compiled code
must then agree with the interpreter to within a few roundings.
"""

from __future__ import annotations

from collections.abc import Sequence

from compound_steps import COMPOUND_STEPS
from hypothesis import strategies as st
from program_steps import STEPS
from program_writer import Array, Draw, Writer

from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Function, Module


@st.composite
def programs(draw: Draw, max_operations: int = 15, min_steps: int = 1) -> tuple[Module, tuple[Array, ...]]:
    """A module, and an array for each parameter of its `main`.

    Results may be parameters, constants or one another; parameters may be donated to results of their type.
    """
    writer = Writer(draw)
    for _ in range(draw(st.integers(1, 3))):
        writer.parameter()
    steps = draw(st.lists(st.sampled_from(STEPS + COMPOUND_STEPS), min_size=min_steps, max_size=max_operations))
    for step in steps:
        if len(writer.builder.operations) < max_operations:
            step(draw, writer)
    results = draw(st.lists(st.sampled_from(writer.pool[::-1]), max_size=3))
    results.append(writer.pool[-1])
    body = writer.builder.region(writer.parameters, results)
    main = Function("main", body, donated=_donations(draw, writer.parameters, results))
    return Module({"main": main, **writer.functions}), tuple(writer.inputs)


def _donations(draw: Draw, parameters: Sequence[Var], results: Sequence[Var]) -> tuple[tuple[int, int], ...]:
    """Pairs of a parameter and a result of one type, each in one pair at most."""
    if not draw(st.booleans()):
        return ()
    pairs: dict[int, int] = {}
    for number, parameter in enumerate(parameters):
        fitting = [place for place, result in enumerate(results) if result.type == parameter.type]
        free = [place for place in fitting if place not in pairs.values()]
        if free:
            pairs[number] = draw(st.sampled_from(free))
    return tuple(pairs.items())
