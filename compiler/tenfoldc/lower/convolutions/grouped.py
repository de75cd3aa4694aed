"""Convolutions with few output features per group (depthwise ones above all) as plain loops over vectors of results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, For, If, Load, Mode, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.windows import Windows
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.product import delinearise


def lower_grouped(ctx: LoweringContext, windows: Windows) -> Sequence[Statement]:
    """The loops of a convolution, one row of results at a time: its features, or its innermost spatial axis."""
    if windows.features_last or not windows.output_sizes:
        return _feature_rows(ctx, windows)
    return _spatial_rows(ctx, windows)


def _feature_rows(ctx: LoweringContext, windows: Windows) -> Sequence[Statement]:
    """Rows hold all output features of one place; whether a window's element lies inside is asked once per row."""
    features = windows.groups * windows.group_features
    sums = ctx.scratch("sums", windows.result_type.dtype, (features,))
    row, position, channel = ctx.axis("row"), ctx.axis("position"), ctx.axis("channel")
    image, *outputs = delinearise(row, [windows.batch, *windows.output_sizes])
    window = delinearise(position, windows.window_sizes)

    def add(feature: Expr) -> Sequence[Statement]:
        group = _group(windows, feature)
        element = windows.input(image, group, outputs, window, channel)
        return [_accumulate(sums, feature, element, windows.kernel(feature, window, channel))]

    terms: Statement = For(channel, scalar.index(windows.group_channels), (_vector(ctx, features, add),))
    inside = _inside(windows, outputs, window, range(len(outputs)))
    if inside is not None:
        terms = If(inside, (terms,))
    body = [
        _clear(ctx, sums),
        For(position, scalar.index(windows.positions), (terms,)),
        _vector(ctx, features, lambda feature: windows.write(image, feature, outputs, Load(sums, (feature,)))),
    ]
    return [turns(row, scalar.index(windows.batch * math.prod(windows.output_sizes)), body, (sums,))]


def _spatial_rows(ctx: LoweringContext, windows: Windows) -> Sequence[Statement]:
    """Rows run along the innermost spatial axis; of each only the part whose window element lies inside is visited."""
    *outer_sizes, width = windows.output_sizes
    last = len(outer_sizes)
    sums = ctx.scratch("sums", windows.result_type.dtype, (width,))
    row, position, channel = ctx.axis("row"), ctx.axis("position"), ctx.axis("channel")
    features = windows.groups * windows.group_features
    image, feature, *outer = delinearise(row, [windows.batch, features, *outer_sizes])
    group = _group(windows, feature)
    window = delinearise(position, windows.window_sizes)
    first, count = windows.inside_range(last, window[last])

    def add(number: Expr) -> Sequence[Statement]:
        output = scalar.add(first, number)
        element = windows.input(image, group, [*outer, output], window, channel, unchecked=last)
        return [_accumulate(sums, output, element, windows.kernel(feature, window, channel))]

    step = ctx.axis("step")
    terms: Statement = For(step, count, tuple(add(step)), mode=Mode.VECTOR)
    terms = For(channel, scalar.index(windows.group_channels), (terms,))
    inside = _inside(windows, outer, window, range(last))
    if inside is not None:
        terms = If(inside, (terms,))
    body = [
        _clear(ctx, sums),
        For(position, scalar.index(windows.positions), (terms,)),
        _vector(ctx, width, lambda o: windows.write(image, feature, [*outer, o], Load(sums, (o,)))),
    ]
    return [turns(row, scalar.index(windows.batch * features * math.prod(outer_sizes)), body, (sums,))]


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


def _clear(ctx: LoweringContext, sums: Buffer) -> Statement:
    zero = scalar.constant(0, sums.dtype)
    return _vector(ctx, sums.shape[0], lambda number: [Store(sums, (number,), zero)])


def _vector(ctx: LoweringContext, size: int, body: Callable[[Expr], Sequence[Statement]]) -> Statement:
    axis = ctx.axis("j")
    return For(axis, scalar.index(size), tuple(body(axis)), mode=Mode.VECTOR)


def _accumulate(sums: Buffer, place: Expr, x: Expr, y: Expr) -> Statement:
    total = Load(sums, (place,))
    value = scalar.fma(x, y, total) if sums.dtype.is_float else scalar.add(total, scalar.mul(x, y))
    return Store(sums, (place,), value)
