"""`dot_general`: products of tensors, summed along pairs of axes; matrix multiplication and all its batched forms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import A, Array, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.broadcast import check_axes
from tenfoldc.ops.elementwise import sum_of

PRECISIONS = ("DEFAULT", "HIGH", "HIGHEST", "TF32", "BF16")
"""What may be asked of products of f32: StableHLO's words, all of which mean f32 here, and two that mean less.

`TF32` and `BF16` allow factors to be cut to 10 or 7 bits of fraction, where a processor multiplies such ones faster.
"""


@frozen
class DotDimensionNumbers:
    """Axes that are paired: batching axes are kept, contracting axes are summed along."""

    lhs_batching_dimensions: tuple[int, ...]
    rhs_batching_dimensions: tuple[int, ...]
    lhs_contracting_dimensions: tuple[int, ...]
    rhs_contracting_dimensions: tuple[int, ...]

    def lhs_free(self, rank: int) -> tuple[int, ...]:
        """Axes of a left operand of `rank` that are not paired."""
        return _others(rank, self.lhs_batching_dimensions, self.lhs_contracting_dimensions)

    def rhs_free(self, rank: int) -> tuple[int, ...]:
        """Axes of a right operand of `rank` that are not paired."""
        return _others(rank, self.rhs_batching_dimensions, self.rhs_contracting_dimensions)

    def swapped(self) -> DotDimensionNumbers:
        """The same pairs with the operands exchanged."""
        return DotDimensionNumbers(
            self.rhs_batching_dimensions,
            self.lhs_batching_dimensions,
            self.rhs_contracting_dimensions,
            self.lhs_contracting_dimensions,
        )


def _others(rank: int, *taken: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis for axis in range(rank) if not any(axis in axes for axes in taken))


@frozen
class DotGeneralAttributes(Attributes):
    """Which axes are paired, the precision asked for, and the result's dtype where it is not the operands'."""

    dot_dimension_numbers: DotDimensionNumbers
    precision_config: tuple[str, ...] = ("DEFAULT", "DEFAULT")
    result_dtype: DType | None = None


def product_dtype(name: str, lhs: TensorType, rhs: TensorType, precision: Sequence[str], result: DType | None) -> DType:
    """The dtype of a contraction's result; errors for operands that differ and for unknown precisions."""
    if lhs.dtype != rhs.dtype:
        raise DTypeError(f"{name}: dtypes differ, {lhs.dtype} (lhs) and {rhs.dtype} (rhs)")
    for word in precision:
        if word not in PRECISIONS:
            raise ArgumentError(f"{name}: there is no precision {word}", mend=f"use one of {', '.join(PRECISIONS)}")
    if result is None:
        return lhs.dtype
    if result.kind is not lhs.dtype.kind or result.bits < lhs.dtype.bits:
        raise DTypeError(f"{name}: a product of {lhs.dtype} does not accumulate in {result}")
    return result


