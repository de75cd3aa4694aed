"""A convolution's sizes, and its elements by number: the input under a window, the kernel, the result."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, Load, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.products.product import is_row_major, strides_in_memory
from tenfoldc.ops.convolution import ConvolutionAttributes


@frozen
class KernelRows:
    """Flat memory in which the taps of each output feature and channel lie side by side, in row-major order."""

    memory: Buffer
    feature: int
    channel: int

    def first(self, feature: Expr, channel: Expr) -> Expr:
        """Where the row of a feature and a channel begins."""
        of_feature = scalar.mul(feature, scalar.index(self.feature))
        return scalar.add(of_feature, scalar.mul(channel, scalar.index(self.channel)))


class Windows:
    """One convolution.  A group g pairs some input features, or some of the batch, with some output features.

    Per group there are `group_channels` input features and `group_features` output features; `batch` counts the
    result's images.  `features_last`: the output's features are its innermost axis.
    """

    def __init__(self, operation: Operation, ctx: LoweringContext) -> None:
        attributes = operation.attributes
        assert isinstance(attributes, ConvolutionAttributes)
        self.ctx = ctx
        self.attributes = attributes
        self.numbers = numbers = attributes.dimension_numbers
        inputs, kernel = (operand.type.sizes for operand in operation.operands)
        self.result_type = operation.results[0].type
        outputs = self.result_type.sizes
        self.input_shape, self.kernel_shape, self.output_shape = inputs, kernel, outputs
        self.groups = attributes.feature_group_count * attributes.batch_group_count
        self.group_channels = kernel[numbers.kernel_input_feature_dimension]
        self.group_features = kernel[numbers.kernel_output_feature_dimension] // self.groups
        self.batch = outputs[numbers.output_batch_dimension]
        self.input_sizes = [inputs[axis] for axis in numbers.input_spatial_dimensions]
        self.window_sizes = [kernel[axis] for axis in numbers.kernel_spatial_dimensions]
        self.output_sizes = [outputs[axis] for axis in numbers.output_spatial_dimensions]
        self.positions = math.prod(self.window_sizes)
        self.features_last = numbers.output_feature_dimension == len(outputs) - 1

    @property
    def is_pointwise(self) -> bool:
        """Whether each output depends on the one input at its own place, so that this is a product of matrices."""
        attributes = self.attributes
        no_padding = all(edges == (0, 0) for edges in attributes.padding)
        dense = all(step == 1 for step in (*attributes.window_strides, *attributes.lhs_dilation))
        return self.positions == 1 and no_padding and dense

    def input(
        self,
        image: Expr,
        group: Expr,
        outputs: Sequence[Expr],
        window: Sequence[Expr],
        channel: Expr,
    ) -> Expr:
        """The input element that a window covers, 0 in the padding and between dilated elements."""
        zero = scalar.constant(0, self.result_type.dtype)
        if 0 in self.input_shape:
            return zero
        places: list[Expr] = []
        inside: Expr | None = None
        for axis in range(len(self.input_sizes)):
            place, condition = self.input_place(axis, outputs[axis], window[axis])
            places.append(place)
            if condition is not None:
                inside = condition if inside is None else scalar.logical_and(inside, condition)
        element = scalar.convert(self.read_input(image, group, places, channel), self.result_type.dtype)
        return element if inside is None else scalar.select(inside, element, zero)

    def input_place(self, axis: int, output: Expr, window: Expr) -> tuple[Expr, Expr | None]:
        """The place along a spatial axis, clamped into the input, and the condition that it needed no clamping."""
        attributes, size = self.attributes, self.input_sizes[axis]
        low, _ = attributes.padding[axis]
        stride, dilation = attributes.window_strides[axis], attributes.rhs_dilation[axis]
        step = attributes.lhs_dilation[axis]
        place = self._place(axis, output, window)
        furthest = (self.output_sizes[axis] - 1) * stride + (self.window_sizes[axis] - 1) * dilation - low
        conditions: list[Expr] = []
        if low > 0:
            conditions.append(scalar.greater_equal(place, scalar.index(0)))
        if furthest > (size - 1) * step:
            conditions.append(scalar.less_equal(place, scalar.index((size - 1) * step)))
        if step > 1:
            conditions.append(scalar.equal(scalar.rem(place, scalar.index(step)), scalar.index(0)))
            place = scalar.div(place, scalar.index(step))
        if low > 0:
            place = scalar.maximum(place, scalar.index(0))
        if furthest > (size - 1) * step:
            place = scalar.minimum(place, scalar.index(size - 1))
        inside: Expr | None = None
        for condition in conditions:
            inside = condition if inside is None else scalar.logical_and(inside, condition)
        return place, inside

    def _place(self, axis: int, output: Expr, window: Expr) -> Expr:
        """The place along a spatial axis of the padded, dilated input, counted from the input's first element."""
        attributes = self.attributes
        at_output = scalar.mul(output, scalar.index(attributes.window_strides[axis]))
        place = scalar.add(at_output, scalar.mul(window, scalar.index(attributes.rhs_dilation[axis])))
        return scalar.sub(place, scalar.index(attributes.padding[axis][0]))

    def read_input(self, image: Expr, group: Expr, places: Sequence[Expr], channel: Expr) -> Expr:
        """The input element at places along the spatial axes, which must lie inside."""
        if self.attributes.batch_group_count > 1:
            image = scalar.add(scalar.mul(group, scalar.index(self.batch)), image)
        if self.attributes.feature_group_count > 1:
            channel = scalar.add(scalar.mul(group, scalar.index(self.group_channels)), channel)
        return self.ctx.read(0, _in_order(self.numbers.input, (image, channel, *places)))

    def kernel(self, feature: Expr, window: Sequence[Expr], channel: Expr) -> Expr:
        """The kernel element for an output feature."""
        places = [
            scalar.sub(scalar.index(size - 1), place) if reverse else place
            for place, size, reverse in zip(window, self.window_sizes, self.attributes.window_reversal, strict=True)
        ]
        return self.kernel_at(feature, places, channel)

    def kernel_at(self, feature: Expr, places: Sequence[Expr], channel: Expr) -> Expr:
        """The kernel element at places along the spatial axes as they lie in memory."""
        element = self.ctx.read(1, _in_order(self.numbers.kernel, (feature, channel, *places)))
        return scalar.convert(element, self.result_type.dtype)

    def feature(self, group: Expr, number: Expr) -> Expr:
        """The output feature that is the `number`th of a group."""
        return scalar.add(scalar.mul(group, scalar.index(self.group_features)), number)

    def write(self, image: Expr, feature: Expr, outputs: Sequence[Expr], value: Expr) -> Sequence[Statement]:
        """Store one element of the result."""
        return self.ctx.write(_in_order(self.numbers.output, (image, feature, *outputs)), value)

    def result_is(self, *order: int) -> bool:
        """Whether the result may be written in place, and its axes lie in memory in this order."""
        return not self.ctx.has_epilogue and list(order) == sorted(order)

    def kernel_lines_adjoin(self) -> bool:
        """Whether neighbours in the kernel's memory belong to neighbouring output features."""
        strides = self._strides(1, self.kernel_shape)[0]
        feature, channel, *_ = self.numbers.kernel
        return strides[feature] <= strides[channel]

    def kernel_pays_ahead(self) -> bool:
        """Whether the kernel is made of constants, and better kept in the order in which it is read."""
        size = math.prod(self.kernel_shape) * self.result_type.dtype.itemsize
        return self.ctx.pays_ahead(self.ctx.read(1, [self.ctx.axis("axis") for _ in self.kernel_shape]), size)

    def kernel_rows(self) -> KernelRows | None:
        """The kernel as it lies in memory; None where it is computed, or the taps of a feature do not adjoin."""
        strides, buffer = self._strides(1, self.kernel_shape)
        feature, channel, *spatial = self.numbers.kernel
        if buffer is None or buffer.dtype != self.result_type.dtype:
            return None
        if not is_row_major([strides[axis] for axis in spatial], self.window_sizes):
            return None
        flat = Buffer("kernel_rows", buffer.dtype, (math.prod(buffer.shape),), base=buffer)
        return KernelRows(flat, strides[feature], strides[channel])

    def matrix(self, operand: int, axes: Sequence[int], columns: int) -> Buffer | None:
        """An operand as a row-major matrix, where its axes lie densely in this order; None where they do not."""
        shape = (self.input_shape, self.kernel_shape)[operand]
        strides, buffer = self._strides(operand, shape)
        sizes = [shape[axis] for axis in axes]
        if buffer is None or buffer.dtype != self.result_type.dtype or math.prod(sizes) != math.prod(buffer.shape):
            return None
        if not columns or not is_row_major([strides[axis] for axis in axes], sizes):
            return None
        return Buffer("matrix", buffer.dtype, (math.prod(sizes) // columns, columns), base=buffer)

    def _strides(self, operand: int, shape: Sequence[int]) -> tuple[Sequence[int], Buffer | None]:
        """How an operand lies in memory; where it is computed, strides as if it were dense, and no buffer."""
        dense = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        if 0 in shape:
            return dense, None
        axes = [self.ctx.axis("axis") for _ in shape]
        element = self.ctx.read(operand, axes)
        strides = strides_in_memory(element, axes)
        return (dense, None) if strides is None or not isinstance(element, Load) else (strides, element.buffer)


def _in_order(axes: Sequence[int], parts: Sequence[Expr]) -> list[Expr]:
    """`parts`, each of which belongs to the axis at its place in `axes`, as an index."""
    index = dict(zip(axes, parts, strict=True))
    return [index[axis] for axis in range(len(parts))]
