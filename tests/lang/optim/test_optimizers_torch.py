"""Optimisers change parameters as PyTorch's do, and exchange state dicts with them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import tenfold as tn

torch = pytest.importorskip("torch")

SETTINGS = """
SGD(lr=0.1); SGD(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1, maximize=True)
SGD(lr=0.1, momentum=0.9, nesterov=True)
Adam(lr=0.1); Adam(lr=0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, amsgrad=True, maximize=True)
AdamW(lr=0.1); AdamW(lr=0.1, amsgrad=True)
RMSprop(lr=0.1); RMSprop(lr=0.1, momentum=0.5, centered=True, weight_decay=0.1, maximize=True)
Adagrad(lr=0.1); Adagrad(lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.5, maximize=True)
Adadelta(); Adadelta(lr=0.5, rho=0.8, weight_decay=0.1)
NAdam(lr=0.1); NAdam(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True)
RAdam(lr=0.1, betas=(0.9, 0.9)); RAdam(lr=0.1, weight_decay=0.1); Adamax(lr=0.1, weight_decay=0.1)
"""
OPTIMISERS = [text.strip() for text in SETTINGS.replace("\n", ";").split(";") if text.strip()]
SHAPES = ((3, 2), (4,), ())


def made(library: Any, text: str, params: list[Any]) -> Any:
    return eval(f"optim.{text.replace('(', '(params, ', 1)}", {"optim": library.optim, "params": params})


def parameters(library: Any, seed: int = 0) -> list[Any]:
    random = np.random.default_rng(seed)
    arrays = [random.normal(size=shape).astype(np.float32) for shape in SHAPES]
    return [library.tensor(np.array(array), requires_grad=True) for array in arrays]


def step(library: Any, optimiser: Any, params: list[Any], number: int) -> None:
    """One step on gradients that depend on its number; the second parameter has none at the first step."""
    random = np.random.default_rng(100 + number)
    for place, param in enumerate(params):
        gradient = random.normal(size=SHAPES[place]).astype(np.float32)
        param.grad = None if place == 1 and number == 0 else library.tensor(np.array(gradient))
    optimiser.step()


def values(tensors: Any) -> list[Any]:
    return [tensor.detach().numpy() for tensor in tensors]


def assert_alike(ours: Any, theirs: Any) -> None:
    """State dicts with the same names and nearly the same numbers."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for name in theirs:
            assert_alike(ours[name], theirs[name])
    elif hasattr(theirs, "detach"):
        assert tuple(ours.shape) == tuple(theirs.shape)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)
    elif isinstance(theirs, list):
        for mine, other in zip(ours, theirs, strict=True):
            assert_alike(mine, other)
    else:
        assert ours == theirs


QUICK = ("SGD(lr=0.1, momentum=0.9, damp", "Adam(lr=0.1, betas", "RMSprop(lr=0.1, mom")


@pytest.mark.parametrize(
    "text", [pytest.param(text, marks=[] if text.startswith(QUICK) else pytest.mark.slow) for text in OPTIMISERS]
)
def test_steps_and_states_are_those_of_pytorch(text: str) -> None:
    runs: list[Any] = []
    for library in (tn, torch):
        params = parameters(library)
        optimiser = made(library, text, params)
        for number in range(7):
            if number == 4:
                optimiser.param_groups[0]["lr"] *= 0.5
            step(library, optimiser, params, number)
        runs.append((values(params), optimiser.state_dict()))
    (ours, our_state), (theirs, their_state) = runs
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=2e-6)
    assert_alike(our_state, their_state)


