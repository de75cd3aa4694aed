"""`convolution` with all of StableHLO's attributes: any number of spatial axes, strides, padding, dilation, groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import Dim, TensorType, static_shape
from tenfoldc.ops.broadcast import check_axes
from tenfoldc.ops.contraction import (
    bilinear_tangent,
    converted,
    element_type,
    narrowed,
    product_dtype,
    widened,
)
from tenfoldc.ops.creation import full, zeros_like
from tenfoldc.ops.slicing import pad_array

Axes: TypeAlias = tuple[int, ...]


@frozen
class ConvDimensionNumbers:
    """What the axes of input, kernel and output are for."""

    input_batch_dimension: int
    input_feature_dimension: int
    input_spatial_dimensions: Axes
    kernel_input_feature_dimension: int
    kernel_output_feature_dimension: int
    kernel_spatial_dimensions: Axes
    output_batch_dimension: int
    output_feature_dimension: int
    output_spatial_dimensions: Axes

    @property
    def input(self) -> Axes:
        """Axes of the input: batch, feature, spatial."""
        return (self.input_batch_dimension, self.input_feature_dimension, *self.input_spatial_dimensions)

    @property
    def kernel(self) -> Axes:
        """Axes of the kernel: output feature, input feature, spatial."""
        return (
            self.kernel_output_feature_dimension,
            self.kernel_input_feature_dimension,
            *self.kernel_spatial_dimensions,
        )

    @property
    def output(self) -> Axes:
        """Axes of the output: batch, feature, spatial."""
        return (self.output_batch_dimension, self.output_feature_dimension, *self.output_spatial_dimensions)

    @classmethod
    def of(cls, lhs: Axes, rhs: Axes, out: Axes) -> ConvDimensionNumbers:
        """From the axes as `input`, `kernel` and `output` give them."""
        return cls(lhs[0], lhs[1], lhs[2:], rhs[1], rhs[0], rhs[2:], out[0], out[1], out[2:])


@frozen
class ConvolutionAttributes(Attributes):
    """All sequences have an entry per spatial axis; `padding` holds (low, high), which may be negative.

    `feature_group_count` splits input features into groups that meet only their own kernels;
    `batch_group_count` splits the input's batch so.  At most one of them is more than 1.
    """

    dimension_numbers: ConvDimensionNumbers
    window_strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    lhs_dilation: tuple[int, ...]
    rhs_dilation: tuple[int, ...]
    window_reversal: tuple[bool, ...]
    feature_group_count: int = 1
    batch_group_count: int = 1
    precision_config: tuple[str, ...] = ("DEFAULT", "DEFAULT")
    result_dtype: DType | None = None


def dilated_size(size: int, dilation: int) -> int:
    """The extent of `size` elements that lie `dilation` apart."""
    return max((size - 1) * dilation + 1, 0)


def _check_attributes(lhs: TensorType, rhs: TensorType, attributes: ConvolutionAttributes) -> None:
    numbers = attributes.dimension_numbers
    spatial = len(numbers.input_spatial_dimensions)
    for name, axes, type_ in (("input", numbers.input, lhs), ("kernel", numbers.kernel, rhs)):
        if len(axes) != type_.rank or type_.rank != spatial + 2:
            raise ShapeError(f"convolution: {type_} ({name}) does not have {len(axes)} axes as its dimension numbers")
        check_axes("convolution", f"the {name}'s dimension numbers", axes, type_.rank)
    if len(numbers.output) != spatial + 2:
        raise ArgumentError(f"convolution: {len(numbers.output)} output axes, but {spatial + 2} input axes")
    check_axes("convolution", "the output's dimension numbers", numbers.output, spatial + 2)
    positive = {
        "window_strides": attributes.window_strides,
        "lhs_dilation": attributes.lhs_dilation,
        "rhs_dilation": attributes.rhs_dilation,
    }
    edges = {"padding": attributes.padding, "window_reversal": attributes.window_reversal}
    for name, values in {**positive, **edges}.items():
        if len(values) != spatial:
            raise ArgumentError(f"convolution: {len(values)} entries of {name} for {spatial} spatial axes")
    for name, values in positive.items():
        if any(value < 1 for value in values):
            raise ArgumentError(f"convolution: {name} must be positive, got {list(values)}")
    if min(attributes.feature_group_count, attributes.batch_group_count) < 1:
        raise ArgumentError("convolution: group counts must be positive")
    if attributes.feature_group_count > 1 and attributes.batch_group_count > 1:
        raise ArgumentError("convolution: feature_group_count and batch_group_count are both more than 1")


def _static(name: str, type_: TensorType, axes: Sequence[int]) -> tuple[int, ...]:
    try:
        return static_shape(tuple(type_.shape[axis] for axis in axes))
    except ValueError:
        raise ShapeError(f"convolution: features and spatial axes of {type_} ({name}) need known sizes") from None


def _output_batch(batch: Dim, groups: int) -> Dim:
    if groups == 1:
        return batch
    if not isinstance(batch, int):
        raise ShapeError(f"convolution: batch_group_count {groups} cannot split the symbolic size {batch}")
    if batch % groups:
        raise ShapeError(f"convolution: batch_group_count {groups} does not divide the batch of {batch}")
    return batch // groups


def _output_sizes(sizes: Sequence[int], windows: Sequence[int], attributes: ConvolutionAttributes) -> list[int]:
    """Number of windows along each spatial axis."""
    if any(window < 1 for window in windows):
        raise ShapeError(f"convolution: the kernel's spatial sizes {list(windows)} must be positive")
    counts: list[int] = []
    for axis, (size, window) in enumerate(zip(sizes, windows, strict=True)):
        padded = dilated_size(size, attributes.lhs_dilation[axis]) + sum(attributes.padding[axis])
        room = padded - dilated_size(window, attributes.rhs_dilation[axis])
        counts.append(room // attributes.window_strides[axis] + 1 if room >= 0 else 0)
    return counts


def _infer(
    operands: Sequence[TensorType], attributes: ConvolutionAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    lhs, rhs = operands
    dtype = product_dtype("convolution", lhs, rhs, attributes.precision_config, attributes.result_dtype)
    _check_attributes(lhs, rhs, attributes)
    numbers = attributes.dimension_numbers
    features, *sizes = _static("input", lhs, numbers.input[1:])
    outputs, inputs, *windows = _static("kernel", rhs, numbers.kernel)
    if features != inputs * attributes.feature_group_count:
        raise ShapeError(
            f"convolution: {features} input features (lhs, axis {numbers.input_feature_dimension}) do not match "
            f"{inputs} (rhs, axis {numbers.kernel_input_feature_dimension}) times "
            f"{attributes.feature_group_count} feature groups"
        )
    groups = max(attributes.feature_group_count, attributes.batch_group_count)
    if outputs % groups:
        raise ShapeError(f"convolution: {groups} groups do not divide the {outputs} output features")
    batch = _output_batch(lhs.shape[numbers.input_batch_dimension], attributes.batch_group_count)
    found: list[Dim] = [batch, outputs, *_output_sizes(sizes, windows, attributes)]
    places = dict(zip(numbers.output, found, strict=True))
    return (TensorType(dtype, tuple(places[axis] for axis in range(len(found)))),)


def _windows(x: Array, sizes: Sequence[int], counts: Sequence[int], attributes: ConvolutionAttributes) -> Array:
    """A view of shape (batch, feature, *counts, *sizes): the elements of `x` that each window covers."""
    low, high = ([0, 0, *(edges[side] for edges in attributes.padding)] for side in (0, 1))
    padded = pad_array(x, 0, low, high, [0, 0, *(dilation - 1 for dilation in attributes.lhs_dilation)])
    steps = padded.strides[2:]
    strides = [
        *padded.strides[:2],
        *(step * stride for step, stride in zip(steps, attributes.window_strides, strict=True)),
        *(step * dilation for step, dilation in zip(steps, attributes.rhs_dilation, strict=True)),
    ]
    return np.lib.stride_tricks.as_strided(padded, (*x.shape[:2], *counts, *sizes), strides, writeable=False)


def _reference(
    arrays: Sequence[Array], attributes: ConvolutionAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    numbers, groups = attributes.dimension_numbers, attributes.feature_group_count * attributes.batch_group_count
    dtype = attributes.result_dtype or element_type(arrays[0])
    x, kernel = (widened(array.astype(dtype.numpy)) for array in arrays)
    x, kernel = x.transpose(numbers.input), kernel.transpose(numbers.kernel)
    turned = tuple(axis + 2 for axis, reverse in enumerate(attributes.window_reversal) if reverse)
    kernel = np.flip(kernel, turned)
    counts = _output_sizes(x.shape[2:], kernel.shape[2:], attributes)
    shape = (x.shape[0] // attributes.batch_group_count, kernel.shape[0], *counts)
    total = np.zeros(shape, x.dtype)
    if total.size:
        windows = _windows(x, kernel.shape[2:], counts, attributes)
        split_axis = 0 if attributes.batch_group_count > 1 else 1
        inside = [1, *range(2 + len(counts), windows.ndim)]
        with np.errstate(all="ignore"):
            parts = [
                np.tensordot(part, rows, (inside, list(range(1, kernel.ndim))))
                for part, rows in zip(np.split(windows, groups, split_axis), np.split(kernel, groups), strict=True)
            ]
        total = np.moveaxis(np.concatenate(parts, -1), -1, 1)
    with np.errstate(all="ignore"):
        return (narrowed(total.transpose(np.argsort(numbers.output)), dtype),)


CONVOLUTION = Op("convolution", Kind.CONTRACTION, attributes=ConvolutionAttributes, infer=_infer, reference=_reference)


def convolution(
    lhs: Var,
    rhs: Var,
    dimension_numbers: ConvDimensionNumbers,
    *,
    window_strides: Sequence[int] | None = None,
    padding: Sequence[tuple[int, int]] | None = None,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    window_reversal: Sequence[bool] | None = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: str = "default",
    result_dtype: DType | None = None,
) -> Var:
    """Slide the kernel `rhs` over the input `lhs` and sum the products in each window.

    `padding` adds zeros after `lhs_dilation` has spread the input; strides and dilations default to 1, padding to
    0.  The kernel is not mirrored unless `window_reversal` says so.  Raises `ShapeError` where features, groups
    or ranks do not fit, `DTypeError` where dtypes differ, `ArgumentError` for attributes that mean nothing.
    """
    spatial = len(dimension_numbers.input_spatial_dimensions)
    ones = (1,) * spatial
    attributes = ConvolutionAttributes(
        dimension_numbers,
        ones if window_strides is None else tuple(window_strides),
        ((0, 0),) * spatial if padding is None else tuple((low, high) for low, high in padding),
        ones if lhs_dilation is None else tuple(lhs_dilation),
        ones if rhs_dilation is None else tuple(rhs_dilation),
        (False,) * spatial if window_reversal is None else tuple(window_reversal),
        feature_group_count,
        batch_group_count,
        (precision.upper(),) * 2,
        result_dtype,
    )
    return CONVOLUTION.apply_one(lhs, rhs, attributes=attributes)


# Derivatives: both cotangents are convolutions, as in "A guide to convolution arithmetic for deep learning"
# (Dumoulin and Visin, 2016) for the input's; strides and dilations change places.


@CONVOLUTION.jvp
def _(site: Site[ConvolutionAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    return (bilinear_tangent(CONVOLUTION, site, tangents),)


@CONVOLUTION.vjp
def _(site: Site[ConvolutionAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None, None)
    (lhs, rhs), of = site.operands, site.attributes
    if 0 in (*lhs.shape, *rhs.shape, *cotangent.shape):
        return (zeros_like(lhs), zeros_like(rhs))
    spatial = of.dimension_numbers.kernel_spatial_dimensions
    turned = [axis for axis, reverse in zip(spatial, of.window_reversal, strict=True) if reverse]
    wide_lhs, wide_rhs = converted(lhs, cotangent.dtype), converted(rhs, cotangent.dtype)
    plain = replace(of, window_reversal=(False,) * len(spatial), result_dtype=None)
    by_lhs = _input_cotangent(cotangent, wide_lhs, ops.reverse(wide_rhs, turned) if turned else wide_rhs, plain)
    by_rhs = _kernel_cotangent(cotangent, wide_lhs, wide_rhs, plain)
    if turned:
        by_rhs = ops.reverse(by_rhs, turned)
    return (converted(by_lhs, lhs.dtype), converted(by_rhs, rhs.dtype))


@frozen
class _Extents:
    """Sizes along one spatial axis, with the gaps that dilation and strides make."""

    input: int
    window: int
    output: int
    low: int


def _extents(cotangent: Var, lhs: Var, rhs: Var, of: ConvolutionAttributes) -> list[_Extents]:
    numbers = of.dimension_numbers
    return [
        _Extents(
            dilated_size(size, of.lhs_dilation[axis]),
            dilated_size(window, of.rhs_dilation[axis]),
            dilated_size(count, of.window_strides[axis]),
            of.padding[axis][0],
        )
        for axis, (size, window, count) in enumerate(
            zip(
                _static("input", lhs.type, numbers.input_spatial_dimensions),
                _static("kernel", rhs.type, numbers.kernel_spatial_dimensions),
                _static("output", cotangent.type, numbers.output_spatial_dimensions),
                strict=True,
            )
        )
    ]


def _input_cotangent(cotangent: Var, lhs: Var, rhs: Var, of: ConvolutionAttributes) -> Var:
    """The output's cotangent, spread by the strides, under the mirrored kernel with its features exchanged."""
    numbers = of.dimension_numbers
    groups = max(of.feature_group_count, of.batch_group_count)
    outputs, inputs, *spatial = numbers.kernel
    kernel = ops.reverse(rhs, spatial)
    if groups > 1:  # each group's outputs become inputs of that group alone
        kernel = _merge_axis(_split_axis(kernel, outputs, groups), outputs, inputs)
    padding: list[tuple[int, int]] = []
    for extents in _extents(cotangent, lhs, rhs, of):
        before = extents.window - extents.low - 1
        padding.append((before, extents.input + extents.window - 1 - extents.output - before))
    transposed = replace(
        of,
        dimension_numbers=ConvDimensionNumbers.of(numbers.output, (inputs, outputs, *spatial), numbers.input),
        window_strides=of.lhs_dilation,
        padding=tuple(padding),
        lhs_dilation=of.window_strides,
        feature_group_count=groups,
        batch_group_count=1,
    )
    result = CONVOLUTION.apply_one(cotangent, kernel, attributes=transposed)
    if of.batch_group_count > 1:
        batch, feature, *_ = numbers.input
        result = _merge_axis(_split_axis(result, feature, groups), feature, batch)
    return result


