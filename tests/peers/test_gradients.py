"""Gradients of whole networks agree with PyTorch's: an MLP, a convolutional network and a transformer block."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold as tn

torch = pytest.importorskip("torch", reason="needs the peers extra: PyTorch")
functional = torch.nn.functional

Array = NDArray[Any]
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
BATCH = 8


def mlp_loss(lib: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    for layer in range(3):
        x = x @ p[f"w{layer}"] + p[f"b{layer}"]
        if layer < 2:
            x = lib.tanh(x) if layer else lib.relu(x)
    return lib.cross_entropy(x, y)


def mlp_arguments(rng: np.random.Generator, dtype: str) -> tuple[dict[str, Array], Array, Array]:
    sizes = [13, 32, 17, 10]
    p: dict[str, Array] = {}
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        p[f"w{layer}"] = rng.standard_normal((inputs, outputs)).astype(dtype) / np.sqrt(inputs).astype(dtype)
        p[f"b{layer}"] = 0.1 * rng.standard_normal(outputs).astype(dtype)
    return p, rng.standard_normal((BATCH, 13)).astype(dtype), rng.integers(0, 10, BATCH)


def cnn_loss(lib: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    x = lib.relu(lib.conv2d(x, p["c0"], p["d0"], padding=1))
    x = lib.max_pool2d(x, 2)
    x = lib.relu(lib.conv2d(x, p["c1"], p["d1"], stride=2, padding=1))
    x = lib.avg_pool2d(x, 2)
    return lib.cross_entropy(x.reshape(BATCH, -1) @ p["w"], y)


def cnn_arguments(rng: np.random.Generator, dtype: str) -> tuple[dict[str, Array], Array, Array]:
    p = {
        "c0": rng.standard_normal((6, 3, 3, 3)) / 5,
        "d0": rng.standard_normal(6) / 5,
        "c1": rng.standard_normal((8, 6, 3, 3)) / 7,
        "d1": rng.standard_normal(8) / 7,
        "w": rng.standard_normal((8 * 2 * 2, 10)) / 5,
    }
    x = rng.standard_normal((BATCH, 3, 16, 16)).astype(dtype)
    return {name: value.astype(dtype) for name, value in p.items()}, x, rng.integers(0, 10, BATCH)


def transformer_loss(lib: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    batch, length, width, heads = BATCH, 12, 16, 4

    def split_heads(t: Any) -> Any:
        return t.reshape(batch, length, heads, width // heads).permute(0, 2, 1, 3)

    h = lib.layer_norm(x, (width,), p["g0"], p["h0"])
    q, k, v = (split_heads(h @ p[name]) for name in ("wq", "wk", "wv"))
    scores = q @ k.permute(0, 1, 3, 2) / (width // heads) ** 0.5
    mixed = (lib.softmax(scores, dim=-1) @ v).permute(0, 2, 1, 3).reshape(batch, length, width)
    x = x + mixed @ p["wo"]
    h = lib.layer_norm(x, (width,), p["g1"], p["h1"])
    x = x + lib.gelu(h @ p["w1"] + p["b1"]) @ p["w2"]
    return ((x - y) ** 2).mean()


def transformer_arguments(rng: np.random.Generator, dtype: str) -> tuple[dict[str, Array], Array, Array]:
    p = {name: rng.standard_normal((16, 16)) / 4 for name in ("wq", "wk", "wv", "wo")}
    p |= {"w1": rng.standard_normal((16, 64)) / 4, "b1": rng.standard_normal(64) / 4}
    p |= {"w2": rng.standard_normal((64, 16)) / 8}
    p |= {f"g{i}": 1 + rng.standard_normal(16) / 8 for i in range(2)}
    p |= {f"h{i}": rng.standard_normal(16) / 8 for i in range(2)}
    x, y = (rng.standard_normal((BATCH, 12, 16)).astype(dtype) for _ in range(2))
    return {name: value.astype(dtype) for name, value in p.items()}, x, y


class Torch:
    """PyTorch's functions under the names that the losses use."""

    def __getattr__(self, name: str) -> Any:
        return getattr(functional, name, None) or getattr(torch, name)


NETWORKS = {
    "mlp": (mlp_loss, mlp_arguments),
    "cnn": (cnn_loss, cnn_arguments),
    "transformer": (transformer_loss, transformer_arguments),
}


def torch_gradients(
    loss: Callable[..., Any], p: dict[str, Array], x: Array, y: Array
) -> tuple[float, dict[str, Array]]:
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in p.items()}
    value = loss(Torch(), parameters, torch.tensor(x), torch.tensor(y))
    value.backward()
    return value.item(), {name: parameter.grad.numpy() for name, parameter in parameters.items()}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_agree_with_pytorch(network: str, dtype: str) -> None:
    loss, arguments = NETWORKS[network]
    p, x, y = arguments(np.random.default_rng(11), dtype)
    compiled = tn.compile(tn.value_and_grad(lambda p, x, y: loss(tn, p, x, y)))
    value, gradients = compiled(p, x, y)
    expected_value, expected = torch_gradients(loss, p, x, y)
    assert abs(value - expected_value) <= TOLERANCE[dtype] * abs(expected_value)
    for name, gradient in gradients.items():
        assert gradient.dtype == dtype
        error = np.linalg.norm(gradient - expected[name]) / np.linalg.norm(expected[name])
        assert error <= TOLERANCE[dtype], f"gradient of {name}: relative error {error:.1e}"
