"""f16 and bf16 agree with PyTorch's, bit for bit where both round once, and with JAX's to its freedom to round less."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import tenfold as tn

torch = pytest.importorskip("torch", reason="needs the peers extra: PyTorch")
jax = pytest.importorskip("jax", reason="needs the peers extra: JAX")
functional = torch.nn.functional

HALVES = [pytest.param(np.dtype(np.float16), id="f16"), pytest.param(np.dtype(ml_dtypes.bfloat16), id="bf16")]
FUNCTIONS = {
    "chain": (
        lambda x, w: tn.tanh(x * w + x) / (1 + tn.exp(-x)),
        lambda x, w: torch.tanh(x * w + x) / (1 + torch.exp(-x)),
    ),
    "softmax": (lambda x, w: tn.softmax(x, -1), lambda x, w: functional.softmax(x, -1)),
    "layer_norm": (
        lambda x, w: tn.layer_norm(x, x.shape[-1], w, w),
        lambda x, w: functional.layer_norm(x, x.shape[-1:], w, w),
    ),
    "gelu": (lambda x, w: tn.gelu(x), lambda x, w: functional.gelu(x)),
    "sum": (lambda x, w: tn.sum(x, 0), lambda x, w: x.sum(0)),
    "mean": (lambda x, w: tn.mean(x, -1), lambda x, w: x.mean(-1)),
    "cumsum": (lambda x, w: tn.cumsum(x, 1), lambda x, w: torch.cumsum(x, 1)),
    "sort": (lambda x, w: tn.sort(x, 1).values, lambda x, w: torch.sort(x, 1).values),
    "matmul": (lambda x, w: x @ x.T, lambda x, w: x @ x.T),
}


def tensor(array):
    return torch.from_dlpack(tn.tensor(array))


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_pytorchs(name, half, rng) -> None:
    """To one unit in the last place: f32 sums in another order decide a rounding now and then."""
    x, w = rng.normal(size=(13, 40)).astype(half), rng.normal(size=40).astype(half)
    ours, theirs = FUNCTIONS[name]
    expected = theirs(tensor(x), tensor(w)).float().numpy()
    actual = np.asarray(tn.compile(ours)(x, w))
    assert actual.dtype == half
    unit = float(ml_dtypes.finfo(half).eps)
    wide = actual.astype(np.float32)
    np.testing.assert_allclose(wide, expected, rtol=unit, atol=unit * 1e-2)
    assert (wide == expected).mean() > 0.97


@pytest.mark.parametrize("half", HALVES)
def test_gradients_are_pytorchs(half, rng) -> None:
    x, w = rng.normal(size=(16, 24)).astype(half), (rng.normal(size=(24, 8)) / 5).astype(half)

    def loss(lib, x, w, wide):
        return (lib.gelu(x @ w).to(wide) ** 2).mean()

    ours = tn.compile(tn.grad(lambda w: loss(tn, tn.tensor(x), w, tn.f32)))(w)
    leaf = tensor(w).requires_grad_()
    (theirs,) = torch.autograd.grad(loss(functional, tensor(x), leaf, torch.float32), leaf)
    unit = float(ml_dtypes.finfo(half).eps)
    np.testing.assert_allclose(ours.astype(np.float32), theirs.float().numpy(), rtol=4 * unit, atol=unit * 1e-2)


@pytest.mark.parametrize("half", HALVES)
def test_products_and_convolutions_are_jaxs(half, rng) -> None:
    x, w = rng.normal(size=(2, 3, 9, 9)).astype(half), rng.normal(size=(4, 3, 3, 3)).astype(half)
    expected = jax.lax.conv(jax.numpy.asarray(x), jax.numpy.asarray(w), (1, 1), "VALID")
    unit = float(ml_dtypes.finfo(half).eps)
    actual = tn.conv2d(x, w)
    assert actual.dtype == half
    np.testing.assert_allclose(
        actual.astype(np.float32), np.asarray(expected).astype(np.float32), rtol=unit, atol=4 * unit
    )
