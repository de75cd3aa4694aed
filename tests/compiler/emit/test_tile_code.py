"""Code for the matrix unit: AMX's instructions, the permission for them, and what takes their place elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compiled import Array, compile_library, single

from tenfold_rt import cpu, dtypes
from tenfoldc import ops
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.object_code import compile_text
from tenfoldc.emit.tile_unit import TileOperations
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Module
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Buffer, Kernel, MultiplyStrip, Program
from tenfoldc.loops.scalar import index
from tenfoldc.pipeline import stage_text
from tenfoldc.target import EMULATED_TILES, Target, host, named

LoadProgram = Callable[[Program, Target], Callable[..., list[Array]]]

AMX = named("sapphirerapids")
LOADS = {(1, 1): 4, (3, 3): 14}
"""Tiles loaded in a step of the depth: two of each part of each operand, and twice where another part came between."""


def product(dtype: dtypes.DType, precision: str = "default") -> Module:
    def build(x: Var, y: Var) -> Var:
        return ops.dot_general(x, y, lhs_contracting=(1,), rhs_contracting=(0,), precision=precision)

    return single(build, [TensorType(dtype, (256, 320)), TensorType(dtype, (320, 256))])


@pytest.mark.parametrize(("dtype", "parts", "products"), [(dtypes.f32, 3, 6), (dtypes.bf16, 1, 1)])
def test_a_step_of_the_depth_is_all_products_of_four_tiles(dtype: dtypes.DType, parts: int, products: int) -> None:
    assembly = stage_text(product(dtype), "asm", target=AMX)
    _, _, strip = assembly.partition("ldtilecfg")
    strip, _, _ = strip.partition("tilerelease")
    blocks = re.split(r"^\.L\w+:", strip, flags=re.MULTILINE)
    steps = [block for block in blocks if "tdpbf16ps" in block]
    assert len(steps) >= 3  # the first, those between, the last
    for step in steps:
        whole, rest = divmod(step.count("tdpbf16ps"), 4 * products)
        assert rest == 0
        assert step.count("tileload") == whole * LOADS[parts, parts]
    assert not re.search(r"\bcall", strip)


def test_tiles_are_configured_around_their_use_and_asked_for_once() -> None:
    assembly = stage_text(product(dtypes.f32), "asm", target=AMX)
    strips = assembly.count("ldtilecfg")
    assert strips == assembly.count("tilerelease") > 0
    assert len(re.findall(r"\$4131,", assembly)) == 1  # ARCH_REQ_XCOMP_PERM
    assert "vfmadd" in assembly


def test_other_targets_have_no_tiles() -> None:
    assert "tile" not in stage_text(product(dtypes.f32), "llvm", target=named("x86-64-v4"))


def test_the_highest_precision_is_computed_by_vectors() -> None:
    assert "tdpbf16ps" not in stage_text(product(dtypes.f32, "highest"), "asm", target=AMX)


@pytest.mark.skipif(host().has_tiles, reason="this machine grants what is to be refused")
def test_where_tiles_are_refused_vectors_compute(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((256, 320), (320, 256)))
    claimed = replace(host(), features=tuple(sorted((*cpu.features(), "amx-tile", "amx-bf16"))))
    asking = compile_library([product(dtypes.f32)], tmp_path, "asking", claimed)
    plain = compile_library([product(dtypes.f32)], tmp_path, "plain")
    assert not {"amx-tile", "amx-bf16"} & set(asking.manifest.features)
    np.testing.assert_array_equal(asking.call("main0", [x, y])[0], plain.call("main0", [x, y])[0])


def bf16_bits(rng: np.random.Generator, *shape: int) -> Array:
    """Numbers of all magnitudes around 1, some subnormal, some zero, as words of two bf16."""
    values = rng.standard_normal((*shape, 2)) * 2.0 ** rng.integers(-8, 8, (*shape, 2))
    values = np.where(rng.random(values.shape) < 0.1, 1e-39, values) * (rng.random(values.shape) < 0.9)
    halves = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return halves.view(np.uint32).reshape(shape)


def flushed(x: Array) -> Array:
    return np.where(np.abs(x) < 2.0**-126, np.copysign(np.float32(0), x), x).astype(np.float32)


def product_of_tiles(total: Array, lhs: Array, rhs: Array) -> Array:
    """What Intel's manual says of TDPBF16PS; exponents are so near that f64 holds each sum exactly."""
    sums: list[Array] = []
    for shift in (16, 0):
        x, y = (flushed((words << shift & 0xFFFF0000).astype(np.uint32).view(np.float32)) for words in (lhs, rhs))
        chain = np.zeros((16, 16), np.float32)
        for k in range(16):
            exact = x[:, k, None].astype(np.float64) * y[None, k].astype(np.float64) + chain
            chain = flushed(exact.astype(np.float32))
        sums.append(chain)
    return flushed(flushed(total) + flushed(sums[0] + sums[1]))


def test_the_emulation_is_what_the_manual_says(load_program: LoadProgram) -> None:
    rng = np.random.default_rng(1)
    target = replace(host(), features=(*host().features, EMULATED_TILES))
    lhs, rhs = Buffer("lhs", dtypes.u32, (1, 2, 1, 32, 16)), Buffer("rhs", dtypes.u32, (1, 2, 1, 2, 16, 16))
    sums, zero = Buffer("sums", dtypes.f32, (32, 32)), index(0)
    strip = MultiplyStrip(sums, zero, zero, lhs, zero, rhs, zero, index(2), index(32), 32, False)
    run = load_program(Program("f", (lhs, rhs), (sums,), (), {}, (Kernel("strip", (strip,)),)), target)
    x, y = bf16_bits(rng, *lhs.shape), bf16_bits(rng, *rhs.shape)
    (result,) = run(x, y)
    for row in range(2):
        for column in range(2):
            total = np.zeros((16, 16), np.float32)
            for step in range(2):
                total = product_of_tiles(total, x[0, step, 0, 16 * row : 16 * row + 16], y[0, step, 0, column])
            np.testing.assert_array_equal(result[16 * row : 16 * row + 16, 16 * column : 16 * column + 16], total)


def test_operations_of_amx_are_single_instructions() -> None:
    module, text = ModuleText(AMX), FunctionText()
    tiles = TileOperations(module, text, "%tiles")
    tiles.configure()
    tiles.zero(0)
    tiles.load(4, "%place")
    tiles.load(6, "%place", once=True)
    tiles.multiply(0, 4, 6)
    tiles.store(0, "%place")
    tiles.release()
    text.effect("ret void")
    module.append(f"define void @f(ptr %tiles, ptr %place) {module.function_attributes} {{\n{text}\n}}")
    assembly = compile_text(str(module), AMX).assembly()
    wanted = ["ldtilecfg", "tilezero", "tileloadd", "tileloaddt1", "tdpbf16ps", "tilestored", "tilerelease"]
    assert re.findall(r"^\s+(\w*tile\w*|tdp\w+)\s", assembly + " ", re.MULTILINE)[: len(wanted)] == wanted