@pytest.mark.parametrize("text", ["SGD(lr=0.1, momentum=0.9)", "Adam(lr=0.1)"])
def test_state_dicts_go_to_pytorch_and_back(text: str) -> None:
    ours, theirs = parameters(tn), parameters(torch)
    source = made(torch, text, theirs)
    for number in range(3):
        step(torch, source, theirs, number)
    with tn.no_grad():
        for mine, other in zip(ours, theirs, strict=True):
            mine.copy_(tn.tensor(other.detach().numpy()))
    target = made(tn, text, ours)
    target.load_state_dict(copy.deepcopy(source.state_dict()))
    for number in (3, 4):
        step(tn, target, ours, number)
        step(torch, source, theirs, number)
    for mine, other in zip(values(ours), values(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    assert_alike(target.state_dict(), source.state_dict())


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_takes_the_steps_of_pytorch(search: str | None) -> None:
    def minimised(library: Any) -> tuple[list[float], Any]:
        point = library.tensor([-1.2, 1.0], requires_grad=True)
        rate = 1.0 if search else 1e-3
        optimiser = library.optim.LBFGS([point], lr=rate, max_iter=6, history_size=3, line_search_fn=search)

        def closure() -> Any:
            optimiser.zero_grad()
            loss = 100 * (point[1] - point[0] ** 2) ** 2 + (1 - point[0]) ** 2
            loss.backward()
            return loss

        losses = [optimiser.step(closure).item() for _ in range(3)]
        return losses, point.detach().numpy()

    (ours, mine), (theirs, other) = minimised(tn), minimised(torch)
    np.testing.assert_allclose(ours, theirs, rtol=2e-2)
    np.testing.assert_allclose(mine, other, rtol=2e-2)


def test_groups_have_settings_of_their_own() -> None:
    def stepped(library: Any) -> tuple[list[Any], str]:
        params = parameters(library)
        named = [{"params": params[:1], "lr": 1.0}, {"params": params[1:2]}]
        optimiser = library.optim.SGD(named, lr=0.1)
        optimiser.add_param_group({"params": params[2], "momentum": 0.5})
        for number in range(2):
            step(library, optimiser, params, number)
        return values(params), repr(optimiser)

    (ours, our_text), (theirs, their_text) = stepped(tn), stepped(torch)
    assert our_text == their_text
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6)


WRONG = [
    "optim.SGD(params, lr=-1)",
    "optim.SGD(params, momentum=-1)",
    "optim.SGD(params, weight_decay=-1)",
    "optim.SGD(params, nesterov=True)",
    "optim.Adam(params, betas=(1.0, 0.9))",
    "optim.Adam(params, eps=-1)",
    "optim.SGD([])",
    "optim.SGD([3])",
    "optim.SGD([params[0] * 2])",
    "optim.SGD([{'params': params}, {'params': params}])",
    "optim.SGD(params).load_state_dict({'state': {}, 'param_groups': []})",
    "optim.SGD(params).load_state_dict({'state': {}, 'param_groups': [{'params': [0]}]})",
    "optim.LBFGS([{'params': params[:1]}, {'params': params[1:]}])",
]


@pytest.mark.parametrize("text", WRONG)
def test_errors_are_those_of_pytorch(text: str) -> None:
    caught: list[Exception] = []
    for library in (tn, torch):
        with pytest.raises((ValueError, TypeError)) as info:
            eval(text, {"optim": library.optim, "params": parameters(library)})
        caught.append(info.value)
    assert str(caught[0]) == str(caught[1])
    assert isinstance(caught[0], ValueError) == isinstance(caught[1], ValueError)


@pytest.mark.parametrize("text", ["SGD(lr=0.1)", "Adam(lr=0.1)", "RMSprop(lr=0.1)"])
def test_a_parameter_that_is_there_twice_is_changed_twice_and_warned_of(text: str) -> None:
    found: list[list[float]] = []
    for library in (tn, torch):
        param = library.nn.Parameter(library.ones(2))
        with pytest.warns(UserWarning, match="optimizer contains a parameter group with duplicate parameters"):
            optimiser = made(library, text, [param, param])
        for _ in range(2):
            optimiser.zero_grad()
            (param * param).sum().backward()
            optimiser.step()
        found.append(param.tolist())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
