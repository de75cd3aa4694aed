"""Ops that make tensors from nothing: constants and index sequences, and the functions that fill a shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, UnsupportedError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, ElementReader, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr
from tenfoldc.ops.broadcast import broadcast_in_dim


@frozen(eq=False)
class ConstantAttributes(Attributes):
    """A read-only array; where all elements are one, a broadcast view of that one with strides of 0."""

    value: Array

    # Comparing arrays would be slow, and the inherited comparison sees no field.

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


@frozen
class IotaAttributes(Attributes):
    """Counts along `iota_dimension` of a result of `result_type`."""

    iota_dimension: int
    result_type: TensorType


def splat_value(value: Array) -> bool | int | float | None:
    """The one element that `value` repeats, as `constant` stores it; None where it holds several or none."""
    repeats = all(size == 1 or stride == 0 for size, stride in zip(value.shape, value.strides, strict=True))
    return value[(0,) * value.ndim].item() if value.size and repeats else None


def _repeated(array: Array) -> Array:
    """`array`, as a broadcast view of its first element where all elements have the same bits."""
    if array.size == 0 or splat_value(array) is not None:
        return array
    first = array[(0,) * array.ndim]
    bits = array.view(np.uint8).reshape(array.size, array.itemsize)
    return np.broadcast_to(first, array.shape) if bool((bits == bits[0]).all()) else array


def _infer_constant(
    operands: Sequence[TensorType], attributes: ConstantAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    dtype = dtypes.from_numpy(attributes.value.dtype)
    if dtype is None:
        raise DTypeError(f"constant: there is no element type for NumPy's {attributes.value.dtype}")
    return (TensorType(dtype, attributes.value.shape),)


def _constant_reference(
    arrays: Sequence[Array], attributes: ConstantAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    return (attributes.value,)


def _constant_element(
    attributes: ConstantAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    value = splat_value(attributes.value)
    if value is None:
        raise UnsupportedError("constant: only equal elements are an expression; others are read from memory")
    return scalar.constant(value, result.dtype)


CONSTANT = Op(
    "constant",
    Kind.CREATION,
    attributes=ConstantAttributes,
    infer=_infer_constant,
    reference=_constant_reference,
    element=_constant_element,
)


@CONSTANT.jvp
def _(site: Site[ConstantAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    return (None,)


@CONSTANT.vjp
def _(site: Site[ConstantAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    return ()


def _infer_iota(
    operands: Sequence[TensorType], attributes: IotaAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    result, dimension = attributes.result_type, attributes.iota_dimension
    if not 0 <= dimension < result.rank:
        raise ArgumentError(f"iota: axis {dimension} is not one of {result}")
    if result.dtype.is_bool:
        raise DTypeError("iota: a bool cannot count", mend="use an integer type and compare")
    return (result,)


def _iota_reference(
    arrays: Sequence[Array], attributes: IotaAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    result, dimension = attributes.result_type, attributes.iota_dimension
    count = np.arange(result.sizes[dimension]).astype(result.dtype.numpy)
    aligned = [1] * result.rank
    aligned[dimension] = count.size
    return (np.broadcast_to(count.reshape(aligned), result.sizes),)


def _iota_element(
    attributes: IotaAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    return scalar.convert(index[attributes.iota_dimension], result.dtype)


IOTA = Op(
    "iota",
    Kind.CREATION,
    attributes=IotaAttributes,
    infer=_infer_iota,
    reference=_iota_reference,
    element=_iota_element,
)


@IOTA.jvp
def _(site: Site[IotaAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    return (None,)


@IOTA.vjp
def _(site: Site[IotaAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    return ()


def _converted(value: ArrayLike, dtype: DType | None) -> Array:
    with np.errstate(over="ignore"):  # a float too large for `dtype` becomes an infinity
        return np.asarray(value, dtype=None if dtype is None else dtype.numpy)


def constant(builder: Builder, value: ArrayLike, dtype: DType | None = None) -> Var:
    """`value` as a tensor, converted to `dtype` where given; the array is copied unless it is read-only.

    Raises `DTypeError` where NumPy's dtype has no element type here.
    """
    array = _converted(value, dtype)
    if array.flags.writeable:
        array = np.array(array, order="C")
        array.setflags(write=False)
    if splat_value(array) is None:
        array = np.ascontiguousarray(array)
        array.setflags(write=False)
    (result,) = builder.emit(CONSTANT, (), ConstantAttributes(_repeated(array)))
    return result


def full(builder: Builder, type: TensorType, value: bool | int | float) -> Var:  # noqa: A002 - the field's name
    """A tensor of `type` with every element `value`; sizes may be symbolic."""
    if all(isinstance(size, int) for size in type.shape):
        return constant(builder, np.broadcast_to(_converted(value, type.dtype), type.sizes))
    return broadcast_in_dim(constant(builder, value, type.dtype), type.shape, ())


def full_like(x: Var, value: bool | int | float) -> Var:
    """A tensor of the type of `x` with every element `value`."""
    return full(x.builder, x.type, value)


def zeros_like(x: Var) -> Var:
    """Zeros (False for bools) of the type of `x`."""
    return full_like(x, 0)


def ones_like(x: Var) -> Var:
    """Ones (True for bools) of the type of `x`."""
    return full_like(x, 1)


def iota(builder: Builder, type: TensorType, dimension: int) -> Var:  # noqa: A002 - the field's name
    """The index along `dimension` at every element of a tensor of `type`: integers or floats.

    Raises `ArgumentError` where `dimension` is out of range, `DTypeError` for bool.
    """
    (result,) = builder.emit(IOTA, (), IotaAttributes(dimension, type))
    return result
