"""Window reductions and select-and-scatter: values against explicit loops, rules against each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from checking import apply_once, check_batching, check_derivatives, check_op, distinct, evaluate
from numpy.typing import NDArray

from tenfold_rt.errors import ArgumentError, ShapeError, UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction, Reducer, ReduceWindowAttributes

WINDOWS = {
    "pooling": ReduceWindowAttributes((1, 2, 2), (1, 2, 2)),
    "overlapping": ReduceWindowAttributes((1, 3, 2)),
    "padded": ReduceWindowAttributes((2, 3, 2), (1, 2, 1), padding=((1, 0), (1, 1), (0, 1))),
    "window dilation": ReduceWindowAttributes((1, 2, 3), (1, 1, 2), (), (1, 3, 2), ((0, 0), (1, 0), (2, 2))),
    "base dilation": ReduceWindowAttributes((1, 2, 3), (1, 2, 1), (1, 2, 3), (), ((0, 0), (0, 1), (1, 1))),
    "both dilations": ReduceWindowAttributes((1, 2, 2), (1, 3, 2), (1, 2, 2), (1, 3, 2), ((0, 0), (2, 1), (1, 2))),
    "negative padding": ReduceWindowAttributes((1, 2, 2), padding=((0, 0), (-1, -1), (-2, 1))),
    "wide padding": ReduceWindowAttributes((1, 1, 2), (1, 1, 3), padding=((0, 0), (2, 2), (4, 5))),
}
COMBINE = {
    Reducer.SUM: (np.add, 0.0),
    Reducer.MAX: (np.maximum, -np.inf),
    Reducer.MIN: (np.minimum, np.inf),
    Reducer.PRODUCT: (np.multiply, 1.0),
}


def reduce_windows(reducer: Reducer, attributes: ReduceWindowAttributes) -> Callable[[Var, Var], Sequence[Var]]:
    return lambda x, init: ops.reduce_window(
        [x],
        [init],
        ops.body_of(reducer),
        attributes.window_dimensions,
        attributes.window_strides,
        attributes.base_dilations,
        attributes.window_dilations,
        attributes.padding,
    )


def slide(
    x: NDArray[np.float64], combine: Callable[..., float], init: float, attributes: ReduceWindowAttributes
) -> NDArray[np.float64]:
    """The definition, one window position at a time, skipping what is not an element."""
    extents = [(n - 1) * d + 1 if n else 0 for n, d in zip(x.shape, attributes.base_dilations, strict=True)]
    reach = [(w - 1) * d + 1 for w, d in zip(attributes.window_dimensions, attributes.window_dilations, strict=True)]
    shape = [
        max((low + extent + high - span) // stride + 1, 0) if low + extent + high >= span else 0
        for extent, span, stride, (low, high) in zip(
            extents, reach, attributes.window_strides, attributes.padding, strict=True
        )
    ]
    out = np.full(shape, init)
    for window in np.ndindex(*shape):
        for step in itertools.product(*map(range, attributes.window_dimensions)):
            place = [
                o * s + w * d - low
                for o, s, w, d, (low, _) in zip(
                    window,
                    attributes.window_strides,
                    step,
                    attributes.window_dilations,
                    attributes.padding,
                    strict=True,
                )
            ]
            if all(
                p % d == 0 and 0 <= p < e for p, d, e in zip(place, attributes.base_dilations, extents, strict=True)
            ):
                element = x[tuple(p // d for p, d in zip(place, attributes.base_dilations, strict=True))]
                out[window] = combine(out[window], element)
    return out


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("reducer", [Reducer.SUM, Reducer.MAX, Reducer.MIN])
def test_windows_are_combined(reducer: Reducer, windows: str):
    rng = np.random.default_rng(31)
    x, attributes = distinct(rng, (2, 5, 7)), WINDOWS[windows]
    combine, neutral = COMBINE[reducer]
    expected = slide(x, combine, neutral, attributes)
    application = apply_once(reduce_windows(reducer, attributes), [x, np.array(neutral)])
    assert application.results()[0].shape == expected.shape
    np.testing.assert_allclose(application.results()[0], expected, rtol=1e-14)
    check_batching(application, rng)


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("reducer", [Reducer.SUM, Reducer.MAX, Reducer.MIN])
def test_windows_have_derivatives(reducer: Reducer, windows: str):
    rng = np.random.default_rng(32)
    init = {Reducer.SUM: 0.25, Reducer.MAX: -3.0, Reducer.MIN: 3.0}[reducer]
    check_derivatives(
        apply_once(reduce_windows(reducer, WINDOWS[windows]), [distinct(rng, (2, 5, 7)), np.array(init)]), rng
    )


@pytest.mark.parametrize("windows", ["pooling", "window dilation"])
def test_an_initial_value_that_wins_has_the_derivative(windows: str):
    rng = np.random.default_rng(33)
    application = apply_once(
        reduce_windows(Reducer.MAX, WINDOWS[windows]), [distinct(rng, (2, 5, 7)), np.array(0.8503)]
    )
    assert 0.8503 in application.results()[0]
    check_derivatives(application, rng)


def test_windows_scatter_to_their_largest_element():
    rng = np.random.default_rng(34)
    x = distinct(rng, (1, 4, 4))

    def build(x: Var, source: Var, init: Var) -> Var:
        return ops.select_and_scatter(
            x,
            source,
            init,
            lambda a, b: (ops.compare(a, b, Direction.GE),),
            ops.body_of(Reducer.SUM),
            (1, 3, 2),
            (1, 1, 2),
            ((0, 0), (1, 0), (0, 0)),
        )

    source = rng.standard_normal((1, 3, 2))
    expected = np.full(x.shape, 0.5)
    for i, j in np.ndindex(3, 2):
        rows = slice(max(i - 1, 0), i + 2)
        window = x[0, rows, 2 * j : 2 * j + 2]
        row, column = np.unravel_index(window.argmax(), window.shape)
        expected[0, rows.start + row, 2 * j + column] += source[0, i, j]
    check_op(build, [x, source, np.array(0.5)], expected, rng=rng)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("name", ["sum", "product", "max", "min"])
def test_cumulative_reductions(name: str, size: int, reverse: bool):
    rng = np.random.default_rng(35)
    x = distinct(rng, (3, size)) - 0.5
    function = getattr(ops, f"cumulative_{name}")
    accumulate = {"sum": np.add, "product": np.multiply, "max": np.maximum, "min": np.minimum}[name].accumulate
    expected = accumulate(x[:, ::-1], 1)[:, ::-1] if reverse else accumulate(x, 1)
    check_op(lambda x: function(x, 1, reverse), [x], expected, rng=rng)


def test_a_cumulative_product_has_a_derivative_at_zero():
    rng = np.random.default_rng(36)
    x = np.array([0.5, 0.0, 2.0, 0.0, 3.0])
    check_op(lambda x: ops.cumulative_product(x, 0), [x], np.cumprod(x), rng=rng)


def test_a_product_starts_from_its_initial_value():
    rng = np.random.default_rng(37)
    attributes = ReduceWindowAttributes((4,), padding=((3, 0),))
    x = distinct(rng, (4,))
    check_op(
        lambda x, init: reduce_windows(Reducer.PRODUCT, attributes)(x, init),
        [x, np.array(3.0)],
        3 * np.cumprod(x),
        rng=rng,
    )


def test_a_product_over_other_windows_has_no_derivative():
    rng = np.random.default_rng(38)
    with pytest.raises(UnsupportedError, match="product over windows that do not run from one end"):
        check_op(
            reduce_windows(Reducer.PRODUCT, ReduceWindowAttributes((2,))), [distinct(rng, (4,)), np.array(1.0)], rng=rng
        )


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_operands_give_no_windows(shape: tuple[int, int]):
    rng = np.random.default_rng(39)
    attributes = ReduceWindowAttributes((2, 2))
    application = apply_once(reduce_windows(Reducer.SUM, attributes), [np.zeros(shape), np.array(0.0)])
    assert application.results()[0].size == 0
    check_derivatives(application, rng)


def test_windows_of_padding_alone_hold_the_initial_value():
    attributes = ReduceWindowAttributes((2,), padding=((3, 3),))
    (result,) = evaluate(reduce_windows(Reducer.MAX, attributes), np.zeros(0), np.array(-1.0))
    np.testing.assert_array_equal(result, np.full(5, -1.0))


def test_values_and_indices_are_reduced_together():
    rng = np.random.default_rng(40)
    x = distinct(rng, (9,))
    positions = np.arange(9, dtype=np.int32)

    def build(x: Var, i: Var, init: Var, none: Var) -> Sequence[Var]:
        return ops.reduce_window([x, i], [init, none], ops.body_of(Reducer.ARGMAX), (3,), (2,))

    expected = [2 * k + int(x[2 * k : 2 * k + 3].argmax()) for k in range(4)]
    arrays = [x, positions, np.array(-np.inf), np.array(0, np.int32)]
    check_op(build, arrays, [x[expected], np.array(expected, np.int32)], rng=rng, batch=False)


def test_a_maximum_of_nan_is_nan():
    x = np.array([1.0, np.nan, 2.0, 3.0])
    (result,) = evaluate(reduce_windows(Reducer.MAX, ReduceWindowAttributes((2,))), x, np.array(-np.inf))
    np.testing.assert_array_equal(result, [np.nan, np.nan, 3.0])


def test_window_of_the_wrong_rank_is_refused():
    with pytest.raises(ShapeError, match=r"window_dimensions has 1 entries, but f64\[2, 2\] has 2 axes"):
        evaluate(reduce_windows(Reducer.SUM, ReduceWindowAttributes((2,))), np.zeros((2, 2)), np.array(0.0))


def test_stride_zero_is_refused():
    with pytest.raises(ArgumentError, match=r"window_strides is 0 .axis 0."):
        evaluate(reduce_windows(Reducer.SUM, ReduceWindowAttributes((2,), (0,))), np.zeros(4), np.array(0.0))
