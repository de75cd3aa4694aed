"""Convolutions on a GPU as products in tiles, interpreted: strides, padding, dilation, groups, layouts, gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from gpu_references import draw
from simulated import call

import tenfold as tn
from tenfold import nn
from tenfold.text.parser import parse
from tenfold_rt.cuda.plan import Launch, Plan
from tenfoldc.gpu import compile_plan
from tenfoldc.interpret import interpret
from tenfoldc.ir.core import Module
from tenfoldc.target import gpu

SETTINGS: list[dict[str, Any]] = [
    {},
    {"padding": 1},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": (2, 1)},
    {"groups": 2, "padding": 1},
    {"groups": 8},
]


def plan_of(module: Module) -> Plan:
    return compile_plan(module, target=gpu("sm_80"), library="convolution")


def names(plan: Plan) -> str:
    return " ".join(step.kernel for step in plan.entries[0].steps if isinstance(step, Launch))


def check(module: Module, arrays: list[Any], *, relative: float = 2e-6) -> Plan:
    """The plan of a module, whose results are held against the interpreter's, computed in f64."""
    plan = plan_of(module)
    wanted = interpret(module, arrays, module.entries[0])
    for found, reference in zip(call(plan, arrays), wanted, strict=True):
        wide = np.asarray(reference, np.float64)
        np.testing.assert_allclose(found.astype(np.float64), wide, rtol=relative, atol=relative * np.abs(wide).max())
    return plan


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_convolutions(settings: dict[str, Any]) -> None:
    def convolution(x: Any, weight: Any) -> Any:
        return nn.functional.conv2d(x, weight, **settings)

    shapes = ((2, 8, 9, 11), (8, 8 // settings.get("groups", 1), 3, 3))
    check(tn.compile(convolution).lower(*(tn.f32[shape] for shape in shapes)).module, draw(tn.f32, *shapes))


@pytest.mark.parametrize("settings", [{"padding": 1}, {"stride": 2, "padding": 1}], ids=str)
def test_gradients(settings: dict[str, Any]) -> None:
    def loss(x: Any, weight: Any) -> Any:
        return (nn.functional.conv2d(x, weight, **settings) ** 2).sum()

    shapes = ((2, 8, 7, 9), (8, 8, 3, 3))
    module = tn.compile(tn.grad(loss, argnums=(0, 1))).lower(*(tn.f32[shape] for shape in shapes)).module
    check(module, draw(tn.f32, *shapes), relative=1e-5)


def test_halves_are_multiplied_by_tensor_cores_and_features_are_used_on_the_way() -> None:
    def layer(x: Any, weight: Any, bias: Any) -> Any:
        return nn.functional.relu(nn.functional.conv2d(x, weight, bias, padding=1))

    shapes = ((2, 16, 6, 7), (24, 16, 3, 3), (24,))
    module = tn.compile(layer).lower(*(tn.bf16[shape] for shape in shapes)).module
    plan = check(module, draw(tn.bf16, *shapes), relative=2**-7)
    assert "mma.sync.aligned.m16n8k16" in plan.ptx
    assert names(plan).count("product") == 1


def test_features_that_come_last_are_copied_many_at_a_time() -> None:
    text = """
    func.func @main(%x: tensor<2x6x7x16xf32>, %k: tensor<3x3x16x24xf32>) -> tensor<2x6x7x24xf32> {
      %0 = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f],
        window = {pad = [[1, 1], [1, 1]]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64}
        : (tensor<2x6x7x16xf32>, tensor<3x3x16x24xf32>) -> tensor<2x6x7x24xf32>
      return %0 : tensor<2x6x7x24xf32>
    }
    """
    shapes = ((2, 6, 7, 16), (3, 3, 16, 24))
    plan = check(parse(text), draw(tn.f32, *shapes))
    assert "cp.async.cg.shared.global" in plan.ptx


def test_a_transposed_convolution_multiplies_no_zeros() -> None:
    def convolution(x: Any, weight: Any) -> Any:
        return nn.functional.conv_transpose2d(x, weight, stride=2)

    shapes = ((2, 8, 5, 6), (8, 8, 4, 4))
    plan = check(tn.compile(convolution).lower(*(tn.f32[shape] for shape in shapes)).module, draw(tn.f32, *shapes))
    assert names(plan).count("product") == 4
    flops = sum(kernel.f32_flops or 0 for kernel in plan.kernels)
    assert flops >= 2 * math.prod((2, 8, 5, 6)) * 8 * 16
    assert flops < 2 * 2 * math.prod((2, 8, 5, 6)) * 8 * 16
