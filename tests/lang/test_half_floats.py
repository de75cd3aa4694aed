"""f16 and bf16 as users meet them: element types of results, one rounding a function, other libraries' memory."""

from __future__ import annotations

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import tenfold as tn

BF16 = np.dtype(ml_dtypes.bfloat16)
HALVES = [pytest.param(np.dtype(np.float16), id="f16"), pytest.param(BF16, id="bf16")]


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        (tn.bf16, tn.bf16, tn.bf16),
        (tn.bf16, tn.f16, tn.f32),
        (tn.bf16, tn.f32, tn.f32),
        (tn.f16, tn.f64, tn.f64),
        (tn.f16, tn.i64, tn.f16),
        (tn.bf16, tn.bool_, tn.bf16),
    ],
)
def test_element_types_of_mixed_results_are_pytorchs(left, right, result) -> None:
    assert (tn.ones((2,), dtype=left) + tn.ones((2,), dtype=right)).dtype == result


@pytest.mark.parametrize("half", HALVES)
def test_numbers_keep_the_tensors_element_type(half) -> None:
    x = np.ones(3, half)
    for result in (tn.multiply(x, 2.5), tn.add(x, 1), tn.pow(x, 2), tn.softmax(x, -1), tn.mean(x), tn.sum(x)):
        assert result.dtype == half


def test_a_function_of_several_operations_is_rounded_once() -> None:
    x = np.linspace(-4, 4, 257).astype(BF16)
    wide = x.astype(np.float32)
    for function in (
        tn.gelu,
        tn.silu,
        tn.softplus,
        lambda v: tn.softmax(v, -1),
        lambda v: tn.layer_norm(v, 257),
        tn.var,
    ):
        np.testing.assert_array_equal(function(x), function(wide).astype(BF16))


def test_a_mean_in_a_wider_type_is_not_rounded() -> None:
    x = np.array([1.0, 1.0078125], BF16)
    assert tn.mean(x, dtype=tn.f32) == np.float32(1.00390625)
    assert tn.mean(x).dtype == BF16


@pytest.mark.parametrize("half", HALVES)
def test_conversion_to_and_from_every_type(half) -> None:
    x = np.array([0.0, -1.5, 2.5, 300.7, np.inf, -np.inf, np.nan]).astype(half)
    assert tn.to(x, tn.i8).tolist() == [0, -1, 2, 127, 127, -128, 0]
    assert tn.to(x, tn.u16).tolist()[:2] == [0, 0]
    assert tn.to(x, tn.bool_).tolist() == [False, *[True] * 6]
    np.testing.assert_array_equal(tn.to(x, tn.f64), x.astype(np.float64))
    assert tn.to(np.array([2**24 + 1, -3]), tn.bf16).tolist() == [2**24, -3]


def test_a_double_is_rounded_once() -> None:
    """By way of f32 this would become a tie, and go down."""
    assert float(tn.to(np.array([1 + 2.0**-8 + 2.0**-40]), tn.bf16)[0]) == 1 + 2.0**-7


@pytest.mark.parametrize("half", [tn.f16, tn.bf16])
def test_tensors_are_made_and_printed(half) -> None:
    assert repr(tn.arange(0, 2, 0.5, dtype=half)) == f"tensor([0.0000, 0.5000, 1.0000, 1.5000], dtype={half})"
    assert tn.linspace(0, 1, 5, dtype=half).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert tn.full((2,), 1.5, dtype=half).tolist() == [1.5, 1.5]
    assert tn.tensor([1.5, -2.0], dtype=half.name).tolist() == [1.5, -2.0]


def test_nan_to_num_gives_the_largest_number_of_the_type() -> None:
    for half in (np.dtype(np.float16), BF16):
        assert tn.nan_to_num(np.array([np.inf, np.nan]).astype(half)).tolist() == [float(ml_dtypes.finfo(half).max), 0]


def test_a_gradient_in_mixed_precision() -> None:
    """Weights in f32, the product in bf16: the gradient comes back in f32."""

    def loss(w, x):
        return tn.mean((x @ w.to(tn.bf16)).to(tn.f32) ** 2)

    w, x = np.full((4, 3), 0.5, np.float32), np.ones((8, 4), BF16)
    value, gradient = tn.compile(tn.value_and_grad(loss))(w, x)
    assert (float(value), gradient.dtype) == (4.0, np.float32)
    np.testing.assert_allclose(gradient, np.full((4, 3), 2 * 2.0 * 8 / 24), rtol=2.0**-8)


@pytest.mark.parametrize("half", HALVES)
def test_derivatives_are_computed_in_f32(half) -> None:
    x = np.linspace(-3, 3, 31).astype(half)
    gradient = tn.grad(lambda v: tn.sum(tn.tanh(v)).to(tn.f32))(x)
    out = np.tanh(x.astype(np.float32)).astype(half).astype(np.float32)
    np.testing.assert_array_equal(gradient, (1 - out * out).astype(half))


def test_dtype_objects_other_than_the_registered_one_are_taken() -> None:
    x = np.ones(3, BF16.newbyteorder("<"))
    assert tn.compile(lambda v: v * 2)(x).tolist() == [2, 2, 2]


def test_bfloat16_is_imported_only_where_it_is_used() -> None:
    code = """
import sys, numpy as np, tenfold as tn
tn.compile(lambda x: tn.softmax(x * 2 + 1, -1))(np.ones(3, np.float32))
tn.compile(lambda x: x * 2)(np.ones(3, np.float16))
sys.exit("ml_dtypes" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
