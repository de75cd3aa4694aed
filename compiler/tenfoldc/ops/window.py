"""Sliding windows: `reduce_window`, which combines each window, and `select_and_scatter`, which chooses in it.

The initial value of `reduce_window` is combined once per window, before the window's elements in row-major
order; positions in the padding and between dilated elements are skipped, for which StableHLO's rule that body and
initial value form a monoid leaves room.  Derivatives are in `tenfoldc.ops.window_derivatives`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import Dim, FunctionType, TensorType
from tenfoldc.ops.broadcast import add_batch_axis, broadcast_in_dim
from tenfoldc.ops.creation import full
from tenfoldc.ops.reducer import (
    Body,
    body_of,
    build_body,
    check_body,
    describe,
    neutral_values,
    recognise,
    split_operands,
)

Meeting: TypeAlias = tuple[list[int], list[int]]
"""Windows, and the elements that they meet at one of their steps."""

# Geometry


@frozen
class WindowAxis:
    """How windows lie along one axis of `size` elements.

    Step k of window o is at position o * stride + k * window_dilation - low; element i is at position
    i * base_dilation.
    """

    size: int
    window: int
    stride: int = 1
    base_dilation: int = 1
    window_dilation: int = 1
    low: int = 0
    high: int = 0

    @property
    def windows(self) -> int:
        """How many windows there are."""
        dilated = (self.size - 1) * self.base_dilation + 1 if self.size else 0
        room = self.low + dilated + self.high - ((self.window - 1) * self.window_dilation + 1)
        return room // self.stride + 1 if room >= 0 else 0

    @property
    def trivial(self) -> bool:
        """Whether each window is one element, in order."""
        return self == WindowAxis(self.size, 1)

    def elements(self, step: int) -> Meeting:
        """The windows whose step number `step` meets an element, and those elements."""
        windows: list[int] = []
        elements: list[int] = []
        for window in range(self.windows):
            position = window * self.stride + step * self.window_dilation - self.low
            if position % self.base_dilation == 0 and 0 <= position // self.base_dilation < self.size:
                windows.append(window)
                elements.append(position // self.base_dilation)
        return windows, elements


@frozen
class ReduceWindowAttributes(Attributes):
    """Per axis, the shape of windows, their steps, the dilations, and (low, high) padding, which may be negative.

    What is left empty stands for ones, for the padding zeros, and is filled in.
    """

    window_dimensions: tuple[int, ...]
    window_strides: tuple[int, ...] = ()
    base_dilations: tuple[int, ...] = ()
    window_dilations: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        ones = (1,) * len(self.window_dimensions)
        for name in ("window_strides", "base_dilations", "window_dilations"):
            object.__setattr__(self, name, getattr(self, name) or ones)
        object.__setattr__(self, "padding", self.padding or ((0, 0),) * len(ones))

    def axis(self, number: int, size: int) -> WindowAxis:
        """The windows along axis `number` of an operand that has `size` elements there."""
        low, high = self.padding[number]
        return WindowAxis(
            size,
            self.window_dimensions[number],
            self.window_strides[number],
            self.base_dilations[number],
            self.window_dilations[number],
            low,
            high,
        )

    def axes(self, sizes: Sequence[int]) -> list[WindowAxis]:
        """The windows along all axes of an operand of shape `sizes`."""
        return [self.axis(number, size) for number, size in enumerate(sizes)]


@frozen
class SelectAndScatterAttributes(Attributes):
    """Per axis, the shape of windows, their steps, and (low, high) padding; left empty, ones and zeros."""

    window_dimensions: tuple[int, ...]
    window_strides: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        ones = (1,) * len(self.window_dimensions)
        object.__setattr__(self, "window_strides", self.window_strides or ones)
        object.__setattr__(self, "padding", self.padding or ((0, 0),) * len(ones))

    def windows(self) -> ReduceWindowAttributes:
        """The same windows as `reduce_window` has them."""
        return ReduceWindowAttributes(self.window_dimensions, self.window_strides, padding=self.padding)


@frozen
class RunningAxis:
    """Windows that run along `dimension` from its first element, in `reverse` from its last, to their own."""

    dimension: int
    reverse: bool


def running_axis(attributes: ReduceWindowAttributes, shape: Sequence[Dim]) -> RunningAxis | None:
    """The axis of a cumulative reduction, as `cumulative_sum` makes it; None for other windows."""
    axes = {n: attributes.axis(n, size) for n, size in enumerate(shape) if isinstance(size, int)}
    running = [(n, axis) for n, axis in axes.items() if not axis.trivial]
    if len(running) != 1:
        return None
    ((dimension, axis),) = running
    for reverse in (False, True):
        before = axis.size - 1
        low, high = (0, before) if reverse else (before, 0)
        if axis == WindowAxis(axis.size, axis.size, low=low, high=high):
            return RunningAxis(dimension, reverse)
    return None


def _result_shape(name: str, operand: TensorType, attributes: ReduceWindowAttributes) -> tuple[Dim, ...]:
    given = {
        "window_dimensions": attributes.window_dimensions,
        "window_strides": attributes.window_strides,
        "base_dilations": attributes.base_dilations,
        "window_dilations": attributes.window_dilations,
        "padding": attributes.padding,
    }
    for what, values in given.items():
        if len(values) != operand.rank:
            raise ShapeError(f"{name}: {what} has {len(values)} entries, but {operand} has {operand.rank} axes")
        for axis, value in enumerate(values):
            if isinstance(value, int) and value < 1:
                raise ArgumentError(f"{name}: {what} is {value} (axis {axis}), needs at least 1")
    shape: list[Dim] = []
    for number, size in enumerate(operand.shape):
        if isinstance(size, int):
            shape.append(attributes.axis(number, size).windows)
        elif attributes.axis(number, 1).trivial:
            shape.append(size)
        else:
            raise UnsupportedError(f"{name}: windows along the symbolic size {size} (operand, axis {number})")
    return tuple(shape)


def _steps(axes: Sequence[WindowAxis]) -> Iterator[tuple[tuple[Array, ...], tuple[Array, ...]]]:
    """For each step of a window, in row-major order: which windows meet which elements, as index arrays."""
    met: list[list[Meeting]] = [[axis.elements(step) for step in range(axis.window)] for axis in axes]
    for steps in np.ndindex(*(axis.window for axis in axes)):
        pairs = [along[int(step)] for along, step in zip(met, steps, strict=True)]
        windows = np.ix_(*(np.asarray(pair[0], np.intp) for pair in pairs))
        elements = np.ix_(*(np.asarray(pair[1], np.intp) for pair in pairs))
        yield windows, elements


# reduce_window


def _infer_reduce_window(
    types: Sequence[TensorType], attributes: ReduceWindowAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    inputs, inits = split_operands("reduce_window", types)
    (region,) = regions
    check_body("reduce_window", inits, region)
    shape = _result_shape("reduce_window", inputs[0], attributes)
    return tuple(operand.with_shape(shape) for operand in inputs)


def _reduce_window_reference(
    arrays: Sequence[Array], attributes: ReduceWindowAttributes, functions: Sequence[RegionFunction]
) -> Sequence[Array]:
    (body,) = functions
    count = len(arrays) // 2
    axes = attributes.axes(arrays[0].shape)
    shape = tuple(axis.windows for axis in axes)
    results = [np.array(np.broadcast_to(init, shape)) for init in arrays[count:]]
    for windows, elements in _steps(axes):
        values = body(*(result[windows] for result in results), *(array[elements] for array in arrays[:count]))
        for result, value in zip(results, values, strict=True):
            result[windows] = value
    return results


REDUCE_WINDOW = Op(
    "reduce_window",
    Kind.WINDOW,
    attributes=ReduceWindowAttributes,
    infer=_infer_reduce_window,
    reference=_reduce_window_reference,
)


def reduce_window(
    operands: Sequence[Var],
    inits: Sequence[Var],
    body: Body,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] = (),
    base_dilations: Sequence[int] = (),
    window_dilations: Sequence[int] = (),
    padding: Sequence[tuple[int, int]] = (),
) -> tuple[Var, ...]:
    """Combine the elements in each window of tensors of one shape, beginning with the scalars `inits`.

    `body(*accumulators, *elements)` gives the new accumulators, all scalars.  Strides and dilations
    are 1 and padding is 0 where not given.  Raises `ShapeError`, `DTypeError` or `ArgumentError` where they do not fit.
    """
    attributes = ReduceWindowAttributes(
        tuple(window_dimensions),
        tuple(window_strides),
        tuple(base_dilations),
        tuple(window_dilations),
        tuple(padding),
    )
    region = build_body("reduce_window", [x.type for x in operands], body, operands[0].builder)
    return REDUCE_WINDOW.apply(*operands, *inits, attributes=attributes, regions=(region,))


@REDUCE_WINDOW.batch
def _(site: Site[ReduceWindowAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    count = len(site.operands) // 2
    inputs = [
        x if flag else add_batch_axis(x, size) for x, flag in zip(site.operands[:count], batched[:count], strict=True)
    ]
    inits = site.operands[count:]
    attributes = _with_batch_axis(site.attributes)
    if not any(batched[count:]):
        results = REDUCE_WINDOW.apply(*inputs, *inits, attributes=attributes, regions=site.regions)
        return results, (True,) * count
    (region,) = site.regions
    reducer = recognise(region)
    if reducer is None:
        raise UnsupportedError(
            f"reduce_window: the initial value of the body of {describe(region)} differs within a batch",
            mend="use a neutral initial value and combine the two afterwards",
        )
    numbers = neutral_values(reducer, [x.type for x in inputs])
    neutral = [full(x.builder, TensorType(x.dtype), number) for x, number in zip(inputs, numbers, strict=True)]
    results = REDUCE_WINDOW.apply(*inputs, *neutral, attributes=attributes, regions=site.regions)
    spread = [
        broadcast_in_dim(init, results[0].shape, (0,) if flag else ())
        for init, flag in zip(inits, batched[count:], strict=True)
    ]
    return tuple(body_of(reducer)(*spread, *results)), (True,) * count


def _with_batch_axis(attributes: ReduceWindowAttributes) -> ReduceWindowAttributes:
    return ReduceWindowAttributes(
        (1, *attributes.window_dimensions),
        (1, *attributes.window_strides),
        (1, *attributes.base_dilations),
        (1, *attributes.window_dilations),
        ((0, 0), *attributes.padding),
    )


# select_and_scatter


def _infer_select_and_scatter(
    types: Sequence[TensorType], attributes: SelectAndScatterAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    operand, source, init = types
    scalar = TensorType(operand.dtype)
    if init != scalar or source.dtype != operand.dtype:
        raise DTypeError(
            f"select_and_scatter: the operand is {operand}, the source {source} and the initial value {init}; "
            "dtypes must agree and the initial value be a scalar"
        )
    shape = _result_shape("select_and_scatter", operand, attributes.windows())
    if source.shape != shape:
        raise ShapeError(
            f"select_and_scatter: the source is {source}, but the windows of {operand} are {source.with_shape(shape)}"
        )
    select, scatter = regions
    if select.type != FunctionType((scalar, scalar), (TensorType(dtypes.bool_),)):
        raise DTypeError(f"select_and_scatter: the selection must compare two {scalar} and give a bool scalar")
    check_body("select_and_scatter", [scalar], scatter)
    return (operand,)


def _select_and_scatter_reference(
    arrays: Sequence[Array], attributes: SelectAndScatterAttributes, functions: Sequence[RegionFunction]
) -> Sequence[Array]:
    operand, source, init = arrays
    select, scatter = functions
    axes = attributes.windows().axes(operand.shape)
    best = np.zeros(source.shape, operand.dtype)
    chosen = np.full(source.shape, -1)
    for number, (windows, elements) in enumerate(_steps(axes)):
        candidate, current = operand[elements], best[windows]
        keep = np.logical_and(chosen[windows] >= 0, select(current, candidate)[0])
        best[windows] = np.where(keep, current, candidate)
        chosen[windows] = np.where(keep, chosen[windows], number)
    result = np.array(np.broadcast_to(init, operand.shape))
    # Windows that chose the same step chose different elements, so they scatter side by side.
    for number, (windows, elements) in enumerate(_steps(axes)):
        (combined,) = scatter(result[elements], source[windows])
        result[elements] = np.where(chosen[windows] == number, combined, result[elements])
    return (result,)


SELECT_AND_SCATTER = Op(
    "select_and_scatter",
    Kind.WINDOW,
    attributes=SelectAndScatterAttributes,
    infer=_infer_select_and_scatter,
    reference=_select_and_scatter_reference,
)


def select_and_scatter(
    operand: Var,
    source: Var,
    init: Var,
    select_body: Body,
    scatter_body: Body,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] = (),
    padding: Sequence[tuple[int, int]] = (),
) -> Var:
    """A tensor shaped as `operand`, of `init`, into which each window scatters its element of `source`.

    A window chooses among its elements of `operand`, in row-major order: the first, then each that
    `select_body(chosen, element)` (one bool) does not reject; `scatter_body(old, source)` combines at the choice.
    Raises `ShapeError`, `DTypeError` or `ArgumentError` where the operands do not fit.
    """
    attributes = SelectAndScatterAttributes(tuple(window_dimensions), tuple(window_strides), tuple(padding))
    select = build_region([TensorType(operand.dtype)] * 2, select_body, like=operand.builder)
    scatter = build_body("select_and_scatter", [operand.type], scatter_body, operand.builder)
    return SELECT_AND_SCATTER.apply_one(operand, source, init, attributes=attributes, regions=(select, scatter))


@SELECT_AND_SCATTER.batch
def _(
    site: Site[SelectAndScatterAttributes], batched: Sequence[bool], size: int
) -> tuple[Sequence[Var], Sequence[bool]]:
    operand, source = (
        x if flag else add_batch_axis(x, size) for x, flag in zip(site.operands[:2], batched[:2], strict=True)
    )
    init, old = site.operands[2], site.attributes
    attributes = SelectAndScatterAttributes(
        (1, *old.window_dimensions), (1, *old.window_strides), ((0, 0), *old.padding)
    )
    if not batched[2]:
        return SELECT_AND_SCATTER.apply(operand, source, init, attributes=attributes, regions=site.regions), (True,)
    reducer = recognise(site.regions[1])
    if reducer is None:
        raise UnsupportedError(
            f"select_and_scatter: the initial value of the body of {describe(site.regions[1])} differs within a batch",
            mend="use a neutral initial value and combine the two afterwards",
        )
    (number,) = neutral_values(reducer, [operand.type])
    neutral = ops.constant(operand.builder, number, operand.dtype)
    result = SELECT_AND_SCATTER.apply_one(operand, source, neutral, attributes=attributes, regions=site.regions)
    return tuple(body_of(reducer)(broadcast_in_dim(init, result.shape, (0,)), result)), (True,)
