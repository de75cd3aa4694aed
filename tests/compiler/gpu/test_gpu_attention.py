"""Attention on a GPU, from the plain operations that a user writes: one launch forward, two backward, no scores kept.

Against the reference, on the interpreter: masks of all kinds, ragged sizes, rows that are masked whole, large scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled import Array, close, plain
from gpu_references import draw
from simulated import SCHEDULES, call, launches

import tenfold as tn
from tenfold.nn import functional
from tenfold_rt.cuda.plan import Plan
from tenfoldc.gpu import compile_plan
from tenfoldc.gpu.assemble import assemble, assembler_name
from tenfoldc.gpu.pipeline import stage_text
from tenfoldc.interpret import interpret
from tenfoldc.ir.core import Module
from tenfoldc.target import gpu

Function = Callable[..., Any]

needs_assembler = pytest.mark.skipif(
    assembler_name() is None, reason="neither ptxas nor nvJitLink is here: pip install nvidia-cuda-nvcc"
)


def attention(q: Any, k: Any, v: Any) -> Any:
    return tn.softmax(q @ k.mT * 0.25, -1) @ v


def causal(q: Any, k: Any, v: Any) -> Any:
    rows, columns = tn.arange(q.shape[-2])[:, None], tn.arange(k.shape[-2])
    return tn.softmax(tn.where(columns <= rows, q @ k.mT * 0.25, -float("inf")), -1) @ v


def added(q: Any, k: Any, v: Any, mask: Any) -> Any:
    return tn.softmax(q @ k.mT * 0.25 + mask, -1) @ v


def chosen(q: Any, k: Any, v: Any, mask: Any) -> Any:
    return tn.softmax(tn.where(mask, q @ k.mT * 0.25, -float("inf")), -1) @ v


def library(q: Any, k: Any, v: Any) -> Any:
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def library_chosen(q: Any, k: Any, v: Any, mask: Any) -> Any:
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def gradients(function: Function) -> Function:
    """The gradients of a function's first three arguments, for a last one that weighs its result."""

    def loss(*arguments: Any) -> Any:
        *others, weight = arguments
        return tn.sum((function(*others) * weight).to(tn.float32))

    return lambda *arguments: tn.grad(loss, argnums=(0, 1, 2))(*arguments)


def module(function: Function, arrays: list[Array]) -> Module:
    def main(*arguments: Any) -> Any:
        return function(*arguments)

    lowered = tn.compile(main).lower(*arrays).module
    (name,) = lowered.entries
    return Module({**lowered.functions, "main": lowered[name]}, ("main",))


def plan_of(function: Function, arrays: list[Array], architecture: str = "sm_90a") -> Plan:
    return compile_plan(module(function, arrays), target=gpu(architecture), library="attention")


def run(function: Function, arrays: list[Array], schedules: tuple[int, ...] = SCHEDULES) -> Plan:
    """The plan of a function whose results are those of the reference, to the bit the same under all schedules."""
    compiled = module(function, arrays)
    plan = compile_plan(compiled, target=gpu("sm_90a"), library="attention")
    wanted = interpret(compiled, arrays)
    found = [call(plan, arrays, "main", schedule) for schedule in schedules]
    for own in found:
        assert [x.tobytes() for x in own] == [x.tobytes() for x in found[0]]
    for own, expected in zip(found[0], wanted, strict=True):
        assert own.dtype == expected.dtype
        largest = float(np.nanmax(np.abs(plain(expected)), initial=1.0))
        close(f32=largest * (2**-6 if own.dtype.itemsize == 2 else 1e-5), f64=0)(own, expected)
    return plan


def names(plan: Plan) -> list[str]:
    return [launch.kernel.split("_")[-2] for launch in launches(plan)]


@pytest.mark.parametrize(
    ("function", "dtype", "sizes"),
    [
        (causal, tn.float32, (33, 16)),
        pytest.param(attention, tn.float32, (70, 16), marks=pytest.mark.slow),
        pytest.param(attention, tn.float32, (81, 40), marks=pytest.mark.slow),
        (causal, tn.bfloat16, (33, 16)),
        pytest.param(attention, tn.bfloat16, (70, 16), marks=pytest.mark.slow),
        (causal, tn.bfloat16, (81, 40)),
        pytest.param(causal, tn.bfloat16, (130, 64), marks=pytest.mark.slow),
        (causal, tn.float16, (70, 16)),
    ],
)
def test_forward_is_one_launch_without_memory(function: Function, sizes: tuple[int, int], dtype: Any) -> None:
    is_small = sizes == (33, 16)
    plan = run(function, draw(dtype, *[(2 if is_small else 1, *sizes)] * 3), SCHEDULES if is_small else (0,))
    assert names(plan) == ["rowchain"]
    assert plan.entries[0].workspace_bytes == 0


