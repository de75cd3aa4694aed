"""Products of a matrix with few vectors on a GPU, interpreted: teams of threads along and across the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_references import assert_product, draw
from simulated import call

import tenfold as tn
from tenfold_rt.cuda.plan import Launch, Plan
from tenfoldc.gpu import compile_plan
from tenfoldc.target import gpu


def plan_of(a: tn.Spec, b: tn.Spec, *, turned: bool = False) -> Plan:
    def product(a: Any, b: Any) -> Any:
        return a.T @ b if turned else a @ b

    return compile_plan(tn.compile(product).lower(a, b).module, target=gpu("sm_90"), library="product")


def names(plan: Plan) -> str:
    return " ".join(step.kernel for step in plan.entries[0].steps if isinstance(step, Launch))


@pytest.mark.parametrize("dtype", [tn.float32, tn.float64, tn.bfloat16, tn.float16], ids=str)
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("depth", [264, 301])
def test_rows_whose_elements_adjoin(dtype: Any, columns: int, depth: int) -> None:
    arrays = draw(dtype, (70, depth), (depth, columns))
    plan = plan_of(dtype[70, depth], dtype[depth, columns])
    assert "rows" in names(plan)
    assert_product(call(plan, arrays, schedule=2)[0], *arrays)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_few_rows_and_many_columns(rows: int) -> None:
    arrays = draw(tn.float32, (rows, 300), (300, 77))
    plan = plan_of(tn.f32[rows, 300], tn.f32[300, 77])
    assert "rows" in names(plan)
    assert_product(call(plan, arrays, schedule=1)[0], *arrays)


def test_rows_that_adjoin() -> None:
    a, b = draw(tn.float32, (200, 300), (200,))
    assert_product(call(plan_of(tn.f32[200, 300], tn.f32[200], turned=True), [a, b])[0][:, None], a.T, b[:, None])


def test_a_single_long_sum_is_shared_by_blocks() -> None:
    arrays = draw(tn.float32, (1, 20_000), (20_000, 1))
    plan = plan_of(tn.f32[1, 20_000], tn.f32[20_000, 1])
    assert len(plan.entries[0].steps) == 2
    assert_product(call(plan, arrays)[0], *arrays)


def test_batches_of_thin_products() -> None:
    a, b = draw(tn.float32, (3, 70, 129), (3, 129, 1))
    (found,) = call(plan_of(tn.f32[3, 70, 129], tn.f32[3, 129, 1]), [a, b])
    for number in range(3):
        assert_product(found[number], a[number], b[number])


def test_integers_wrap() -> None:
    numbers = np.random.default_rng(20)
    a, b = (numbers.integers(-(2**31), 2**31, shape).astype(np.int32) for shape in ((70, 130), (130, 2)))
    (found,) = call(plan_of(tn.i32[70, 130], tn.i32[130, 2]), [a, b])
    np.testing.assert_array_equal(found, (a.astype(np.int64) @ b.astype(np.int64)).astype(np.int32))
