"""Rules of windows, scatters and sorts differentiated again: forward over reverse and reverse over reverse."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from checking import STEP, distinct
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import GatherDimensionNumbers, ScatterAttributes, ScatterDimensionNumbers
from tenfoldc.transform.jvp import jvp
from tenfoldc.transform.vjp import vjp

Array = NDArray[np.float64]
SHAPE = (6, 3)
REPEATED = np.array([[1], [3], [1], [7], [0]], np.int32)
DISTINCT = np.array([[1], [3], [4], [7], [0]], np.int32)


def pool(window_dilations: Sequence[int]) -> Callable[[Var], Var]:
    def build(x: Var) -> Var:
        lowest = ops.constant(x.builder, -np.inf, x.dtype)
        padding = ((1, 0), (0, 1))
        body = ops.body_of(ops.Reducer.MAX)
        return ops.reduce_window([x], [lowest], body, (2, 2), (2, 1), (), window_dilations, padding)[0]

    return build


def scatter(
    combine: Callable[[Var, Var], Var], indices: NDArray[np.int32], unique: bool = False
) -> Callable[[Var], Var]:
    """`x` with multiples of its first rows scattered into it."""
    numbers = ScatterDimensionNumbers(
        update_window_dims=(1,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1
    )
    attributes = ScatterAttributes(numbers, unique_indices=unique)

    def build(x: Var) -> Var:
        rows = ops.slice_(x, (0, 0), (5, 3))
        updates = ops.multiply(rows, ops.full_like(rows, 1.37))
        return ops.scatter_with(x, ops.constant(x.builder, indices), updates, attributes, combine)

    return build


def take(x: Var) -> Var:
    numbers = GatherDimensionNumbers(
        offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,), index_vector_dim=1
    )
    return ops.gather(x, ops.constant(x.builder, REPEATED), numbers, (1, 3))


FUNCTIONS: dict[str, Callable[[Var], Var]] = {
    "max pooling": pool(()),
    "dilated max pooling": pool((1, 2)),
    "cumulative sum": lambda x: ops.cumulative_sum(x, 1),
    "cumulative max": lambda x: ops.cumulative_max(x, 0),
    "cumulative product": lambda x: ops.cumulative_product(x, 0),
    "reverse cumulative product": lambda x: ops.cumulative_product(x, 1, True),
    "sort": lambda x: ops.sort_values(x, 0),
    "top k": lambda x: ops.top_k(x, 2)[0],
    "gather": take,
    "scatter add": scatter(ops.add, REPEATED),
    "scatter set": scatter(lambda old, new: new, REPEATED),
    "scatter max": scatter(ops.maximum, REPEATED),
    "scatter multiply": scatter(ops.multiply, DISTINCT, unique=True),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hessian_times_vector_is_the_difference_of_gradients(name: str):
    type_ = TensorType(dtypes.f64, SHAPE)

    def loss(x: Var) -> tuple[Var]:
        y = FUNCTIONS[name](x)
        return (ops.reduce_sum(ops.multiply(y, ops.square(y)), range(y.rank)),)

    value = build_region([type_], loss)

    def gradient(x: Var) -> Sequence[Var]:
        (result,), pullback = vjp(x.builder, value, [x], [0])
        return [found for found in pullback([ops.ones_like(result)]) if found is not None]

    first = build_region([type_], gradient)

    def forward_over_reverse(x: Var, direction: Var) -> Sequence[Var]:
        return [found for found in jvp(x.builder, first, [x], [direction])[1] if found is not None]

    def reverse_over_reverse(x: Var, direction: Var) -> Sequence[Var]:
        return [found for found in vjp(x.builder, first, [x], [0])[1]([direction]) if found is not None]

    rng = np.random.default_rng(91)
    x, direction = distinct(rng, SHAPE), rng.standard_normal(SHAPE)
    above, below = (interpret_region(first, [x + sign * STEP * direction])[0] for sign in (1, -1))
    expected = (above - below) / (2 * STEP)
    for product in (forward_over_reverse, reverse_over_reverse):
        (actual,) = interpret_region(build_region([type_, type_], product), [x, direction])
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6, err_msg=product.__name__)
