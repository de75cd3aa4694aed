"""Convolutions with few output features per group (depthwise ones above all), and those of integers, as plain loops.

Vectors run along the result's innermost axis.  Where that is a spatial one, the input is staged
(`tenfoldc.lower.convolutions.staging`), so that a vector of results is a sum of products with rows of memory, held in
registers over the taps of a window.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr, For, If, Load, Mode, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.axes import SpatialAxis
from tenfoldc.lower.convolutions.staging import Layout, stage, staged_size
from tenfoldc.lower.convolutions.windows import Windows
from tenfoldc.lower.loop_nest import nest, turns
from tenfoldc.lower.products.product import delinearise

_TAPS_AT_A_TIME = 25
"""Taps whose products are added up in registers; sums go through memory once per so many."""
_VECTOR = 16
"""Rows of sums are computed in multiples of so many, which makes whole vectors of any dtype that takes long."""


def lower_feature_rows(ctx: LoweringContext, windows: Windows) -> Sequence[Statement]:
    """Rows hold all output features of one place; whether a window's element lies inside is asked once per row."""
    features = windows.groups * windows.group_features
    sums = ctx.scratch("sums", windows.result_type.dtype, (features,))
    row, position, channel = ctx.axis("row"), ctx.axis("position"), ctx.axis("channel")
    image, *outputs = delinearise(row, [windows.batch, *windows.output_sizes])
    window = delinearise(position, windows.window_sizes)

    def add(feature: Expr) -> Sequence[Statement]:
        group = _group(windows, feature)
        element = windows.input(image, group, outputs, window, channel)
        product = _multiply_add(Load(sums, (feature,)), element, windows.kernel(feature, window, channel))
        return [Store(sums, (feature,), product)]

    terms: Statement = For(channel, scalar.index(windows.group_channels), (_vector(ctx, features, add),))
    inside = _inside(windows, outputs, window, range(len(outputs)))
    if inside is not None:
        terms = If(inside, (terms,))
    zero = scalar.constant(0, sums.dtype)
    body = [
        _vector(ctx, features, lambda feature: [Store(sums, (feature,), zero)]),
        For(position, scalar.index(windows.positions), (terms,)),
        _vector(ctx, features, lambda feature: windows.write(image, feature, outputs, Load(sums, (feature,)))),
    ]
    return [turns(row, scalar.index(windows.batch * math.prod(windows.output_sizes)), body, (sums,))]


def lower_spatial_rows(ctx: LoweringContext, windows: Windows, axes: tuple[SpatialAxis, ...]) -> list[Statement]:
    """The outputs along `axes`, of which there is at least one; the taps and channels are at least 1."""
    return _SpatialRows(ctx, windows, axes).statements()


