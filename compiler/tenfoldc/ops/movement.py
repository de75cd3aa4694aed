"""Ops that rearrange a whole tensor without computing: reshape, transpose and reverse.

The other movement ops can be imported from here too: `broadcast_in_dim`, slice, pad and concatenate of
`tenfoldc.ops.slicing`, and the dynamic slices.  All are linear, so a jvp applies the op to the tangent; an
element rule says which element of which operand lands at an index.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tenfold_rt.errors import ArgumentError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, ElementReader, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import Dim, Symbol, TensorType, static_shape
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr
from tenfoldc.ops.broadcast import BROADCAST_IN_DIM as BROADCAST_IN_DIM
from tenfoldc.ops.broadcast import broadcast_in_dim as broadcast_in_dim
from tenfoldc.ops.broadcast import check_axes
from tenfoldc.ops.dynamic_slice import DYNAMIC_SLICE as DYNAMIC_SLICE
from tenfoldc.ops.dynamic_slice import DYNAMIC_UPDATE_SLICE as DYNAMIC_UPDATE_SLICE
from tenfoldc.ops.dynamic_slice import dynamic_slice as dynamic_slice
from tenfoldc.ops.dynamic_slice import dynamic_update_slice as dynamic_update_slice
from tenfoldc.ops.slicing import CONCATENATE as CONCATENATE
from tenfoldc.ops.slicing import PAD as PAD
from tenfoldc.ops.slicing import SLICE as SLICE
from tenfoldc.ops.slicing import concatenate as concatenate
from tenfoldc.ops.slicing import pad as pad
from tenfoldc.ops.slicing import slice_ as slice_

# reshape


@frozen
class ReshapeAttributes(Attributes):
    """The result's shape."""

    shape: tuple[Dim, ...]


def _count(shape: Sequence[Dim]) -> tuple[int, tuple[str, ...]]:
    """Number of elements: a product of integers and the symbols that multiply it."""
    numbers = math.prod(size for size in shape if isinstance(size, int))
    return numbers, tuple(sorted(size.name for size in shape if isinstance(size, Symbol)))


