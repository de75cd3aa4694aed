"""`broadcast_in_dim`: repeating a tensor along new axes and axes of size 1.

It stands below the other ops because constants of symbolic shape are made with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt.errors import ArgumentError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, ElementReader, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import Dim, TensorType, static_shape
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr


@frozen
class BroadcastInDimAttributes(Attributes):
    """Axis i of the operand is axis `broadcast_dimensions[i]` of a result of `shape`."""

    broadcast_dimensions: tuple[int, ...]
    shape: tuple[Dim, ...]


def check_axes(name: str, what: str, axes: Sequence[int], rank: int) -> None:
    """Raise `ArgumentError` unless `axes` are distinct and within `rank`."""
    for axis in axes:
        if not 0 <= axis < rank:
            raise ArgumentError(f"{name}: {what} has axis {axis}, but the rank is {rank}")
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"{name}: {what} names an axis twice, {list(axes)}")


def _infer(
    operands: Sequence[TensorType], attributes: BroadcastInDimAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    (operand,) = operands
    dimensions, shape = attributes.broadcast_dimensions, attributes.shape
    if len(dimensions) != operand.rank:
        raise ShapeError(
            f"broadcast_in_dim: the operand {operand} has {operand.rank} axes, "
            f"but broadcast_dimensions lists {len(dimensions)}"
        )
    check_axes("broadcast_in_dim", "broadcast_dimensions", dimensions, len(shape))
    for axis, (size, dimension) in enumerate(zip(operand.shape, dimensions, strict=True)):
        if size not in (1, shape[dimension]):
            raise ShapeError(
                f"broadcast_in_dim: size {size} (operand, axis {axis}) does not broadcast to "
                f"{shape[dimension]} (result, axis {dimension})"
            )
    return (operand.with_shape(shape),)


def _reference(
    arrays: Sequence[Array], attributes: BroadcastInDimAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    (x,) = arrays
    dimensions = attributes.broadcast_dimensions
    shape = static_shape(attributes.shape)
    aligned = [1] * len(shape)
    for size, dimension in zip(x.shape, dimensions, strict=True):
        aligned[dimension] = size
    ordered = np.transpose(x, sorted(range(x.ndim), key=lambda axis: dimensions[axis]))
    return (np.broadcast_to(ordered.reshape(aligned), shape),)


def _element(
    attributes: BroadcastInDimAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    (operand,) = operands
    return read(
        0,
        [
            scalar.index(0) if size == 1 else index[dimension]
            for size, dimension in zip(operand.shape, attributes.broadcast_dimensions, strict=True)
        ],
    )


BROADCAST_IN_DIM = Op(
    "broadcast_in_dim",
    Kind.MOVEMENT,
    attributes=BroadcastInDimAttributes,
    infer=_infer,
    reference=_reference,
    element=_element,
)


def broadcast_in_dim(x: Var, shape: Sequence[Dim], dimensions: Sequence[int]) -> Var:
    """Repeat `x` to `shape`; axis i of `x`, of size 1 or of the result's size, becomes axis `dimensions[i]`.

    Raises `ShapeError` where a size does not broadcast, `ArgumentError` where an axis is named twice or
    is out of range.
    """
    return BROADCAST_IN_DIM.apply_one(x, attributes=BroadcastInDimAttributes(tuple(dimensions), tuple(shape)))


def add_batch_axis(x: Var, size: int) -> Var:
    """`x` repeated along a new axis 0 of `size`: how a batching rule makes an operand batched."""
    return broadcast_in_dim(x, (size, *x.shape), range(1, x.rank + 1))


@BROADCAST_IN_DIM.jvp
def _(site: Site[BroadcastInDimAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (tangent,) = tangents
    return (None if tangent is None else BROADCAST_IN_DIM.apply_one(tangent, attributes=site.attributes),)


@BROADCAST_IN_DIM.vjp
def _(site: Site[BroadcastInDimAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None,)
    (x,), dimensions = site.operands, site.attributes.broadcast_dimensions
    kept = {
        dimension for size, dimension in zip(x.shape, dimensions, strict=True) if size == cotangent.shape[dimension]
    }
    total = ops.reduce_sum(cotangent, [axis for axis in range(cotangent.rank) if axis not in kept])
    rank_of = {dimension: rank for rank, dimension in enumerate(sorted(kept))}
    ordered = ops.transpose(total, [rank_of[dimension] for dimension in dimensions if dimension in kept])
    return (ops.reshape(ordered, x.shape),)


@BROADCAST_IN_DIM.batch
def _(site: Site[BroadcastInDimAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    (x,) = site.operands
    dimensions = [0, *(dimension + 1 for dimension in site.attributes.broadcast_dimensions)]
    return (broadcast_in_dim(x, (size, *site.attributes.shape), dimensions),), (True,)
