"""The parts of loops and branches that rewriting needs: which carries change, which branch a constant chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Array
from tenfoldc.ops.control import IF

T = TypeVar("T")


def changing_carries(body: Region) -> set[int]:
    """The carries that a turn of the loop does not hand on as they came."""
    pairs = zip(body.parameters, body.results, strict=True)
    return {place for place, (parameter, result) in enumerate(pairs) if parameter is not result}


def narrowed_loop(condition: Region, body: Region, kept: Sequence[int]) -> tuple[Region, Region]:
    """Both regions of a loop with the carries `kept`; what stood for the others must be replaced."""
    parameters, results = at(body.parameters, kept), at(body.results, kept)
    return (
        replace(condition, parameters=at(condition.parameters, kept)),
        replace(body, parameters=parameters, results=results),
    )


def chosen_branch(operation: Operation, selector: Array) -> Region:
    """The branch of an `if` or a `case` that `selector`, of rank 0, takes."""
    number = int(selector)
    if operation.op is IF:
        return operation.regions[1 - number]
    return operation.regions[number if 0 <= number < len(operation.regions) else -1]


def at(values: Sequence[T], places: Sequence[int]) -> tuple[T, ...]:
    """The elements of `values` at `places`."""
    return tuple(values[place] for place in places)


def put(values: list[Value], places: Sequence[int], new: Sequence[Value]) -> None:
    """Overwrite the elements of `values` at `places`."""
    for place, value in zip(places, new, strict=True):
        values[place] = value
