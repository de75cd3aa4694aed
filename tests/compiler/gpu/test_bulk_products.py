"""Products on sm_90a whose slices the copy engine brings and warp groups multiply, interpreted under schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_references import assert_product, draw
from simulated import call

import tenfold as tn
from tenfold_rt.cuda.plan import Launch, Plan, TensorMap
from tenfoldc.gpu import compile_plan
from tenfoldc.gpu.lower.products import tilings
from tenfoldc.loops.tiles import Multiplier
from tenfoldc.target import gpu

SHAPES = [candidate.tiling for candidate in tilings.bulk_candidates(Multiplier.BF16)]


def plan_of(function: Callable[..., Any], *specs: tn.Spec) -> Plan:
    return compile_plan(tn.compile(function).lower(*specs).module, target=gpu("sm_90a"), library="product")


def maps(plan: Plan) -> list[TensorMap]:
    steps = [step for step in plan.entries[0].steps if isinstance(step, Launch)]
    return [argument for step in steps for argument in step.arguments if isinstance(argument, TensorMap)]


@pytest.fixture(params=range(len(SHAPES)), ids=lambda number: f"{SHAPES[number].rows}x{SHAPES[number].columns}")
def only_bulk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products take one bulk tiling, where they can, on a GPU of two multiprocessors."""
    known = tilings.bulk_candidates

    def one(multiplier: Multiplier) -> list[tilings.Candidate]:
        return [tilings.Candidate(own.tiling, 1e6) for own in known(multiplier)[request.param :][:1]]

    monkeypatch.setattr(tilings, "bulk_candidates", one)
    monkeypatch.setattr(tilings, "multiprocessors", lambda target: 2)
    monkeypatch.setattr("tenfoldc.gpu.lower.products.tiled.multiprocessors", lambda target: 2)


@pytest.mark.usefixtures("only_bulk")
@pytest.mark.parametrize(
    ("dtype", "turned"),
    [
        (tn.bfloat16, (False, False)),
        (tn.float16, (False, True)),
        (tn.float16, (True, False)),
        (tn.bfloat16, (True, True)),
    ],
    ids=str,
)
def test_every_layout(dtype: Any, turned: tuple[bool, bool]) -> None:
    def product(a: Any, b: Any) -> Any:
        return (a.T if turned[0] else a) @ (b.T if turned[1] else b)

    shapes = [
        shape[::-1] if is_turned else shape for shape, is_turned in zip(((136, 72), (72, 264)), turned, strict=True)
    ]
    arrays = draw(dtype, *shapes)
    plan = plan_of(product, *(dtype[shape] for shape in shapes))
    assert len(maps(plan)) == 2
    (found,) = call(plan, arrays)
    assert_product(found, *(x.T if is_turned else x for x, is_turned in zip(arrays, turned, strict=True)))


@pytest.mark.usefixtures("only_bulk")
@pytest.mark.parametrize("seed", [1, 2])
def test_more_tiles_than_blocks_and_stages_under_schedules(seed: int) -> None:
    a, b = draw(tn.bfloat16, (2, 136, 264), (2, 264, 136))
    plan = plan_of(lambda a, b: a @ b, tn.bf16[2, 136, 264], tn.bf16[2, 264, 136])
    (step,) = plan.entries[0].steps
    assert isinstance(step, Launch)
    assert step.grid <= 2
    (found,) = call(plan, [a, b], schedule=seed)
    for number in range(2):
        assert_product(found[number], a[number], b[number])


@pytest.mark.usefixtures("only_bulk")
def test_batches_of_two_axes_and_what_follows() -> None:
    def product(q: Any, k: Any, bias: Any) -> Any:
        scores = q.transpose(1, 2) @ k.transpose(1, 2).transpose(2, 3)
        return tn.maximum(scores.to(tn.float32) * 0.5 + bias, 0)

    q, k = draw(tn.bfloat16, (2, 40, 3, 64), (2, 72, 3, 64))
    (bias,) = draw(tn.float32, (72,))
    plan = plan_of(product, tn.bf16[2, 40, 3, 64], tn.bf16[2, 72, 3, 64], tn.f32[72])
    assert [len(own.shape) for own in maps(plan)] == [4, 4]
    (found,) = call(plan, [q, k, bias])
    wide_q, wide_k = (x.astype(np.float64).transpose(0, 2, 1, 3) for x in (q, k))
    scores = wide_q @ wide_k.swapaxes(2, 3)
    np.testing.assert_allclose(found, np.maximum(scores * 0.5 + bias, 0), rtol=1e-2, atol=1e-1)


@pytest.mark.usefixtures("only_bulk")
@pytest.mark.parametrize(("turned", "count"), [(True, 2), (False, 0)])
def test_tf32_where_depths_adjoin(turned: bool, count: int) -> None:
    def product(a: Any, b: Any) -> Any:
        return tn.matmul(a, b.T if turned else b, precision="tf32")

    a, b = draw(tn.float32, (72, 44), (44, 136))
    given = b.T.copy() if turned else b
    plan = plan_of(product, tn.f32[72, 44], tn.f32[given.shape])
    assert len(maps(plan)) == count
    assert_product(call(plan, [a, given], schedule=1)[0], a, b, rounded=2.0**-10)


@pytest.mark.usefixtures("only_bulk")
@pytest.mark.parametrize("width", [33, 12])
def test_rows_at_no_multiple_of_sixteen_bytes_take_another_way(width: int) -> None:
    arrays = draw(tn.bfloat16, (40, width), (width, 64))
    plan = plan_of(lambda a, b: a @ b, tn.bf16[40, width], tn.bf16[width, 64])
    assert not maps(plan)
    assert_product(call(plan, arrays)[0], *arrays)


def test_large_products_take_the_copy_engine_and_small_ones_do_not() -> None:
    def product(a: Any, b: Any) -> Any:
        return a @ b

    assert len(maps(plan_of(product, tn.bf16[2048, 2048], tn.bf16[2048, 2048]))) == 2
    assert not maps(plan_of(product, tn.bf16[32, 64], tn.bf16[64, 32]))
    assert not maps(plan_of(product, tn.f32[2048, 2048], tn.f32[2048, 2048]))
