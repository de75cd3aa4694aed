"""Training: losses fall, and from the second step on nothing is compiled, whatever a schedule changes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold import nn, optim
from tenfold.lazy.graph import GRAPH

MADE: list[Callable[[Any], optim.Optimizer]] = [
    lambda params: optim.SGD(params, lr=0.05, momentum=0.9),
    lambda params: optim.AdamW(params, lr=0.05),
]


@pytest.mark.parametrize("made", MADE)
def test_steps_after_the_first_compile_nothing(made: Callable[[Any], optim.Optimizer]) -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    optimiser = made(model.parameters())
    schedule = optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=40)
    x = tn.tensor(np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32))
    y = x.sum(1, keepdim=True)
    losses: list[float] = []
    compiled: list[int] = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        compiled.append(GRAPH.counters.compiled)
    assert compiled[1:] == [compiled[0]] * 29
    assert losses[-1] < 0.3 * losses[0]


def test_hooks_run_around_steps_and_closures_give_losses() -> None:
    point = tn.tensor([1.0], requires_grad=True)
    optimiser, calls = optim.SGD([point], lr=0.5), []
    optimiser.register_step_pre_hook(lambda *_: calls.append("before"))
    handle = optimiser.register_step_post_hook(lambda *_: calls.append("after"))

    def closure() -> Any:
        optimiser.zero_grad()
        loss = (point * point).sum()
        loss.backward()
        return loss

    assert optimiser.step(closure).item() == 1.0
    handle.remove()
    optimiser.step(closure)
    assert calls == ["before", "after", "before"]
    assert point.tolist() == [0.0]


def test_copies_of_optimisers_are_optimisers_of_their_own() -> None:
    point = tn.tensor([1.0, 2.0], requires_grad=True)
    point.grad = tn.ones(2)
    optimiser = optim.Adam([point], lr=0.1)
    optimiser.step()
    for other in (copy.deepcopy(optimiser), pickle.loads(pickle.dumps(optimiser))):
        (theirs,) = other.param_groups[0]["params"]
        other.param_groups[0]["lr"] = 0.5
        theirs.grad = tn.ones(2)
        other.step()
        np.testing.assert_allclose(theirs.detach().numpy(), [0.4, 1.4], atol=1e-5)
    np.testing.assert_allclose(point.detach().numpy(), [0.9, 1.9], atol=1e-5)


def test_gradients_are_forgotten_or_zeroed() -> None:
    point = tn.tensor([1.0], requires_grad=True)
    point.grad = tn.ones(1)
    optimiser = optim.SGD([point])
    optimiser.zero_grad(set_to_none=False)
    assert point.grad.tolist() == [0.0]
    optimiser.zero_grad()
    assert point.grad is None
