"""Constants that contractions and convolutions read are laid out in panels while compiling."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfoldc.pipeline import compile_module
from tenfoldc.target import host

Array = Any


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def loops(function: Callable[..., Any], *specs: Any) -> str:
    return tn.compile(function).lower(*specs).text("loops")


def constant_bytes(text: str) -> int:
    """What the constants of a program of f32 take."""
    shapes = re.findall(r"^  constant c\d+: f32\[([\d, ]+)\]", text, re.MULTILINE)
    return sum(4 * int(np.prod([int(size) for size in shape.split(",")])) for shape in shapes)


def packs(text: str, name: str) -> bool:
    """Whether `name` is memory that something is copied to."""
    return f"scratch {name}" in text


@pytest.mark.parametrize(("rows", "columns", "depth"), [(100, 300, 600), (13, 37, 31), (32, 2000, 1100), (5, 9, 300)])
@pytest.mark.parametrize("transposed", [False, True])
def test_an_rhs_is_packed_and_results_keep_every_bit(
    rows: int, columns: int, depth: int, transposed: bool, rng: np.random.Generator
) -> None:
    weight, x = normal(rng, depth, columns), normal(rng, rows, depth)
    stored = np.ascontiguousarray(weight.T).T if transposed else weight
    held = tn.compile(lambda x: tn.relu(x @ stored))
    given = tn.compile(lambda x, w: tn.relu(x @ w))
    text = held.lower(x).text("loops")
    assert not packs(text, "rhs_panels")
    assert "packing" not in text
    assert re.search(r"constant c\d+: f32\[\d+, \d+, (8|16)\]", text)
    np.testing.assert_array_equal(np.asarray(held(x)), np.asarray(given(x, stored)))


def test_an_lhs_is_packed(rng: np.random.Generator) -> None:
    weight, x = normal(rng, 300, 200), normal(rng, 200, 400)
    held = tn.compile(lambda x: weight @ x)
    assert not packs(held.lower(x).text("loops"), "lhs_panels")
    np.testing.assert_array_equal(np.asarray(held(x)), np.asarray(tn.compile(lambda w, x: w @ x)(weight, x)))


def test_batches_of_matrices_are_packed(rng: np.random.Generator) -> None:
    weight, x = normal(rng, 6, 64, 96), normal(rng, 6, 20, 64)
    held = tn.compile(lambda x: x @ weight)
    assert not packs(held.lower(x).text("loops"), "rhs_panels")
    np.testing.assert_array_equal(np.asarray(held(x)), np.asarray(tn.compile(lambda x, w: x @ w)(x, weight)))


@pytest.mark.parametrize(
    ("batch", "channels", "features", "size", "taps", "stride"),
    [
        (2, 8, 16, 12, 3, 1),  # implicit GEMM
        (2, 32, 64, 14, 3, 1),  # minimal filtering: the kernel's transform
        (40, 300, 32, 4, 2, 1),  # some channels at a time
        (2, 16, 6, 9, 5, 2),
    ],
)
def test_the_kernel_of_a_convolution_is_packed(
    batch: int, channels: int, features: int, size: int, taps: int, stride: int, rng: np.random.Generator
) -> None:
    kernel, x = normal(rng, features, channels, taps, taps), normal(rng, batch, channels, size, size)
    held = tn.compile(lambda x: tn.conv2d(x, kernel, padding=1, stride=stride))
    given = tn.compile(lambda x, w: tn.conv2d(x, w, padding=1, stride=stride))
    text = held.lower(x).text("loops")
    assert not packs(text, "lhs_panels")
    assert not packs(text, "by_tap")
    np.testing.assert_array_equal(np.asarray(held(x)), np.asarray(given(x, kernel)))


def test_panels_take_the_place_of_the_constant(rng: np.random.Generator) -> None:
    weight = normal(rng, 1000, 500)
    assert constant_bytes(loops(lambda x: x @ weight, tn.f32[64, 1000])) < 1.1 * weight.nbytes


def test_one_layout_serves_all_products_that_read_alike(rng: np.random.Generator) -> None:
    weight, xs = normal(rng, 500, 500), [tn.f32[64, 500], tn.f32[64, 500]]
    compiled = tn.compile(lambda x, y: (tn.relu(x @ weight), tn.tanh(tn.relu(y) @ weight)))
    assert not packs(compiled.lower(*xs).text("loops"), "rhs_panels")
    plain = tn.compile(lambda x: x @ weight).lower(xs[0])
    assert library_bytes(compiled.lower(*xs)) < library_bytes(plain) + 0.5 * weight.nbytes


def test_a_large_constant_that_is_also_read_otherwise_is_held_once(rng: np.random.Generator) -> None:
    weight = normal(rng, 1000, 1000)
    text = loops(lambda x, y: (x @ weight, y + weight), tn.f32[1000, 1000], tn.f32[1000, 1000])
    assert packs(text, "rhs_panels")
    assert constant_bytes(text) == weight.nbytes


def test_a_small_one_is_held_twice(rng: np.random.Generator) -> None:
    weight = normal(rng, 100, 100)
    text = loops(lambda x, y: (x @ weight, y + weight), tn.f32[100, 100], tn.f32[100, 100])
    assert not packs(text, "rhs_panels")
    assert constant_bytes(text) > weight.nbytes


def test_half_floats_are_not_held_as_wide_ones(rng: np.random.Generator) -> None:
    weight = tn.tensor(normal(rng, 1000, 1000)).to(tn.bf16)
    assert "bf16[1000, 1000]" in loops(lambda x: x @ weight.numpy(), tn.bf16[100, 1000])


def test_constants_inside_a_loop_are_packed_outside_it(rng: np.random.Generator) -> None:
    weight, x = normal(rng, 64, 64) / 64, normal(rng, 32, 64)
    held = tn.compile(lambda x: tn.fori_loop(0, 5, lambda i, x: x @ weight, x))
    given = tn.compile(lambda x, w: tn.fori_loop(0, 5, lambda i, x: x @ w, x))
    assert not packs(held.lower(x).text("loops"), "rhs_panels")
    np.testing.assert_array_equal(np.asarray(held(x)), np.asarray(given(x, weight)))


def library_bytes(lowered: Any) -> int:
    """What the constants of a program take in its library, where equal ones are one."""

    return len(compile_module(lowered.module, target=host(), library="sized")[0])
