"""Conversion between element types: of values, and of bit patterns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, ElementReader, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Constant, Expr, Primitive
from tenfoldc.loops.rounding import rounded_to_odd
from tenfoldc.ops.elementwise import ALL_COMPILED, NUMBERS, UNARY_NAMES, Elementwise


@frozen
class ConvertAttributes(Attributes):
    """The element type of the result, which StableHLO writes as the result's type alone."""

    dtype: DType


def _infer_convert(
    operands: Sequence[TensorType], attributes: ConvertAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    CONVERT.require_operands(operands)
    CONVERT.require_dtype(0, operands[0])
    result = operands[0].with_dtype(attributes.dtype)
    if attributes.dtype not in CONVERT.dtypes:
        raise DTypeError(f"convert: {attributes.dtype} is not an element type that can be computed with")
    return (result,)


def _convert_reference(arrays: Sequence[Array], attributes: ConvertAttributes) -> Array:
    return convert_array(arrays[0], attributes.dtype)


def convert_array(x: Array, dtype: DType) -> Array:
    """`x` with another element type.

    Into a float, rounded to nearest even; from float to integer, truncated and saturated, NaN giving 0;
    between integers, wrapped; into bool, x != 0.
    """
    numpy = dtype.numpy
    if dtype.is_bool:
        return x != 0
    if dtype.is_half and x.dtype == np.float64:
        return rounded_to_odd(x).astype(numpy)
    if x.dtype.kind != "f" or not dtype.is_integer:
        return x.astype(numpy)
    largest = 2 ** (dtype.bits - dtype.is_signed) - 1
    smallest = -largest - 1 if dtype.is_signed else 0
    too_large, too_small = x >= float(largest + 1), x <= float(smallest)
    inside = np.where(too_large | too_small | np.isnan(x), 0, x).astype(numpy)
    return np.where(too_large, np.array(largest, numpy), np.where(too_small, np.array(smallest, numpy), inside))


CONVERT = Elementwise(
    "convert",
    operand_names=UNARY_NAMES,
    dtypes=ALL_COMPILED,
    reference=_convert_reference,
    scalar=lambda operands, result, _: scalar.convert(operands[0], result),
    infer=_infer_convert,
    attributes=ConvertAttributes,
)


def convert(x: Var, dtype: DType) -> Var:
    """`x` with another element type; `x` itself where it has that type.

    Into a float, rounded to nearest even; from float to integer, truncated and saturated, NaN giving 0;
    between integers, wrapped; into bool, x != 0.
    """
    return x if x.dtype == dtype else CONVERT.apply_one(x, attributes=ConvertAttributes(dtype))


@CONVERT.jvp
def _(site: Site[ConvertAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (tangent,) = tangents
    dtype = site.attributes.dtype
    return (convert(tangent, dtype) if tangent is not None and dtype.is_float else None,)


@CONVERT.vjp
def _(site: Site[ConvertAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    dtype = site.operands[0].dtype
    return (convert(cotangent, dtype) if cotangent is not None and dtype.is_float else None,)


@frozen
class BitcastConvertAttributes(Attributes):
    """The element type of the result, which StableHLO writes as the result's type alone."""

    dtype: DType


def _infer_bitcast(
    operands: Sequence[TensorType], attributes: BitcastConvertAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    if len(operands) != 1:
        raise ShapeError(f"bitcast_convert: takes 1 operand, got {len(operands)}")
    (operand,) = operands
    for dtype in (operand.dtype, attributes.dtype):
        if dtype not in NUMBERS:
            raise DTypeError(f"bitcast_convert: {dtype} has no bit pattern to reinterpret", mend="use convert")
    narrowing, widening = (
        operand.dtype.bits // attributes.dtype.bits,
        attributes.dtype.bits // operand.dtype.bits,
    )
    if narrowing > 1:
        return (TensorType(attributes.dtype, (*operand.shape, narrowing)),)
    if widening > 1:
        if not operand.rank or operand.shape[-1] != widening:
            what = f"{operand} needs a last axis of size {widening} to become {attributes.dtype}"
            raise ShapeError(f"bitcast_convert: {what}", mend="reshape it")
        return (TensorType(attributes.dtype, operand.shape[:-1]),)
    return (operand.with_dtype(attributes.dtype),)


def _bitcast_reference(
    arrays: Sequence[Array], attributes: BitcastConvertAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    (x,) = arrays
    numpy = attributes.dtype.numpy
    shape = x.shape
    if x.dtype.itemsize > numpy.itemsize:
        shape = (*shape, x.dtype.itemsize // numpy.itemsize)
    elif x.dtype.itemsize < numpy.itemsize:
        shape = shape[:-1]
    return (x.reshape(-1).view(numpy).reshape(shape),)


def _bitcast_element(
    attributes: BitcastConvertAttributes,
    operand_types: Sequence[TensorType],
    result_type: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    """Parts of a wider element are numbered along its last axis from the lowest bits up (little endian)."""
    source, target = operand_types[0].dtype, result_type.dtype
    if source.bits == target.bits:
        return scalar.bitcast(read(0, index), target)
    source_bits, target_bits = _unsigned(source), _unsigned(target)
    if source.bits > target.bits:
        whole = scalar.bitcast(read(0, index[:-1]), source_bits)
        places = scalar.convert(scalar.mul(index[-1], scalar.index(target.bits)), source_bits)
        part = scalar.convert(scalar.apply(Primitive.SHR, whole, places), target_bits)
        return scalar.bitcast(part, target)
    whole: Expr = Constant(0, target_bits)
    for number in range(target.bits // source.bits):
        part = scalar.convert(scalar.bitcast(read(0, (*index, scalar.index(number))), source_bits), target_bits)
        places = Constant(number * source.bits, target_bits)
        whole = scalar.apply(Primitive.OR, whole, scalar.apply(Primitive.SHL, part, places)) if number else part
    return scalar.bitcast(whole, target)


def _unsigned(dtype: DType) -> DType:
    return dtypes.BY_NAME[f"u{dtype.bits}"]


BITCAST_CONVERT = Op(
    "bitcast_convert",
    Kind.MOVEMENT,
    infer=_infer_bitcast,
    reference=_bitcast_reference,
    attributes=BitcastConvertAttributes,
    element=_bitcast_element,
)


def bitcast_convert(x: Var, dtype: DType) -> Var:
    """The bits of `x` read as another element type.

    To one k times narrower, a last axis of size k is added; to one k times wider, it is consumed.  The first
    part holds the lowest bits.
    """
    return BITCAST_CONVERT.apply_one(x, attributes=BitcastConvertAttributes(dtype))


@BITCAST_CONVERT.jvp
@BITCAST_CONVERT.vjp
def _(site: Site[BitcastConvertAttributes], given: Sequence[Var | None]) -> Sequence[Var | None]:
    return (None,)


@BITCAST_CONVERT.batch
def _(site: Site[BitcastConvertAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    return (bitcast_convert(site.operands[0], site.attributes.dtype),), (True,)