def _infer_reshape(
    operands: Sequence[TensorType], attributes: ReshapeAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    (operand,) = operands
    if _count(operand.shape) != _count(attributes.shape):
        raise ShapeError(f"reshape: {operand} and {operand.with_shape(attributes.shape)} differ in number of elements")
    return (operand.with_shape(attributes.shape),)


def _reshape_reference(
    arrays: Sequence[Array], attributes: ReshapeAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    return (np.reshape(arrays[0], static_shape(attributes.shape)),)


def _aligned_groups(old: Sequence[Dim], new: Sequence[Dim]) -> list[tuple[range, range]]:
    """The finest cuts of both shapes into runs of axes with equal numbers of elements."""
    cut_of = {_count(new[:end]): end for end in reversed(range(len(new) + 1))}
    cuts = [(end, cut_of[_count(old[:end])]) for end in range(len(old) + 1) if _count(old[:end]) in cut_of]
    return [(range(a, b), range(c, d)) for (a, c), (b, d) in pairwise(cuts)]


def _row_major(index: Sequence[Expr], sizes: Sequence[Dim]) -> Expr:
    """The row-major position of `index` in a tensor of `sizes`."""
    position = index[0]
    for axis_index, size in zip(index[1:], static_shape(tuple(sizes[1:])), strict=True):
        position = scalar.add(scalar.mul(position, scalar.index(size)), axis_index)
    return position


def _unravel(position: Expr, sizes: Sequence[Dim]) -> list[Expr]:
    """The index along each of `sizes` at a row-major position."""
    index: list[Expr] = []
    for size in reversed(static_shape(tuple(sizes[1:]))):
        index.insert(0, scalar.rem(position, scalar.index(size)))
        position = scalar.div(position, scalar.index(size))
    return [position, *index]


def _reshape_element(
    attributes: ReshapeAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    (operand,) = operands
    if 0 in operand.shape:
        return scalar.constant(0, operand.dtype)
    old_axes = [axis for axis, size in enumerate(operand.shape) if size != 1]
    new_axes = [axis for axis, size in enumerate(result.shape) if size != 1]
    old = [operand.shape[axis] for axis in old_axes]
    new = [result.shape[axis] for axis in new_axes]
    source: list[Expr] = [scalar.index(0)] * operand.rank
    for run, image in _aligned_groups(old, new):
        position = _row_major([index[new_axes[axis]] for axis in image], [new[axis] for axis in image])
        for axis, part in zip(run, _unravel(position, [old[axis] for axis in run]), strict=True):
            source[old_axes[axis]] = part
    return read(0, source)


RESHAPE = Op(
    "reshape",
    Kind.MOVEMENT,
    attributes=ReshapeAttributes,
    infer=_infer_reshape,
    reference=_reshape_reference,
    element=_reshape_element,
)


def reshape(x: Var, shape: Sequence[Dim]) -> Var:
    """The elements of `x` in row-major order in another shape; `ShapeError` where their numbers differ."""
    return RESHAPE.apply_one(x, attributes=ReshapeAttributes(tuple(shape)))


@RESHAPE.jvp
def _(site: Site[ReshapeAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (tangent,) = tangents
    return (None if tangent is None else reshape(tangent, site.attributes.shape),)


@RESHAPE.vjp
def _(site: Site[ReshapeAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    return (None if cotangent is None else reshape(cotangent, site.operands[0].shape),)


@RESHAPE.batch
def _(site: Site[ReshapeAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    return (reshape(site.operands[0], (size, *site.attributes.shape)),), (True,)


# transpose


@frozen
class TransposeAttributes(Attributes):
    """Axis i of the result is axis `permutation[i]` of the operand."""

    permutation: tuple[int, ...]


def _infer_transpose(
    operands: Sequence[TensorType], attributes: TransposeAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    (operand,) = operands
    if sorted(attributes.permutation) != list(range(operand.rank)):
        raise ArgumentError(f"transpose: {list(attributes.permutation)} is not a permutation of the axes of {operand}")
    return (operand.with_shape(tuple(operand.shape[axis] for axis in attributes.permutation)),)


def _transpose_reference(
    arrays: Sequence[Array], attributes: TransposeAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    return (np.transpose(arrays[0], attributes.permutation),)


def _transpose_element(
    attributes: TransposeAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    return read(0, [index[axis] for axis in inverse_permutation(attributes.permutation)])


TRANSPOSE = Op(
    "transpose",
    Kind.MOVEMENT,
    attributes=TransposeAttributes,
    infer=_infer_transpose,
    reference=_transpose_reference,
    element=_transpose_element,
)


def inverse_permutation(permutation: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `permutation`."""
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))


def transpose(x: Var, permutation: Sequence[int]) -> Var:
    """`x` with axis `permutation[i]` moved to place i; `ArgumentError` where it is not a permutation."""
    return TRANSPOSE.apply_one(x, attributes=TransposeAttributes(tuple(permutation)))


@TRANSPOSE.jvp
def _(site: Site[TransposeAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (tangent,) = tangents
    return (None if tangent is None else transpose(tangent, site.attributes.permutation),)


@TRANSPOSE.vjp
def _(site: Site[TransposeAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    return (None if cotangent is None else transpose(cotangent, inverse_permutation(site.attributes.permutation)),)


@TRANSPOSE.batch
def _(site: Site[TransposeAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    return (transpose(site.operands[0], (0, *(axis + 1 for axis in site.attributes.permutation))),), (True,)


# reverse


@frozen
class ReverseAttributes(Attributes):
    """The axes to reverse."""

    dimensions: tuple[int, ...]


def _infer_reverse(
    operands: Sequence[TensorType], attributes: ReverseAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    (operand,) = operands
    check_axes("reverse", "dimensions", attributes.dimensions, operand.rank)
    return (operand,)


def _reverse_reference(
    arrays: Sequence[Array], attributes: ReverseAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    return (np.flip(arrays[0], attributes.dimensions),)


def _reverse_element(
    attributes: ReverseAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    source = list(index)
    for axis in attributes.dimensions:
        (size,) = static_shape((operands[0].shape[axis],))
        source[axis] = scalar.sub(scalar.index(size - 1), index[axis])
    return read(0, source)


REVERSE = Op(
    "reverse",
    Kind.MOVEMENT,
    attributes=ReverseAttributes,
    infer=_infer_reverse,
    reference=_reverse_reference,
    element=_reverse_element,
)


def reverse(x: Var, dimensions: Sequence[int]) -> Var:
    """`x` with the order of elements along `dimensions` turned round."""
    return REVERSE.apply_one(x, attributes=ReverseAttributes(tuple(dimensions)))


@REVERSE.jvp
@REVERSE.vjp
def _(site: Site[ReverseAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (tangent,) = tangents
    return (None if tangent is None else reverse(tangent, site.attributes.dimensions),)


@REVERSE.batch
def _(site: Site[ReverseAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    return (reverse(site.operands[0], [axis + 1 for axis in site.attributes.dimensions]),), (True,)
