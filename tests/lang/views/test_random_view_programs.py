"""Random programs of views and changes in place, run here and with PyTorch: every alias must agree at every step.

A program is made from its seed, which a failure names, with the steps that led there.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore")

Step = Callable[[Any, Any], Any]
"""From a library and a tensor of its."""


def _index(axis: int, item: object) -> tuple[object, ...]:
    return (*[slice(None)] * axis, item)


def _view(rng: random.Random, shape: tuple[int, ...], several: bool) -> tuple[str, Step]:
    """A step that gives a view, mostly; without `several` none of those that give several."""
    axis = rng.randrange(max(len(shape), 1))
    size = math.prod(shape)
    rows = rng.choice([n for n in range(1, size + 1) if size % n == 0] or [1])
    place = rng.randrange(len(shape) + 1)
    steps: list[tuple[str, Step]] = [
        (f"unsqueeze({place})", lambda _, x: x.unsqueeze(place)),
        ("squeeze()", lambda _, x: x.squeeze()),
        ("expand(2, ...)", lambda _, x: x.expand(2, *x.shape)),
        ("detach()", lambda _, x: x.detach()),
        (f"reshape({rows}, -1)", lambda _, x: x.reshape(rows, -1) if size else x.reshape(0)),
        ("flatten()", lambda _, x: x.flatten()),
        ("[None, ...]", lambda _, x: x[None, ...]),
    ]
    if shape:
        order, other = rng.sample(range(len(shape)), len(shape)), rng.randrange(len(shape))
        steps += [
            (f"transpose({axis}, {other})", lambda _, x: x.transpose(axis, other)),
            (f"permute({order})", lambda _, x: x.permute(*order)),
        ]
    if shape and shape[axis]:
        number, start, stride = rng.randrange(-shape[axis], shape[axis]), rng.randrange(shape[axis]), rng.choice([1, 2])
        chunk = rng.randrange(1, shape[axis] + 1)
        steps += [
            (f"select({axis}, {number})", lambda _, x: x[_index(axis, number)]),
            (f"slice({axis}, {start}::{stride})", lambda _, x: x[_index(axis, slice(start, None, stride))]),
        ]
        if several:
            steps += [
                (f"split({chunk}, {axis})[-1]", lambda _, x: x.split(chunk, axis)[-1]),
                (f"unbind({axis})[0]", lambda _, x: x.unbind(axis)[0]),
            ]
    return rng.choice(steps)


def _row(library: Any, x: Any) -> Any:
    return library.arange(x.shape[-1], dtype=library.float32) if x.ndim else library.tensor(3.0)


def _change(rng: random.Random, shape: tuple[int, ...]) -> tuple[str, Step]:
    """A step that changes a tensor in place."""
    number = rng.choice([0.5, 2.0, -1.0])
    steps: list[tuple[str, Step]] = [
        (f"add_({number})", lambda _, x: x.add_(number)),
        (f"mul_({number})", lambda _, x: x.mul_(number)),
        (f"fill_({number})", lambda _, x: x.fill_(number)),
        ("copy_(row)", lambda library, x: x.copy_(_row(library, x))),
        (f"[...] = {number}", lambda _, x: x.__setitem__(Ellipsis, number)),
        (f"[x > 0] = {number}", lambda _, x: x.__setitem__(x > 0, number)),
        ("mul_(itself)", lambda _, x: x.mul_(x)),
        ("clamp_(-2, 2)", lambda _, x: x.clamp_(-2, 2)),
    ]
    if shape and shape[0]:
        place = rng.randrange(shape[0])
        steps += [
            (f"[{place}] = {number}", lambda _, x: x.__setitem__(place, number)),
            (f"[tensor([{place}])] = {number}", lambda library, x: x.__setitem__(library.tensor([place]), number)),
            ("[0:1] += 1", lambda _, x: x.__setitem__(slice(0, 1), x[0:1] + 1)),
        ]
    return rng.choice(steps)


def _outcome(step: Step, library: Any, x: Any) -> tuple[Any, Exception | None]:
    try:
        return step(library, x), None
    except Exception as error:  # compared with the other library's
        return None, error


def _assert_alike(ours: Any, theirs: Any, log: list[str]) -> None:
    assert tuple(ours.shape) == tuple(theirs.shape), log
    assert (ours.requires_grad, ours.is_leaf) == (theirs.requires_grad, theirs.is_leaf), log
    assert ours.is_contiguous() == theirs.is_contiguous(), log
    if theirs.numel():
        strides = [(a, b) for a, b, n in zip(ours.stride(), theirs.stride(), ours.shape, strict=True) if n > 1]
        assert all(a == b for a, b in strides), log
        assert ours.storage_offset() == theirs.storage_offset(), log
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-4, 1e-5, err_msg=str(log))


def _weighed(library: Any, tensors: list[Any]) -> Any:
    return sum(((x * x * (n + 1)).sum() for n, x in enumerate(tensors)), library.tensor(0.0))


def _run(seed: int, *, gradients: bool) -> None:
    rng = random.Random(seed)
    shape = tuple(rng.choice([1, 2, 3, 4]) for _ in range(rng.randrange(1, 4)))
    data = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    log = [f"seed {seed}", f"shape {shape}"]
    leaf, their_leaf = tn.tensor(data, requires_grad=gradients), torch.tensor(data, requires_grad=gradients)
    ours, theirs = ([leaf * 1], [their_leaf * 1]) if gradients else ([leaf], [their_leaf])
    for _ in range(7):
        number = rng.randrange(len(ours))
        given = tuple(theirs[number].shape)
        is_view = rng.random() < 0.55
        name, step = _view(rng, given, not gradients) if is_view else _change(rng, given)
        log.append(f"x{len(ours)} = x{number}.{name}" if is_view else f"x{number}.{name}")
        (our, error), (their, their_error) = _outcome(step, tn, ours[number]), _outcome(step, torch, theirs[number])
        if error is not None and "single memory location" in str(error):
            return  # PyTorch lets some changes of repeated memory through
        assert (error is None) == (their_error is None), (log, error, their_error)
        if is_view and error is None:
            ours.append(our)
            theirs.append(their)
        if rng.random() < 0.3:
            place = rng.randrange(len(ours))
            _assert_alike(ours[place], theirs[place], log)
    for our, their in zip(ours, theirs, strict=True):
        _assert_alike(our, their, log)
    if gradients:
        _, their_error = _outcome(lambda library, x: x.backward(), torch, _weighed(torch, theirs))
        if their_error is not None:
            return  # it keeps no old value of what was changed in place; Tenfold does
        _weighed(tn, ours).backward()
        np.testing.assert_allclose(leaf.grad.numpy(), their_leaf.grad.numpy(), 1e-3, 1e-3, err_msg=str(log))


def _seeds(few: list[int], many: int) -> list[Any]:
    return [*few, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(many))]


@pytest.mark.parametrize("seed", _seeds([2010, 2011, 2012, 2014, 2015, 2016], 150))
def test_aliases_agree_with_pytorch(seed: int) -> None:
    _run(seed, gradients=False)


@pytest.mark.parametrize("seed", _seeds([3001, 3002, 3003, 3004], 100))
def test_gradients_through_aliases_agree_with_pytorch(seed: int) -> None:
    _run(seed, gradients=True)