@pytest.mark.parametrize("sizes", [(1, 16), (5, 40), (33, 24)], ids=str)
def test_scores_that_are_fewer_than_what_they_are_made_of_go_through_memory(sizes: tuple[int, int]) -> None:
    plan = run(causal, draw(tn.float32, *[(1, 2, *sizes)] * 3))
    assert "rowchain" not in names(plan)


@pytest.mark.parametrize("dtype", [pytest.param(tn.float32, marks=pytest.mark.slow), tn.bfloat16], ids=str)
def test_masks_from_memory(dtype: Any) -> None:
    *arrays, scores = draw(dtype, *[(2, 1, 40, 16)] * 3, (40, 40))
    assert names(run(added, [*arrays, scores], (0,))) == ["rowchain"]
    mask = plain(scores) > -0.5
    mask[3], mask[32:, :20] = False, False
    plan = run(chosen, [*arrays, mask], (0,))
    assert names(plan) == ["rowchain"]


def test_rows_that_are_masked_whole_are_what_the_reference_has() -> None:
    *arrays, scores = draw(tn.float32, *[(2, 40, 16)] * 3, (2, 40, 40))
    mask = scores > 0
    mask[0, 7], mask[1, 39], mask[1, 0, :39] = False, False, False
    (found,) = call(plan_of(chosen, [*arrays, mask]), [*arrays, mask], "main")
    assert np.isnan(found[0, 7]).all()
    run(chosen, [*arrays, mask], (0,))
    run(library_chosen, [*arrays, mask], (0,))


def test_large_scores_do_not_overflow() -> None:
    q, k, v = draw(tn.float32, *[(1, 40, 16)] * 3)
    run(attention, [300 * q, 300 * k, v], (0,))
    run(causal, [1e20 * q, 1e20 * k, v], (0,))


def test_more_keys_than_queries_and_wider_values() -> None:
    q, k, v = draw(tn.bfloat16, (2, 40, 24), (2, 90, 24), (2, 90, 40))
    assert names(run(attention, [q, k, v], (0,))) == ["rowchain"]


@pytest.mark.parametrize(
    ("function", "dtype", "sizes"),
    [
        (causal, tn.float32, (35, 16)),
        pytest.param(attention, tn.bfloat16, (70, 16), marks=pytest.mark.slow),
        pytest.param(causal, tn.bfloat16, (81, 16), marks=pytest.mark.slow),
    ],
)
def test_gradients_are_two_launches(function: Function, dtype: Any, sizes: tuple[int, int]) -> None:
    is_small = sizes == (35, 16)
    plan = run(gradients(function), draw(dtype, *[(1, *sizes)] * 4), SCHEDULES if is_small else (0,))
    assert names(plan)[:2] == ["rowchain", "columnchain"]
    assert plan.entries[0].workspace_bytes < 40 * sizes[0] * 4


@pytest.mark.slow
def test_gradients_with_a_mask_from_memory() -> None:
    q, k, v, scores, weight = draw(tn.float32, *[(35, 16)] * 3, (35, 35), (35, 16))
    mask = scores > -0.3
    mask[:, 5] = False
    run(gradients(chosen), [q, k, v, mask, weight], (0,))


@pytest.mark.parametrize("dtype", [tn.bfloat16, tn.float16], ids=str)
def test_what_the_library_has_is_multiplied_by_tensor_cores(dtype: Any) -> None:
    arrays = draw(dtype, *[(1, 2, 40, 16)] * 3)
    plan = run(library, arrays, (0,))
    assert names(plan) == ["rowchain"]
    assert "mma.sync" in plan.ptx


def test_results_that_are_f32_are_as_exact_on_tensor_cores() -> None:
    """What is multiplied with 16 bits and is not rounded to them itself is taken apart."""

    def widened(q: Any, k: Any, v: Any) -> Any:
        return causal(*(each.to(tn.float32) for each in (q, k, v)))

    q, k, v, weight = draw(tn.bfloat16, *[(40, 16)] * 4)
    plan = run(widened, [q, k, v], (0,))
    assert "mma.sync" in plan.ptx
    assert plan.entries[0].results[0].dtype.name == "f32"
    assert "mma.sync" in run(gradients(library), [q, k, v, weight], (0,)).ptx