def _infer(
    operands: Sequence[TensorType], attributes: DotGeneralAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    lhs, rhs = operands
    dtype = product_dtype("dot_general", lhs, rhs, attributes.precision_config, attributes.result_dtype)
    numbers = attributes.dot_dimension_numbers
    check_axes("dot_general", "lhs", (*numbers.lhs_batching_dimensions, *numbers.lhs_contracting_dimensions), lhs.rank)
    check_axes("dot_general", "rhs", (*numbers.rhs_batching_dimensions, *numbers.rhs_contracting_dimensions), rhs.rank)
    for role, lhs_axes, rhs_axes in (
        ("batching", numbers.lhs_batching_dimensions, numbers.rhs_batching_dimensions),
        ("contracting", numbers.lhs_contracting_dimensions, numbers.rhs_contracting_dimensions),
    ):
        if len(lhs_axes) != len(rhs_axes):
            raise ArgumentError(f"dot_general: {len(lhs_axes)} {role} axes of lhs, {len(rhs_axes)} of rhs")
        for lhs_axis, rhs_axis in zip(lhs_axes, rhs_axes, strict=True):
            if lhs.shape[lhs_axis] != rhs.shape[rhs_axis]:
                raise ShapeError(
                    f"dot_general: {role} sizes differ, {lhs.shape[lhs_axis]} (lhs, axis {lhs_axis}) "
                    f"and {rhs.shape[rhs_axis]} (rhs, axis {rhs_axis})"
                )
    lhs_axes = (*numbers.lhs_batching_dimensions, *numbers.lhs_free(lhs.rank))
    shape = [*(lhs.shape[axis] for axis in lhs_axes), *(rhs.shape[axis] for axis in numbers.rhs_free(rhs.rank))]
    return (TensorType(dtype, tuple(shape)),)


def element_type(array: Array) -> DType:
    """The element type of an array that a reference is given."""
    dtype = dtypes.from_numpy(array.dtype)
    assert dtype is not None
    return dtype


def widened(array: Array) -> Array:
    """`array` in the dtype in which a reference adds up its products: float64 for floats, counts for bools."""
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def narrowed(total: Array, dtype: DType) -> Array:
    """A sum of `widened` products rounded to `dtype`."""
    return total != 0 if dtype.is_bool else total.astype(dtype.numpy, copy=False)


def _reference(
    arrays: Sequence[Array], attributes: DotGeneralAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    lhs, rhs = arrays
    numbers = attributes.dot_dimension_numbers
    lhs_free, rhs_free = numbers.lhs_free(lhs.ndim), numbers.rhs_free(rhs.ndim)
    dtype = attributes.result_dtype or element_type(lhs)
    batch = [lhs.shape[axis] for axis in numbers.lhs_batching_dimensions]
    rows = [lhs.shape[axis] for axis in lhs_free]
    columns = [rhs.shape[axis] for axis in rhs_free]
    depth = math.prod(lhs.shape[axis] for axis in numbers.lhs_contracting_dimensions)
    m, n = math.prod(rows), math.prod(columns)
    lhs_order = (*numbers.lhs_batching_dimensions, *lhs_free, *numbers.lhs_contracting_dimensions)
    rhs_order = (*numbers.rhs_batching_dimensions, *numbers.rhs_contracting_dimensions, *rhs_free)
    with np.errstate(all="ignore"):
        x = widened(lhs.astype(dtype.numpy)).transpose(lhs_order).reshape(*batch, m, depth)
        y = widened(rhs.astype(dtype.numpy)).transpose(rhs_order).reshape(*batch, depth, n)
        return (narrowed(np.matmul(x, y).reshape((*batch, *rows, *columns)), dtype),)


DOT_GENERAL = Op("dot_general", Kind.CONTRACTION, attributes=DotGeneralAttributes, infer=_infer, reference=_reference)


def dot_general(
    lhs: Var,
    rhs: Var,
    *,
    lhs_contracting: Sequence[int],
    rhs_contracting: Sequence[int],
    lhs_batching: Sequence[int] = (),
    rhs_batching: Sequence[int] = (),
    precision: str = "default",
    result_dtype: DType | None = None,
) -> Var:
    """Sums of products along contracting axes, for each index of the batching axes.

    The result's axes are the batching axes, then the other axes of `lhs`, then those of `rhs`.  `result_dtype`
    is a wider dtype of the same kind to accumulate in; `precision` is one of `PRECISIONS`.  Raises `ShapeError`
    where paired sizes differ, `DTypeError` where dtypes differ, `ArgumentError` where an axis is named twice or out
    of range.
    """
    numbers = DotDimensionNumbers(
        tuple(lhs_batching), tuple(rhs_batching), tuple(lhs_contracting), tuple(rhs_contracting)
    )
    attributes = DotGeneralAttributes(numbers, (precision.upper(),) * 2, result_dtype)
    return DOT_GENERAL.apply_one(lhs, rhs, attributes=attributes)


@DOT_GENERAL.jvp
def _(site: Site[DotGeneralAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    return (bilinear_tangent(DOT_GENERAL, site, tangents),)


def bilinear_tangent(op: Op[A], site: Site[A], tangents: Sequence[Var | None]) -> Var | None:
    """The tangent of a product that is linear in each of two operands."""
    (lhs, rhs), (lhs_tangent, rhs_tangent) = site.operands, tangents
    terms: list[Var] = []
    if lhs_tangent is not None:
        terms.append(op.apply_one(lhs_tangent, rhs, attributes=site.attributes))
    if rhs_tangent is not None:
        terms.append(op.apply_one(lhs, rhs_tangent, attributes=site.attributes))
    return sum_of(terms)


@DOT_GENERAL.vjp
def _(site: Site[DotGeneralAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None, None)
    lhs, rhs = site.operands
    numbers = site.attributes.dot_dimension_numbers
    lhs_axes = _Axes(numbers.lhs_batching_dimensions, numbers.lhs_free(lhs.rank), numbers.lhs_contracting_dimensions)
    rhs_axes = _Axes(numbers.rhs_batching_dimensions, numbers.rhs_free(rhs.rank), numbers.rhs_contracting_dimensions)
    batching = len(lhs_axes.batching)
    split = batching + len(lhs_axes.free)
    return (
        _cotangent(site, cotangent, range(split, cotangent.rank), rhs, lhs_axes, rhs_axes),
        _cotangent(site, cotangent, range(batching, split), lhs, rhs_axes, lhs_axes),
    )


@frozen
class _Axes:
    """What the axes of one operand are for."""

    batching: tuple[int, ...]
    free: tuple[int, ...]
    contracting: tuple[int, ...]


def _cotangent(
    site: Site[DotGeneralAttributes],
    cotangent: Var,
    summed: Sequence[int],
    other: Var,
    axes: _Axes,
    other_axes: _Axes,
) -> Var:
    """One operand's cotangent: the result's, contracted with the other operand along that one's free axes.

    The factors are ordered so that the product's axes are, in general, in the operand's own order.
    """
    numbers = DotDimensionNumbers(tuple(range(len(axes.batching))), other_axes.batching, tuple(summed), other_axes.free)
    contracted = sorted(range(len(axes.contracting)), key=other_axes.contracting.__getitem__)
    own = tuple(axes.contracting[place] for place in contracted)
    factors = [cotangent, converted(other, cotangent.dtype)]
    if own < axes.free:
        numbers = numbers.swapped()
        factors.reverse()
    found = (*axes.batching, *own, *axes.free) if own < axes.free else (*axes.batching, *axes.free, *own)
    attributes = DotGeneralAttributes(numbers, site.attributes.precision_config)
    product = DOT_GENERAL.apply_one(*factors, attributes=attributes)
    return converted(ops.transpose(product, ops.inverse_permutation(found)), other.dtype)


def converted(x: Var, dtype: DType) -> Var:
    """`x` in `dtype`, as it is where it has that dtype."""
    return x if x.dtype == dtype else ops.convert(x, dtype)


@DOT_GENERAL.batch
def _(site: Site[DotGeneralAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    (lhs, rhs), numbers = site.operands, site.attributes.dot_dimension_numbers
    lhs_shift, rhs_shift = (int(flag) for flag in batched)
    both = (0,) if all(batched) else ()
    shifted = DotDimensionNumbers(
        (*both, *(axis + lhs_shift for axis in numbers.lhs_batching_dimensions)),
        (*both, *(axis + rhs_shift for axis in numbers.rhs_batching_dimensions)),
        tuple(axis + lhs_shift for axis in numbers.lhs_contracting_dimensions),
        tuple(axis + rhs_shift for axis in numbers.rhs_contracting_dimensions),
    )
    attributes = DotGeneralAttributes(shifted, site.attributes.precision_config, site.attributes.result_dtype)
    result = DOT_GENERAL.apply_one(lhs, rhs, attributes=attributes)
    if both:
        return (result,), (True,)
    # The batch axis is the first free axis of the operand that has it.
    place = len(shifted.lhs_batching_dimensions) + (0 if batched[0] else len(shifted.lhs_free(lhs.rank)))
    order = [place, *(axis for axis in range(result.rank) if axis != place)]
    return (ops.transpose(result, order),), (True,)
