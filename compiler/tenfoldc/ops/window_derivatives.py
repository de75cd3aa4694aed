"""Derivatives of `reduce_window` and `select_and_scatter`.

Sums of windows are linear: their transpose is the window sum whose strides and base dilations have changed
places.  A maximum follows the element that attains it, found by a window reduction over values and their flat
positions; its cotangent is a `select_and_scatter` where that op can express the windows.  Products have
derivatives where windows run from one end of an axis, as in a cumulative product.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt import dtypes
from tenfold_rt.errors import UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Region
from tenfoldc.ir.op import Site
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.broadcast import broadcast_in_dim
from tenfoldc.ops.comparison import CompareAttributes, CompareType, Direction
from tenfoldc.ops.creation import constant, full, iota, zeros_like
from tenfoldc.ops.cumulative import linear_recurrence, shift
from tenfoldc.ops.gather import GatherDimensionNumbers, gather
from tenfoldc.ops.reducer import Reducer, body_of, describe, neutral_value, recognise
from tenfoldc.ops.scatter import ScatterDimensionNumbers, scatter_add
from tenfoldc.ops.window import (
    REDUCE_WINDOW,
    SELECT_AND_SCATTER,
    ReduceWindowAttributes,
    SelectAndScatterAttributes,
    reduce_window,
    running_axis,
    select_and_scatter,
)

_EXTREMES = {
    Reducer.MAX: Reducer.MAX,
    Reducer.ARGMAX: Reducer.MAX,
    Reducer.MIN: Reducer.MIN,
    Reducer.ARGMIN: Reducer.MIN,
}


def _reduce_windows(
    reducer: Reducer, operands: Sequence[Var], inits: Sequence[Var], attributes: ReduceWindowAttributes
) -> tuple[Var, ...]:
    return reduce_window(
        operands,
        inits,
        body_of(reducer),
        attributes.window_dimensions,
        attributes.window_strides,
        attributes.base_dilations,
        attributes.window_dilations,
        attributes.padding,
    )


def _scalar(like: Var, value: bool | int | float) -> Var:
    return constant(like.builder, value, like.dtype)


def _spread(scalar: Var, like: Var) -> Var:
    return broadcast_in_dim(scalar, like.shape, ())


def _total(x: Var) -> Var:
    return ops.reduce_sum(x, range(x.rank))


def _where(condition: Var, value: Var) -> Var:
    return ops.select(condition, value, zeros_like(value))


def _sum(terms: Sequence[Var | None]) -> Var | None:
    total: Var | None = None
    for term in terms:
        if term is not None:
            total = term if total is None else ops.add(total, term)
    return total


def _reducer(site: Site[ReduceWindowAttributes]) -> Reducer:
    (region,) = site.regions
    reducer = recognise(region)
    if reducer is Reducer.PRODUCT:
        shape = site.operands[0].shape
        axes = [site.attributes.axis(n, size) for n, size in enumerate(shape) if isinstance(size, int)]
        if running_axis(site.attributes, shape) is None and not all(axis.trivial for axis in axes):
            raise UnsupportedError(
                "reduce_window: there is no derivative of a product over windows that do not run from one end",
                mend="use a cumulative product, or a sum of logarithms",
            )
    elif reducer is not Reducer.SUM and reducer not in _EXTREMES:
        raise UnsupportedError(
            f"reduce_window: there is no derivative for the body of {describe(region)}",
            mend="reduce with a sum, product, maximum or minimum",
        )
    return reducer


# Sums


def _sum_transpose(cotangent: Var, operand: TensorType, attributes: ReduceWindowAttributes) -> Var:
    """The transpose of a window sum by its operand.

    Element i meets window o at step w where i * base = o * stride + w * dilation - low.  Counting steps from the
    other end, that is a window sum of the cotangent dilated by `stride`, stepping by `base`.
    """
    if 0 in cotangent.shape or 0 in operand.shape:
        return full(cotangent.builder, operand, 0)
    padding: list[tuple[int, int]] = []
    for number, size in enumerate(operand.shape):
        if not isinstance(size, int):
            padding.append((0, 0))
            continue
        axis = attributes.axis(number, size)
        reach = (axis.window - 1) * axis.window_dilation
        before = reach - axis.low
        span = (size - 1) * axis.base_dilation + reach + 1
        padding.append((before, span - before - ((axis.windows - 1) * axis.stride + 1)))
    transposed = ReduceWindowAttributes(
        attributes.window_dimensions,
        attributes.base_dilations,
        attributes.window_strides,
        attributes.window_dilations,
        tuple(padding),
    )
    return _reduce_windows(Reducer.SUM, [cotangent], [_scalar(cotangent, 0)], transposed)[0]


# Products along a running axis


def _product_jvp(site: Site[ReduceWindowAttributes], by_element: Var | None, by_init: Var | None) -> Var | None:
    """p[i] = x[i] p[i - 1] gives t[i] = x[i] t[i - 1] + p[i - 1] dx[i]."""
    x = site.operands[0]
    tangent: Var | None = None
    if by_element is not None:
        tangent = ops.multiply(_products_before(site), by_element)
        running = running_axis(site.attributes, x.shape)
        if running is not None:
            tangent = linear_recurrence(x, tangent, running.dimension, running.reverse)
    if by_init is None:
        return tangent
    return _sum([tangent, ops.multiply(_products_of_elements(site), _spread(by_init, site.result))])


def _product_vjp(site: Site[ReduceWindowAttributes], cotangent: Var) -> tuple[Var, Var]:
    x = site.operands[0]
    running = running_axis(site.attributes, x.shape)
    weight = cotangent
    if running is not None:
        after = shift(x, _scalar(x, 0), running.dimension, 1 if running.reverse else -1)
        weight = linear_recurrence(after, cotangent, running.dimension, not running.reverse)
    by_init = _total(ops.multiply(cotangent, _products_of_elements(site)))
    return ops.multiply(_products_before(site), weight), by_init


def _products_before(site: Site[ReduceWindowAttributes]) -> Var:
    """The product of each window without its last element."""
    x, init = site.operands
    running = running_axis(site.attributes, x.shape)
    if running is None:
        return _spread(init, x)
    return shift(site.result, init, running.dimension, -1 if running.reverse else 1)


def _products_of_elements(site: Site[ReduceWindowAttributes]) -> Var:
    """The product of each window without the initial value."""
    x = site.operands[0]
    return _reduce_windows(Reducer.PRODUCT, [x], [_scalar(x, 1)], site.attributes)[0]


# Maxima and minima


def _chosen(extreme: Reducer, x: Var, init: Var, attributes: ReduceWindowAttributes) -> Var:
    """The flat position in `x` of each window's extreme, the first of several; the size of `x` where `init` wins."""
    try:
        size = x.type.size
    except ValueError:
        raise UnsupportedError(
            f"reduce_window: there is no derivative of a {extreme.value} over {x.type}, whose size is symbolic"
        ) from None
    integer = dtypes.i32 if size < 2**31 else dtypes.i64
    positions = ops.reshape(iota(x.builder, TensorType(integer, (size,)), 0), x.shape)
    reducer = Reducer.ARGMAX if extreme is Reducer.MAX else Reducer.ARGMIN
    none = constant(x.builder, size, integer)
    return _reduce_windows(reducer, [x, positions], [init, none], attributes)[1]


