"""Products of matrices on a GPU, interpreted: every kind of multiplier, layout, edge and epilogue, under schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_references import assert_product, draw
from numpy.typing import NDArray
from simulated import call

import tenfold as tn
from tenfold_rt.cuda.plan import Launch, Plan
from tenfoldc.gpu import compile_plan
from tenfoldc.gpu.lower.products import tilings
from tenfoldc.target import gpu

DTYPES = (tn.float32, tn.bfloat16, tn.float16, tn.float64)


def plan_of(function: Callable[..., Any], *specs: tn.Spec, architecture: str = "sm_80") -> Plan:
    module = tn.compile(function).lower(*specs).module
    return compile_plan(module, target=gpu(architecture), library="product")


def kernels(plan: Plan) -> list[str]:
    return [step.kernel for step in plan.entries[0].steps if isinstance(step, Launch)]


def matmul(a: Any, b: Any) -> Any:
    return a @ b


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", [(17, 129, 33), (64, 64, 64), (40, 48, 72)], ids=str)
def test_products_of_any_sizes(dtype: Any, sizes: tuple[int, int, int], seed: int) -> None:
    m, k, n = sizes
    plan = plan_of(matmul, dtype[m, k], dtype[k, n])
    assert any("product" in kernel for kernel in kernels(plan))
    arrays = draw(dtype, (m, k), (k, n))
    assert_product(call(plan, arrays, schedule=seed)[0], *arrays)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("transposed", [(True, False), (False, True), (True, True)], ids=str)
def test_operands_that_are_transposed(dtype: Any, transposed: tuple[bool, bool]) -> None:
    def product(a: Any, b: Any) -> Any:
        return (a.T if transposed[0] else a) @ (b.T if transposed[1] else b)

    shapes = [shape[::-1] if turned else shape for shape, turned in zip(((40, 56), (56, 72)), transposed, strict=True)]
    arrays = draw(dtype, *shapes)
    (found,) = call(plan_of(product, *(dtype[shape] for shape in shapes)), arrays)
    assert_product(found, *(x.T if turned else x for x, turned in zip(arrays, transposed, strict=True)))


@pytest.mark.parametrize("dtype", [tn.float32, tn.bfloat16], ids=str)
def test_batches_whose_axis_lies_in_the_middle(dtype: Any) -> None:
    def product(a: Any, b: Any) -> Any:
        return a.transpose(0, 1) @ b.transpose(0, 1)

    a, b = draw(dtype, (20, 3, 48), (48, 3, 40))
    (found,) = call(plan_of(product, dtype[20, 3, 48], dtype[48, 3, 40]), [a, b])
    for number in range(3):
        assert_product(found[number], a[:, number], b[:, number])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_factors_that_are_computed_and_sums_that_are_used(seed: int) -> None:
    def product(a: Any, b: Any, bias: Any, residual: Any) -> Any:
        return tn.maximum((a * 2) @ b + bias, 0) + residual

    a, b, bias, residual = draw(tn.float32, (33, 70), (70, 40), (40,), (33, 40))
    plan = plan_of(product, tn.f32[33, 70], tn.f32[70, 40], tn.f32[40], tn.f32[33, 40])
    assert len(kernels(plan)) == 1
    wanted = np.maximum(2 * a.astype(np.float64) @ b + bias, 0) + residual
    np.testing.assert_allclose(call(plan, [a, b, bias, residual], schedule=seed)[0], wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture
def eager_to_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks share sums as soon as they can."""
    monkeypatch.setattr(tilings, "_LAUNCH_CYCLES", 0)


@pytest.mark.usefixtures("eager_to_share")
@pytest.mark.parametrize("seed", [0, 1])
def test_a_long_sum_is_shared_by_blocks(seed: int) -> None:
    arrays = draw(tn.float32, (17, 290), (290, 33))
    plan = plan_of(matmul, tn.f32[17, 290], tn.f32[290, 33])
    assert len(kernels(plan)) == 2
    assert_product(call(plan, arrays, schedule=seed)[0], *arrays)


@pytest.mark.usefixtures("eager_to_share")
def test_the_same_bits_under_every_schedule() -> None:
    arrays = draw(tn.float32, (17, 290), (290, 33))
    plan = plan_of(matmul, tn.f32[17, 290], tn.f32[290, 33])
    results = [call(plan, arrays, schedule=seed)[0].tobytes() for seed in (0, 2)]
    assert set(results) == {results[0]}


def test_nothing_is_summed_up_to_zeros() -> None:
    (found,) = call(plan_of(matmul, tn.f32[40, 0], tn.f32[0, 70]), draw(tn.float32, (40, 0), (0, 70)))
    np.testing.assert_array_equal(found, np.zeros((40, 70), np.float32))


def test_infinities_and_nans_stay_in_their_rows_and_columns() -> None:
    a, b = draw(tn.float32, (33, 65), (65, 35))
    a[3, 7], b[64, 34] = np.inf, np.nan
    (found,) = call(plan_of(matmul, tn.f32[33, 65], tn.f32[65, 35]), [a, b])
    is_odd = np.zeros(found.shape, bool)
    is_odd[3], is_odd[:, 34] = True, True
    np.testing.assert_array_equal(~np.isfinite(found), is_odd)


TILINGS = [
    (multiplier, candidate.tiling) for multiplier in tilings.Multiplier for candidate in tilings.candidates(multiplier)
]
_DTYPE_OF = {"fma": tn.float32, "tf32": tn.float32, "bf16": tn.bfloat16, "f16": tn.float16, "f64": tn.float64}


@pytest.mark.parametrize("tiling", [tiling for _, tiling in TILINGS if tiling.multiplier.value in _DTYPE_OF], ids=str)
@pytest.mark.parametrize("is_turned", [False, True])
def test_every_tiling(tiling: Any, is_turned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tilings, "candidates", lambda multiplier: [tilings.Candidate(tiling, 1.0)])

    precision = "tf32" if tiling.multiplier is tilings.Multiplier.TF32 else "f32"

    def product(a: Any, b: Any) -> Any:
        return tn.matmul(a.T, b.T, precision=precision) if is_turned else tn.matmul(a, b, precision=precision)

    dtype = _DTYPE_OF[tiling.multiplier.value]
    m, k, n = tiling.rows + 8, 2 * tiling.depth + 8, tiling.columns + 16
    shapes = ((k, m), (n, k)) if is_turned else ((m, k), (k, n))
    arrays = draw(dtype, *shapes)
    (found,) = call(plan_of(product, *(dtype[shape] for shape in shapes)), arrays)
    factors: list[NDArray[Any]] = [x.T for x in arrays] if is_turned else arrays
    assert_product(found, *factors, rounded=2.0**-11 if precision == "tf32" else 0.0)


@pytest.mark.parametrize(("precision", "name", "rounded"), [("tf32", "tf32", 2.0**-11), ("bf16", "bf16", 2.0**-8)])
def test_less_precision_only_where_it_is_asked_for(precision: str, name: str, rounded: float) -> None:
    a, b = draw(tn.float32, (40, 64), (64, 72))
    plan = plan_of(lambda a, b: tn.matmul(a, b, precision=precision), tn.f32[40, 64], tn.f32[64, 72])
    assert f"{name}.{name}.f32" in plan.ptx
    (found,) = call(plan, [a, b])
    assert_product(found, a, b, rounded=rounded)
    assert np.abs(found - a.astype(np.float64) @ b).max() > 1e-5
    assert "mma.sync" not in plan_of(matmul, tn.f32[40, 64], tn.f32[64, 72]).ptx