def test_a_loop_goes_on_with_what_it_gives() -> None:
    def repeated(x: Any) -> Any:
        while tn.sum(x * x) > 1:
            x = causal(x, x, x) / 2
        return x

    run(repeated, draw(tn.float32, (36, 16)), (0,))


@pytest.mark.parametrize(
    "shapes",
    [((2, 40, 16), (2, 40, 16), (2, 40, 0)), ((2, 40, 0),) * 2 + ((2, 40, 16),), ((0, 40, 16),) * 3],
    ids=["no features", "no channels", "no heads"],
)
def test_nothing_to_multiply(shapes: tuple[tuple[int, ...], ...]) -> None:
    run(attention, draw(tn.float32, *shapes), (0,))


def test_single_features_and_channels() -> None:
    assert names(run(attention, draw(tn.float32, (40, 3), (40, 3), (40, 1)), (0,))) == ["rowchain"]
    assert names(run(attention, draw(tn.bfloat16, (40, 1), (40, 1), (40, 5)), (0,))) == ["rowchain"]


def test_weights_that_are_dropped() -> None:
    def dropped(q: Any, k: Any, v: Any, kept: Any) -> Any:
        return tn.where(kept, tn.softmax(q @ k.mT, -1) * 2, 0) @ v

    *arrays, scores = draw(tn.float32, *[(40, 16)] * 3, (40, 40))
    assert names(run(dropped, [*arrays, scores > 0], (0,))) == ["rowchain"]


def test_other_functions_of_a_row_take_a_pass_for_each_fold() -> None:
    def normalised(q: Any, k: Any, v: Any) -> Any:
        scores = q @ k.mT
        centred = scores - tn.mean(scores, dim=-1, keepdim=True)
        return centred / tn.sqrt(tn.mean(centred * centred, dim=-1, keepdim=True) + 1) @ v

    arrays = draw(tn.float32, *[(40, 16)] * 3)
    assert names(run(normalised, arrays, (0,))) == ["rowchain"]
    loops = stage_text(module(normalised, arrays), "loops", target=gpu("sm_90a"))
    assert "pass 2:" in loops
    assert "pass 3:" not in loops


def test_a_softmax_is_one_pass() -> None:
    loops = stage_text(module(causal, draw(tn.bfloat16, *[(140, 64)] * 3)), "loops", target=gpu("sm_90a"))
    assert "pass 0:" in loops
    assert "pass 1:" not in loops
    assert "bf16 64x64" in loops


def test_columns_that_a_mask_leaves_out_are_not_gone_over() -> None:
    loops = stage_text(module(gradients(causal), draw(tn.float32, *[(256, 16)] * 4)), "loops", target=gpu("sm_90a"))
    rows, columns = [line for line in loops.splitlines() if "multiply chain" in line]
    assert "stretches 0:8," not in rows
    assert "stretches 0:8," not in columns


def test_scores_that_are_wanted_go_through_memory() -> None:
    def both(q: Any, k: Any, v: Any) -> Any:
        weights = tn.softmax(q @ k.mT, -1)
        return weights @ v, weights

    assert "rowchain" not in names(run(both, draw(tn.float32, *[(40, 16)] * 3), (0,)))


@needs_assembler
@pytest.mark.parametrize(
    ("features", "dtype", "architecture"),
    [
        pytest.param(64, tn.float32, "sm_80", marks=pytest.mark.slow),
        (64, tn.bfloat16, "sm_90a"),
        pytest.param(128, tn.float32, "sm_90a", marks=pytest.mark.slow),
        pytest.param(128, tn.bfloat16, "sm_80", marks=pytest.mark.slow),
        pytest.param(128, tn.bfloat16, "sm_90a", marks=pytest.mark.slow),
    ],
)
def test_registers_hold_what_is_kept(features: int, dtype: Any, architecture: str) -> None:
    arrays = draw(dtype, *[(1, 320, features)] * 4)
    made = assemble(plan_of(gradients(causal), arrays, architecture).ptx, architecture)
    assert made is not None
    chains = [kernel for name, kernel in made.kernels.items() if "chain" in name]
    assert len(chains) == 2
    assert [(kernel.spill_stores, kernel.spill_loads, kernel.stack_bytes) for kernel in chains] == [(0, 0, 0)] * 2
