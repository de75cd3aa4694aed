"""Stacks that loops fill: arrays, and tapes where only the running program knows how many turns a loop takes.

Simplification writes loops that stack as plain loops over these; no program holds these ops before.  A tape grows by
one element a turn.  It is a value like any other, but each one is written to only once, so that all of them can be one
piece of memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt.errors import ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.loops import COUNT, TURNS, is_tape


@frozen
class EmptyStackAttributes(Attributes):
    """The stack's type, and a number by which it differs from all other stacks of the program."""

    number: int
    type: TensorType


def _infer_empty(
    types: Sequence[TensorType], attributes: EmptyStackAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    return (attributes.type,)


def _empty_reference(
    arrays: Sequence[Array], attributes: EmptyStackAttributes, functions: Sequence[RegionFunction]
) -> Sequence[Array]:
    type_ = attributes.type
    sizes = (0, *type_.with_shape(type_.shape[1:]).sizes) if is_tape(type_) else type_.sizes
    return (np.zeros(sizes, type_.dtype.numpy),)


EMPTY_STACK = Op(
    "tenfold.empty_stack", Kind.CONTROL, attributes=EmptyStackAttributes, infer=_infer_empty, reference=_empty_reference
)


def empty_stack(builder: Builder, type_: TensorType, number: int) -> Var:
    """A tape, or an array of which every element is written before it is read: what it holds is not said."""
    (stack,) = builder.emit(EMPTY_STACK, (), EmptyStackAttributes(number, type_))
    return stack


def _infer_write(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    tape, element, place = types
    if not is_tape(tape) or element.with_shape((TURNS, *element.shape)) != tape or place != COUNT:
        raise ShapeError(f"tape_write: {element} cannot be written to {tape} at {place}")
    return (tape,)


def _write_reference(arrays: Sequence[Array], _: Attributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    tape, element, place = arrays
    return (np.concatenate([tape[: int(place)], element[None], tape[int(place) + 1 :]]),)


TAPE_WRITE = Op("tenfold.tape_write", Kind.CONTROL, infer=_infer_write, reference=_write_reference)


def tape_write(tape: Var, element: Var, place: Var) -> Var:
    """`tape` with `element` at `place` (i64 scalar), at most one behind its last."""
    return TAPE_WRITE.apply_one(tape, element, place)


def _infer_read(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    tape, place = types
    if not is_tape(tape) or place != COUNT:
        raise ShapeError(f"tape_read: {tape} cannot be read at {place}")
    return (tape.with_shape(tape.shape[1:]),)


def _read_reference(arrays: Sequence[Array], _: Attributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    tape, place = arrays
    return (tape[int(place)],)


TAPE_READ = Op("tenfold.tape_read", Kind.CONTROL, infer=_infer_read, reference=_read_reference)


def tape_read(tape: Var, place: Var) -> Var:
    """The element of `tape` at `place` (i64 scalar), which must have been written."""
    return TAPE_READ.apply_one(tape, place)
