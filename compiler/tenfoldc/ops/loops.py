"""Loops that gather: what their turns give is stacked, turn by turn, beside the carry that they hand on.

`scan` takes a known number of turns, or a number that another loop found out; `record` is a `while` that stacks.
These are Tenfold's own ops: derivatives of loops are made of them, and compilation writes them as plain loops.  A
stack whose length only the running program knows is a tape; nothing but loops may read one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction
from tenfoldc.ir.types import Dim, Symbol, TensorType

TURNS = Symbol("turns")
"""The length of every tape.  Tapes of several loops share the name; no op but a loop sees their lengths."""

COUNT = TensorType(dtypes.i64)
"""The type of a number of turns."""


def is_tape(type_: TensorType) -> bool:
    """Whether values of `type_` are stacks of a length that only the running program knows."""
    return bool(type_.shape) and type_.shape[0] == TURNS


# --- scan -----------------------------------------------------------------------------------------


@frozen
class ScanAttributes(Attributes):
    """`carries` says how many results are the carry; the others are stacks.

    The operands are the carry's beginning, then the stacks that the turns read; before them, where `turns` is None,
    their number, i64.  In `reverse` the last elements of all stacks come first.  `types` are those of the results.
    """

    carries: int
    types: tuple[TensorType, ...]
    reverse: bool = False
    turns: int | None = None

    @property
    def first_carry(self) -> int:
        """The operand that the carry begins with."""
        return int(self.turns is None)

    @property
    def first_stack(self) -> int:
        """The operand from which on operands are stacks."""
        return self.first_carry + self.carries

    @property
    def length(self) -> Dim:
        """The leading size of every stack."""
        return TURNS if self.turns is None else self.turns


def _infer_scan(
    types: Sequence[TensorType], attributes: ScanAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    if len(regions) != 1:
        raise ArgumentError(f"scan: {len(regions)} regions given, a body wanted")
    if attributes.turns is None and tuple(types[:1]) != (COUNT,):
        raise DTypeError("scan: the number of turns must be an i64 scalar")
    carry, stacks = types[attributes.first_carry : attributes.first_stack], types[attributes.first_stack :]
    for number, stack in enumerate(stacks):
        if stack.shape[:1] != (attributes.length,):
            raise ShapeError(f"scan: stack {number} is {stack}, but there are {attributes.length} turns")
    body = regions[0].type
    _check_same("scan", "the body takes", body.parameters, (*carry, *map(_element, stacks)))
    _check_same("scan", "the body gives the carry", body.results[: attributes.carries], tuple(carry))
    made = (_stacked(type_, attributes.length) for type_ in body.results[attributes.carries :])
    return (*carry, *made)


def _scan_reference(
    arrays: Sequence[Array], attributes: ScanAttributes, functions: Sequence[RegionFunction]
) -> Sequence[Array]:
    (body,) = functions
    turns = int(arrays[0]) if attributes.turns is None else attributes.turns
    carry = list(arrays[attributes.first_carry : attributes.first_stack])
    stacks = arrays[attributes.first_stack :]
    rows: dict[int, Sequence[Array]] = {}
    for turn in reversed(range(turns)) if attributes.reverse else range(turns):
        results = body(*carry, *(stack[turn] for stack in stacks))
        carry, rows[turn] = list(results[: attributes.carries]), results[attributes.carries :]
    return *carry, *_stack([rows[turn] for turn in range(turns)], attributes.types[attributes.carries :])


SCAN = Op("tenfold.scan", Kind.CONTROL, attributes=ScanAttributes, infer=_infer_scan, reference=_scan_reference)


def scan(
    carry: Sequence[Var], stacks: Sequence[Var], body: Region, *, turns: int | Var, reverse: bool = False
) -> tuple[Var, ...]:
    """The last carry, then the stacks of what the turns gave.

    `body` takes the carry and one element of each of `stacks`; it gives the next carry and an element of each stack
    that is made.  `turns` is the leading size of all stacks; where it is a value (i64 scalar) they are tapes.
    """
    count = turns if isinstance(turns, int) else None
    length: Dim = TURNS if count is None else count
    made = (_stacked(result.type, length) for result in body.results[len(carry) :])
    attributes = ScanAttributes(len(carry), (*(var.type for var in carry), *made), reverse, count)
    operands = (*(() if isinstance(turns, int) else (turns,)), *carry, *stacks)
    if not operands:
        raise ArgumentError("scan: there is neither a carry nor a stack")
    return SCAN.apply(*operands, attributes=attributes, regions=(body,))


# --- record ---------------------------------------------------------------------------------------


@frozen
class RecordAttributes(Attributes):
    """`types` are those of the results: the carry, the number of turns, the tapes."""

    types: tuple[TensorType, ...]


def _infer_record(
    types: Sequence[TensorType], _: RecordAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    if len(regions) != 2:
        raise ArgumentError(f"record: {len(regions)} regions given, a condition and a body wanted")
    condition, body = (region.type for region in regions)
    carry = tuple(types)
    _check_same("record", "the condition takes", condition.parameters, carry)
    _check_same("record", "the body takes", body.parameters, carry)
    _check_same("record", "the body gives the carry", body.results[: len(carry)], carry)
    if condition.results != (TensorType(dtypes.bool_),):
        raise DTypeError(f"record: the condition gives {_listed(condition.results)}, not one bool scalar")
    return (*carry, COUNT, *(_stacked(type_, TURNS) for type_ in body.results[len(carry) :]))


def _record_reference(
    arrays: Sequence[Array], attributes: RecordAttributes, functions: Sequence[RegionFunction]
) -> Sequence[Array]:
    condition, body = functions
    carry = list(arrays)
    rows: list[Sequence[Array]] = []
    while bool(np.asarray(condition(*carry)[0])):
        results = body(*carry)
        carry = list(results[: len(carry)])
        rows.append(results[len(carry) :])
    count = np.asarray(len(rows), COUNT.dtype.numpy)
    return *carry, count, *_stack(rows, attributes.types[len(carry) + 1 :])


RECORD = Op(
    "tenfold.record", Kind.CONTROL, attributes=RecordAttributes, infer=_infer_record, reference=_record_reference
)


def record(carry: Sequence[Var], cond_region: Region, body_region: Region) -> tuple[Var, ...]:
    """A `while` whose turns are counted and taped: the last carry, the number of turns (i64), then the tapes.

    `body_region` gives the next carry and then one element of each tape.
    """
    taped = (_stacked(result.type, TURNS) for result in body_region.results[len(carry) :])
    types = (*(var.type for var in carry), COUNT, *taped)
    return RECORD.apply(*carry, attributes=RecordAttributes(types), regions=(cond_region, body_region))


# --- what both check and stack --------------------------------------------------------------------


def _element(stack: TensorType) -> TensorType:
    return stack.with_shape(stack.shape[1:])


def _stacked(element: TensorType, length: Dim) -> TensorType:
    if is_tape(element):
        raise ShapeError("loop: a tape cannot be stacked", mend="record the inner loop again where it is needed")
    return element.with_shape((length, *element.shape))


def _stack(rows: Sequence[Sequence[Array]], types: Sequence[TensorType]) -> list[Array]:
    made: list[Array] = []
    for number, type_ in enumerate(types):
        element = tuple(dim for dim in type_.shape[1:] if isinstance(dim, int))
        stack = np.empty((len(rows), *element), type_.dtype.numpy)
        for place, row in enumerate(rows):
            stack[place] = row[number]
        made.append(stack)
    return made


def _check_same(name: str, what: str, given: tuple[TensorType, ...], wanted: tuple[TensorType, ...]) -> None:
    if given != wanted:
        raise ShapeError(f"{name}: {what} {_listed(given)}, not {_listed(wanted)}", mend="keep shapes and dtypes")


def _listed(types: Sequence[TensorType]) -> str:
    return f"({', '.join(map(str, types))})"