def _followed(x: Var, positions: Var) -> Var:
    """The elements of `x` at flat positions; zero one past the end."""
    flat = ops.pad(ops.reshape(x, (x.type.size,)), _scalar(x, 0), [0], [1])
    numbers = GatherDimensionNumbers(collapsed_slice_dims=(0,), start_index_map=(0,), index_vector_dim=positions.rank)
    return gather(flat, positions, numbers, (1,))


def _sent_back(values: Var, positions: Var, shape: TensorType) -> Var:
    """Zeros of type `shape` with `values` added at flat positions; those past the end are dropped."""
    numbers = ScatterDimensionNumbers(
        inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=positions.rank
    )
    flat = full(values.builder, TensorType(shape.dtype, (shape.size,)), 0)
    return ops.reshape(scatter_add(flat, positions, values, numbers), shape.shape)


def _init_wins(positions: Var, x: Var) -> Var:
    return ops.compare(positions, _spread(_scalar(positions, x.type.size), positions), Direction.EQ)


def _extreme_vjp(extreme: Reducer, site: Site[ReduceWindowAttributes], cotangent: Var) -> tuple[Var, Var]:
    x, init, attributes = site.operands[0], site.operands[len(site.results)], site.attributes
    ones = (1,) * x.rank
    dilated = attributes.base_dilations != ones or attributes.window_dilations != ones
    if dilated or running_axis(attributes, x.shape) is not None:
        positions = _chosen(extreme, x, init, attributes)
        by_init = _total(_where(_init_wins(positions, x), cotangent))
        return _sent_back(cotangent, positions, x.type), by_init
    by_init_alone = ops.compare(site.results[0], _spread(init, cotangent), Direction.EQ)

    def select(chosen: Var, element: Var) -> tuple[Var]:
        return (ops.compare(chosen, element, Direction.GE if extreme is Reducer.MAX else Direction.LE),)

    by_element = select_and_scatter(
        x,
        ops.select(by_init_alone, zeros_like(cotangent), cotangent),
        _scalar(x, 0),
        select,
        body_of(Reducer.SUM),
        attributes.window_dimensions,
        attributes.window_strides,
        attributes.padding,
    )
    return by_element, _total(_where(by_init_alone, cotangent))


