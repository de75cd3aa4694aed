"""Gradients, modules and optimisers on a GPU: what the CPU computes, there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import PlacementError

CUDA = tn.device("cuda:0")


def test_gradients_flow_on_the_device() -> None:
    x = tn.tensor([1.0, 2, 3], device="cuda", requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.device == CUDA
    assert x.grad.tolist() == [2, 4, 6]


def test_gradients_flow_between_devices() -> None:
    x = tn.tensor([1.0, 2, 3], requires_grad=True)
    there = x.to("cuda")
    assert there.grad_fn.name() == "ToCopyBackward0"
    (there**2).to("cuda:1").sum().backward()
    assert x.grad.device == tn.device("cpu")
    assert x.grad.tolist() == [2, 4, 6]


def test_gradients_of_gradients_flow_between_devices() -> None:
    x = tn.tensor([1.0, 2, 3], requires_grad=True)
    (first,) = tn.autograd.grad((x.cuda() ** 3).sum(), [x], create_graph=True)
    (second,) = tn.autograd.grad(first.sum(), [x])
    assert second.tolist() == [6, 12, 18]


def test_a_number_of_the_cpu_gets_its_gradient_there() -> None:
    scale = tn.tensor(3.0, requires_grad=True)
    (tn.arange(3.0, device="cuda") * scale).sum().backward()
    assert scale.grad.device == tn.device("cpu")
    assert scale.grad.item() == 3


def test_without_gradients_nothing_is_remembered() -> None:
    x = tn.ones(3, requires_grad=True)
    with tn.no_grad():
        assert not x.cuda().requires_grad


def test_a_gradient_on_another_device_is_refused() -> None:
    x = tn.ones(3, device="cuda", requires_grad=True)
    with pytest.raises(tn.errors.GradientError):
        x.grad = tn.ones(3)


def model() -> tn.nn.Module:
    tn.manual_seed(1)
    return tn.nn.Sequential(tn.nn.Linear(4, 8), tn.nn.GELU(), tn.nn.BatchNorm1d(8), tn.nn.Linear(8, 3))


def batch() -> tuple[tn.Tensor, tn.Tensor]:
    rng = np.random.default_rng(2)
    return tn.tensor(rng.standard_normal((6, 4)).astype(np.float32)), tn.tensor(rng.integers(0, 3, 6))


def trained(device: str, optimiser: Callable[..., Any], *, compiled: bool = False, steps: int = 3) -> list[Any]:
    """The losses of some steps and then the parameters."""
    network = model().to(device)
    update = optimiser(network.parameters())
    x, y = (each.to(device) for each in batch())

    def step(x: tn.Tensor, y: tn.Tensor) -> tn.Tensor:
        update.zero_grad()
        loss = tn.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        update.step()
        return loss.detach()

    run = tn.compile(step) if compiled else step
    losses = [run(x, y) for _ in range(steps)]
    state = network.state_dict()
    assert all(each.device == tn.device(device) for each in (*losses, *state.values()))
    return [loss.item() for loss in losses] + [each.cpu().numpy() for each in state.values()]


OPTIMISERS = {
    "sgd": lambda p: tn.optim.SGD(p, lr=0.1),
    "momentum": lambda p: tn.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adamw": lambda p: tn.optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: tn.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: tn.optim.Adagrad(p, lr=0.1),
    "nadam": lambda p: tn.optim.NAdam(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_training_there_is_training_here(name: str) -> None:
    for ours, theirs in zip(trained("cuda:0", OPTIMISERS[name]), trained("cpu", OPTIMISERS[name]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_compiled_training_there_is_training_here(name: str) -> None:
    here = trained("cpu", OPTIMISERS[name])
    for ours, theirs in zip(trained("cuda:0", OPTIMISERS[name], compiled=True), here, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)


def test_a_module_is_moved_with_gradients_and_buffers() -> None:
    network = model()
    x, y = batch()
    tn.nn.functional.cross_entropy(network(x), y).backward()
    parameters = list(network.parameters())
    network.cuda()
    assert list(network.parameters()) == parameters or all(
        a is b for a, b in zip(network.parameters(), parameters, strict=True)
    )
    assert all(each.device == each.grad.device == CUDA and each.is_leaf for each in parameters)
    assert all(buffer.device == CUDA for buffer in network.buffers())
    tn.nn.functional.cross_entropy(network(x.cuda()), y.cuda()).backward()
    network.cpu()
    assert all(each.device == each.grad.device == tn.device("cpu") for each in parameters)


def test_modules_are_made_on_the_device() -> None:
    layer = tn.nn.Linear(3, 4, device="cuda")
    assert layer.weight.device == layer.bias.device == CUDA
    with tn.device("cuda"):
        assert tn.nn.Conv2d(1, 2, 3).weight.device == CUDA


def test_a_module_there_refuses_a_tensor_here() -> None:
    with pytest.raises(PlacementError, match="same device"):
        tn.nn.Linear(3, 4, device="cuda")(tn.ones(2, 3))


def test_states_are_saved_and_loaded(tmp_path: Path) -> None:
    network = model().cuda()
    path = tmp_path / "model.pt"
    tn.save(network.state_dict(), path)
    here, there = tn.load(path), tn.load(path, map_location="cuda:1")
    for name, value in network.state_dict().items():
        assert here[name].device == tn.device("cpu")
        assert there[name].device == tn.device("cuda:1")
        np.testing.assert_array_equal(here[name].numpy(), value.cpu().numpy())
    other = model()
    other.load_state_dict(there)
    assert all(each.device == tn.device("cpu") for each in other.parameters())


def test_an_optimiser_takes_over_a_state(tmp_path: Path) -> None:
    network = model().cuda()
    update = tn.optim.Adam(network.parameters(), lr=0.01)
    x, y = (each.cuda() for each in batch())
    tn.nn.functional.cross_entropy(network(x), y).backward()
    update.step()
    path = tmp_path / "state.pt"
    tn.save(update.state_dict(), path)
    other = tn.optim.Adam(network.parameters(), lr=0.01)
    other.load_state_dict(tn.load(path))
    other.step()
    assert all(each.device == CUDA for state in other.state.values() for each in state.values())


def test_clipping_gradients() -> None:
    network = model().cuda()
    x, y = (each.cuda() for each in batch())
    tn.nn.functional.cross_entropy(network(x), y).backward()
    norm = tn.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
    assert norm.device == CUDA
    total = sum((each.grad**2).sum().item() for each in network.parameters())
    np.testing.assert_allclose(total**0.5, 0.01, rtol=1e-3)