def _kernel_cotangent(cotangent: Var, lhs: Var, rhs: Var, of: ConvolutionAttributes) -> Var:
    """The input under the output's cotangent as a kernel; batch and features exchange their roles."""
    numbers = of.dimension_numbers
    if max(of.lhs_dilation, default=1) > 1 and max(of.window_strides) == 1 and of.batch_group_count == 1:
        return _kernel_cotangent_of_spread(cotangent, lhs, rhs, of)
    lhs_axes, kernel_axes, out_axes = (_exchanged(axes) for axes in (numbers.input, numbers.output, numbers.kernel))
    padding = [
        (extents.low, extents.output - extents.input + extents.window - extents.low - 1)
        for extents in _extents(cotangent, lhs, rhs, of)
    ]
    transposed = replace(
        of,
        dimension_numbers=ConvDimensionNumbers.of(lhs_axes, kernel_axes, out_axes),
        window_strides=of.rhs_dilation,
        padding=tuple(padding),
        rhs_dilation=of.window_strides,
        feature_group_count=of.batch_group_count,
        batch_group_count=of.feature_group_count,
    )
    return CONVOLUTION.apply_one(lhs, cotangent, attributes=transposed)


def _kernel_cotangent_of_spread(cotangent: Var, lhs: Var, rhs: Var, of: ConvolutionAttributes) -> Var:
    """The output's cotangent under the input as a kernel, mirrored: no zeros are met between the input's elements."""
    numbers, groups = of.dimension_numbers, of.feature_group_count
    outputs, inputs, *spatial = numbers.kernel
    padding: list[tuple[int, int]] = []
    for extents in _extents(cotangent, lhs, rhs, of):
        before = extents.window - 1 - extents.low
        padding.append((before, extents.window - 1 + extents.input - extents.output - before))
    transposed = replace(
        of,
        dimension_numbers=ConvDimensionNumbers.of(
            _exchanged(numbers.output), _exchanged(numbers.input), (outputs, inputs, *spatial)
        ),
        window_strides=of.rhs_dilation,
        padding=tuple(padding),
        lhs_dilation=(1,) * len(spatial),
        rhs_dilation=of.lhs_dilation,
        feature_group_count=1,
        batch_group_count=groups,
    )
    result = ops.reverse(CONVOLUTION.apply_one(cotangent, lhs, attributes=transposed), spatial)
    return _merge_axis(_split_axis(result, inputs, groups), inputs, outputs) if groups > 1 else result