# reduce_window


@REDUCE_WINDOW.jvp
def _(site: Site[ReduceWindowAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """Of equal extremes the first has the tangent; the initial value has it where it alone attains the result."""
    count = len(site.results)
    by_element, by_init = tangents[0], tangents[count]
    rest = (None,) * (count - 1)
    if by_element is None and by_init is None:
        return (None, *rest)
    reducer = _reducer(site)
    x, init = site.operands[0], site.operands[count]
    if reducer is Reducer.PRODUCT:
        return (_product_jvp(site, by_element, by_init), *rest)
    element_rate = zeros_like(x) if by_element is None else by_element
    init_rate = zeros_like(init) if by_init is None else by_init
    if reducer is Reducer.SUM:
        return _reduce_windows(Reducer.SUM, [element_rate], [init_rate], site.attributes)
    positions = _chosen(_EXTREMES[reducer], x, init, site.attributes)
    tangent = _followed(element_rate, positions)
    if by_init is not None:
        tangent = ops.select(_init_wins(positions, x), _spread(by_init, tangent), tangent)
    return (tangent, *rest)


@REDUCE_WINDOW.vjp
def _(site: Site[ReduceWindowAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    cotangent, count = cotangents[0], len(site.results)
    if cotangent is None:
        return (None,) * len(site.operands)
    reducer = _reducer(site)
    match reducer:
        case Reducer.SUM:
            by_element = _sum_transpose(cotangent, site.operands[0].type, site.attributes)
            by_init = _total(cotangent)
        case Reducer.PRODUCT:
            by_element, by_init = _product_vjp(site, cotangent)
        case _:
            by_element, by_init = _extreme_vjp(_EXTREMES[reducer], site, cotangent)
    rest = (None,) * (count - 1)
    return (by_element, *rest, by_init, *rest)


# select_and_scatter


def _require_sum(site: Site[SelectAndScatterAttributes]) -> None:
    if recognise(site.regions[1]) is not Reducer.SUM:
        raise UnsupportedError(
            f"select_and_scatter: there is no derivative for the body of {describe(site.regions[1])}",
            mend="scatter with an addition",
        )


def _selected_extreme(select: Region) -> Reducer:
    """The extreme that a selection by GE or LE finds, the first of several."""
    mirrored = {Direction.GE: Direction.LE, Direction.LE: Direction.GE}
    for comparison in select.operations:
        attributes = comparison.attributes
        if not isinstance(attributes, CompareAttributes) or select.results != comparison.results:
            continue
        direction = attributes.comparison_direction
        if comparison.operands == select.parameters[::-1]:
            direction = mirrored.get(direction, direction)
        elif comparison.operands != select.parameters:
            continue
        if direction in mirrored and attributes.compare_type is not CompareType.TOTALORDER:
            return Reducer.MAX if direction is Direction.GE else Reducer.MIN
    raise UnsupportedError(
        f"select_and_scatter: there is no reverse derivative for the selection of {describe(select)}",
        mend="select with a comparison by GE or LE",
    )


@SELECT_AND_SCATTER.jvp
def _(site: Site[SelectAndScatterAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """The result is linear in source and initial value, and does not change with the operand."""
    _, by_source, by_init = tangents
    if by_source is None and by_init is None:
        return (None,)
    _require_sum(site)
    operand, source, init = site.operands
    source_rate = zeros_like(source) if by_source is None else by_source
    init_rate = zeros_like(init) if by_init is None else by_init
    return SELECT_AND_SCATTER.apply(operand, source_rate, init_rate, attributes=site.attributes, regions=site.regions)


@SELECT_AND_SCATTER.vjp
def _(site: Site[SelectAndScatterAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return None, None, None
    _require_sum(site)
    operand = site.operands[0]
    extreme = _selected_extreme(site.regions[0])
    worst = _scalar(operand, neutral_value(extreme, operand.dtype))
    positions = _chosen(extreme, operand, worst, site.attributes.windows())
    return None, _followed(cotangent, positions), _total(cotangent)