class _SpatialRows:
    """The loops over images and groups: the group's input is staged, and each row of outputs summed from it."""

    def __init__(self, ctx: LoweringContext, windows: Windows, axes: tuple[SpatialAxis, ...]) -> None:
        self.ctx, self.windows, self.axes = ctx, windows, axes
        self.dtype = windows.result_type.dtype
        self.layout = Layout(axes)
        self.width = axes[-1].outputs
        self.channels = windows.group_channels
        split = len(axes)
        taps = self.layout.taps
        while split > 0 and math.prod(taps[split - 1 :]) <= _TAPS_AT_A_TIME:
            split -= 1
        self.outer_taps, self.inner_taps = taps[:split], taps[split:]
        self.sums_once = math.prod(self.outer_taps) * self.channels == 1
        self.padded = self.width if self.width < _VECTOR // 2 else -(-self.width // 8) * 8
        shape = staged_size(self.layout, self.channels, _VECTOR)
        self.staged = ctx.scratch("staged", self.dtype, shape)
        self.goes_through_memory = not self.sums_once or self.padded != self.width
        self.sums = ctx.scratch("sums", self.dtype, (self.padded,)) if self.goes_through_memory else None

    def statements(self) -> list[Statement]:
        windows = self.windows
        private = [self.staged, *([] if self.sums is None else [self.sums])]

        def group(index: Sequence[Expr]) -> list[Statement]:
            image, own = index

            def read(channel: Expr, places: Sequence[Expr]) -> Expr:
                return windows.read_input(image, own, places, channel)

            staged = stage(self.ctx, self.layout, self.channels, _VECTOR, self.staged, read)

            def row(place: Sequence[Expr]) -> list[Statement]:
                number, *outputs = place
                return self._row(image, windows.feature(own, number), outputs)

            sizes = [windows.group_features, *(axis.outputs for axis in self.axes[:-1])]
            return [*staged, *nest(self.ctx, sizes, row, private=None if self.sums else ())]

        return list(nest(self.ctx, [windows.batch, windows.groups], group, private=private))

    def _row(self, image: Expr, feature: Expr, outer: Sequence[Expr]) -> list[Statement]:
        """One row of outputs."""

        def write(output: Expr, value: Expr) -> Sequence[Statement]:
            places = [axis.output(number) for axis, number in zip(self.axes, (*outer, output), strict=True)]
            return self.windows.write(image, feature, places, value)

        zero = scalar.constant(0, self.dtype)
        sums = self.sums

        def whole(o: Expr) -> Expr:
            return self._sum(zero, feature, scalar.index(0), outer, o, ())

        if sums is None:
            return [self._along(self.width, lambda o: write(o, whole(o)))]
        finish = self._along(self.width, lambda o: write(o, Load(sums, (o,))))
        if self.sums_once:
            return [self._along(self.padded, lambda o: [Store(sums, (o,), whole(o))]), finish]

        def add(index: Sequence[Expr]) -> Sequence[Statement]:
            channel, *taps = index

            def more(o: Expr) -> Sequence[Statement]:
                return [Store(sums, (o,), self._sum(Load(sums, (o,)), feature, channel, outer, o, taps))]

            return [self._along(self.padded, more)]

        terms = nest(self.ctx, [self.channels, *self.outer_taps], add, "tap")
        return [self._along(self.padded, lambda o: [Store(sums, (o,), zero)]), *terms, finish]

    def _sum(
        self, total: Expr, feature: Expr, channel: Expr, outer: Sequence[Expr], output: Expr, outer_taps: Sequence[Expr]
    ) -> Expr:
        """`total` and the products under all inner taps of one output."""
        origin = scalar.mul(channel, scalar.index(self.layout.plane))
        for number, stride in zip((*outer, output), self.layout.strides(), strict=True):
            origin = scalar.add(origin, scalar.mul(number, scalar.index(stride)))
        for inner in itertools.product(*map(range, self.inner_taps)):
            taps = (*outer_taps, *map(scalar.index, inner))
            element = Load(self.staged, (scalar.add(origin, self.layout.of_taps(taps)),))
            places = [axis.tap(tap) for axis, tap in zip(self.axes, taps, strict=True)]
            total = _multiply_add(total, element, self.windows.kernel_at(feature, places, channel))
        return total

    def _along(self, width: int, body: Callable[[Expr], Sequence[Statement]]) -> Statement:
        axis = self.ctx.axis("j", width)
        return For(axis, scalar.index(width), tuple(body(axis)), mode=Mode.VECTOR)


def _group(windows: Windows, feature: Expr) -> Expr:
    """The group that an output feature belongs to."""
    if windows.groups == 1:
        return scalar.index(0)
    return feature if windows.group_features == 1 else scalar.div(feature, scalar.index(windows.group_features))


def _inside(windows: Windows, outputs: Sequence[Expr], window: Sequence[Expr], axes: Sequence[int]) -> Expr | None:
    """Whether a window's element lies inside the input along `axes`; None where it always does."""
    inside: Expr | None = None
    for axis in axes:
        _, condition = windows.input_place(axis, outputs[axis], window[axis])
        if condition is not None:
            inside = condition if inside is None else scalar.logical_and(inside, condition)
    return inside


def _vector(ctx: LoweringContext, size: int, body: Callable[[Expr], Sequence[Statement]]) -> Statement:
    axis = ctx.axis("j")
    return For(axis, scalar.index(size), tuple(body(axis)), mode=Mode.VECTOR)


def _multiply_add(total: Expr, x: Expr, y: Expr) -> Expr:
    return scalar.fma(x, y, total) if total.dtype.is_float else scalar.add(total, scalar.mul(x, y))
