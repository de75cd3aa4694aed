"""The samples' networks learn on a GPU, by the kernels that ship, as they do on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np
import pytest
from gpu_support import standing_in
from samples import char_transformer, digits_cnn
from simulated_device import SimulatedDevice

import tenfold as tn
from tenfold import nn

Batch = tuple[np.ndarray, np.ndarray]

STEPS = 2


@pytest.fixture(autouse=True)
def simulated(gpus: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedDevice]:
    """A device for the compiler's own plans in place of those that interpret."""
    monkeypatch.undo()
    device = SimulatedDevice()
    with standing_in([device]):
        yield device


def trained(network: Callable[[], nn.Module], batch: Batch, device: str) -> tuple[list[float], list[np.ndarray]]:
    """The losses of some steps on `device`, and the parameters after them.

    Plain steps: Adam would make rounding errors of gradients that are 0, as of biases of keys, as large as others.
    """
    tn.manual_seed(3)
    model = network().to(device)
    model.train()
    optimizer = tn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    inputs, targets = (tn.tensor(array).to(device) for array in batch)
    losses: list[float] = []
    with tn.device(device) if device != "cpu" else nullcontext():
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs).flatten(0, -2), targets.flatten())
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, [parameter.detach().cpu().numpy() for parameter in model.parameters()]


def digits() -> nn.Module:
    network = digits_cnn.Network(channels=4)
    network.classifier[1].p = 0.0
    return network


def characters() -> nn.Module:
    return char_transformer.CharTransformer(letters=11, width=16, heads=2, layers=1)


def draw_digits(rng: np.random.Generator) -> Batch:
    return rng.random((5, 1, 8, 8), dtype=np.float32), rng.integers(0, 10, 5)


def draw_characters(rng: np.random.Generator) -> Batch:
    codes = rng.integers(0, 11, (2, 9))
    return codes[:, :-1].copy(), codes[:, 1:].copy()


@pytest.mark.parametrize(
    ("network", "draw"),
    [(digits, draw_digits), pytest.param(characters, draw_characters, marks=pytest.mark.slow)],
)
def test_a_sample_learns_as_on_the_cpu(
    network: Callable[[], nn.Module],
    draw: Callable[[np.random.Generator], Batch],
    simulated: SimulatedDevice,
    rng: np.random.Generator,
) -> None:
    batch = draw(rng)
    losses, parameters = trained(network, batch, "cpu")
    on_gpu, moved = trained(network, batch, "cuda")
    np.testing.assert_allclose(on_gpu, losses, rtol=2e-5)
    for own, other in zip(moved, parameters, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)
    assert len([name for name in simulated.log if "kernel" in name or "_k" in name]) > 10 * STEPS