def _exchanged(axes: Axes) -> Axes:
    return (axes[1], axes[0], *axes[2:])


def _split_axis(x: Var, axis: int, outer: int) -> Var:
    """Make two axes of one: `outer` parts, and what each holds."""
    size = static_shape((x.shape[axis],))[0]
    return ops.reshape(x, (*x.shape[:axis], outer, size // outer, *x.shape[axis + 1 :]))


def _merge_axis(x: Var, source: int, target: int) -> Var:
    """Move axis `source` in front of what is axis `target` without it, and make one axis of the two."""
    order = [axis for axis in range(x.rank) if axis != source]
    order.insert(target, source)
    moved = ops.transpose(x, order)
    outer, inner = static_shape(moved.shape[target : target + 2])
    return ops.reshape(moved, (*moved.shape[:target], outer * inner, *moved.shape[target + 2 :]))


def _to_front(x: Var, axis: int) -> Var:
    return ops.transpose(x, [axis, *(other for other in range(x.rank) if other != axis)])


# Batching: the batch axis becomes part of the batch, of the features, or, if both operands have it, of the groups.


@CONVOLUTION.batch
def _(site: Site[ConvolutionAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    (lhs, rhs), of = site.operands, site.attributes
    if size == 0:
        inner = [TensorType(x.dtype, x.shape[int(flag) :]) for x, flag in zip(site.operands, batched, strict=True)]
        (type_,) = _infer(inner, of, ())
        return (full(lhs.builder, type_.with_shape((0, *type_.shape)), 0),), (True,)
    if all(batched):
        result = _batch_both(lhs, rhs, of, size)
    elif batched[0]:
        result = _batch_input(lhs, rhs, of, size)
    else:
        result = _batch_kernel(lhs, rhs, of, size)
    return (result,), (True,)


def _batch_both(lhs: Var, rhs: Var, of: ConvolutionAttributes, size: int) -> Var:
    numbers = of.dimension_numbers
    if of.batch_group_count > 1:
        lhs = _merge_axis(lhs, 0, numbers.input_batch_dimension)
        grouped = replace(of, batch_group_count=of.batch_group_count * size)
    else:
        lhs = _merge_axis(lhs, 0, numbers.input_feature_dimension)
        grouped = replace(of, feature_group_count=of.feature_group_count * size)
    rhs = _merge_axis(rhs, 0, numbers.kernel_output_feature_dimension)
    result = CONVOLUTION.apply_one(lhs, rhs, attributes=grouped)
    return _to_front(_split_axis(result, numbers.output_feature_dimension, size), numbers.output_feature_dimension)


def _batch_input(lhs: Var, rhs: Var, of: ConvolutionAttributes, size: int) -> Var:
    numbers, groups = of.dimension_numbers, of.batch_group_count
    axis, output = numbers.input_batch_dimension, numbers.output_batch_dimension
    if groups == 1:
        lhs = _merge_axis(lhs, 0, axis)
    else:  # the groups stay outermost: (groups, size, rest of the batch)
        split = _split_axis(lhs, axis + 1, groups)
        lhs = _merge_axis(_merge_axis(split, 0, axis + 1), axis, axis)
    result = CONVOLUTION.apply_one(lhs, rhs, attributes=of)
    return _to_front(_split_axis(result, output, size), output)


def _batch_kernel(lhs: Var, rhs: Var, of: ConvolutionAttributes, size: int) -> Var:
    numbers, groups = of.dimension_numbers, max(of.feature_group_count, of.batch_group_count)
    axis, output = numbers.kernel_output_feature_dimension, numbers.output_feature_dimension
    if groups == 1:
        result = CONVOLUTION.apply_one(lhs, _merge_axis(rhs, 0, axis), attributes=of)
        return _to_front(_split_axis(result, output, size), output)
    split = _split_axis(rhs, axis + 1, groups)
    merged = _merge_axis(_merge_axis(split, 0, axis + 1), axis, axis)
    result = CONVOLUTION.apply_one(lhs, merged, attributes=of)
    parts = _split_axis(_split_axis(result, output, groups), output + 1, size)
    return _merge_axis(_to_front(parts, output + 1), output + 1, output + 1)
