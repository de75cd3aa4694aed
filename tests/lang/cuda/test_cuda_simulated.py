"""Tensors on a GPU by what the compiler makes for it: PTX, run by its interpreter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from gpu_support import standing_in
from simulated_device import SimulatedDevice

import tenfold as tn

RNG = np.random.default_rng(3)
A = RNG.standard_normal((5, 7)).astype(np.float32)
B = RNG.standard_normal((7, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def simulated(gpus: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedDevice]:
    """A device for the compiler's own plans in place of those that interpret."""
    monkeypatch.undo()
    device = SimulatedDevice()
    with standing_in([device]):
        yield device


def test_elementwise() -> None:
    x = tn.tensor(A).cuda()
    np.testing.assert_allclose(((x * 2).exp() + x.tanh()).cpu().numpy(), np.exp(A * 2) + np.tanh(A), rtol=2e-6)


def test_reductions() -> None:
    x = tn.tensor(A).cuda()
    np.testing.assert_allclose(x.sum(1).cpu().numpy(), A.sum(1), rtol=1e-5)
    np.testing.assert_allclose(x.softmax(0).sum().item(), 7, rtol=1e-5)
    assert x.argmax().item() == A.argmax()


def test_matmul() -> None:
    found = (tn.tensor(A).cuda() @ tn.tensor(B).cuda()).relu()
    np.testing.assert_allclose(found.cpu().numpy(), np.maximum(A @ B, 0), rtol=1e-5, atol=1e-6)


def test_views_and_changes_in_place() -> None:
    x = tn.tensor(A).cuda()
    x[1:3, ::2] += 1
    x.T[0] = 5
    wanted = A.copy()
    wanted[1:3, ::2] += 1
    wanted[:, 0] = 5
    np.testing.assert_array_equal(x.cpu().numpy(), wanted)


def test_half_floats_and_integers() -> None:
    x = tn.tensor(A).cuda().to(tn.bfloat16)
    np.testing.assert_array_equal((x + x).float().cpu().numpy(), (tn.tensor(A).to(tn.bfloat16) * 2).float().numpy())
    n = tn.arange(10, device="cuda")
    assert (n * n % 7).tolist() == [i * i % 7 for i in range(10)]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_training_step(compiled: bool) -> None:
    losses: dict[str, list[float]] = {}
    weights: dict[str, np.ndarray] = {}
    for device in ("cpu", "cuda"):
        tn.manual_seed(0)
        layer = tn.nn.Linear(7, 3).to(device)
        update = tn.optim.AdamW(layer.parameters(), lr=0.05)
        x, y = tn.tensor(A).to(device), tn.tensor(A @ B).to(device)

        def step(x=x, y=y, layer=layer, update=update):
            update.zero_grad()
            loss = tn.nn.functional.mse_loss(layer(x), y)
            loss.backward()
            update.step()
            return loss.detach()

        run = tn.compile(step) if compiled else step
        losses[device] = [run().item() for _ in range(3)]
        weights[device] = layer.weight.detach().cpu().numpy()
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=1e-4)
    np.testing.assert_allclose(weights["cuda"], weights["cpu"], rtol=1e-3, atol=1e-5)


def test_a_loop_on_the_device() -> None:
    @tn.compile(target="cuda")
    def root(x: tn.Tensor) -> tn.Tensor:
        guess = x
        while (guess * guess - x).abs() > 1e-6 * x:
            guess = (guess + x / guess) / 2
        return guess

    np.testing.assert_allclose(root(np.float64(2)), np.sqrt(2), rtol=1e-6)


def test_random_numbers() -> None:
    tn.manual_seed(1)
    here = tn.rand(9).tolist()
    tn.manual_seed(1)
    assert tn.rand(9, device="cuda").tolist() == here
