"""Calls of our functional forms beside PyTorch's: values, element types, shapes and gradients, many in one program."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tenfold as tn
import tenfold.nn.functional as ours

torch = pytest.importorskip("torch")
theirs = torch.nn.functional


@dataclass(frozen=True)
class Case:
    """`call(F, *tensors)` for F ours and PyTorch's."""

    label: str
    call: Callable[..., Any]
    arrays: tuple[np.ndarray[Any, Any], ...]
    tolerance: float = 2e-5


def case(name: str, arrays: Sequence[Any], *args: Any, tolerance: float = 2e-5, **kwargs: Any) -> Case:
    """The function of this name, of arrays and then the other arguments."""
    label = f"{name}{[array.shape for array in arrays]}{args or ''}{kwargs or ''}"
    return Case(label, lambda f, *x: getattr(f, name)(*x, *args, **kwargs), tuple(arrays), tolerance)


def made(label: str, call: Callable[..., Any], *arrays: Any, tolerance: float = 2e-5) -> Case:
    """Any call."""
    return Case(label, call, arrays, tolerance)


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """Numbers of both signs, none of them equal."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def probabilities(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Numbers between 0 and 1."""
    return np.random.default_rng([seed, *shape]).uniform(0.05, 0.95, shape).astype("float32")


def classes(number: int, *shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Integers from 0 to below `number`."""
    return np.random.default_rng([seed, *shape]).integers(0, number, shape)


def _leaves(value: Any) -> list[Any]:
    return [leaf for leaf in value if leaf is not None] if isinstance(value, (tuple, list)) else [value]


def check(cases: Sequence[Case]) -> None:
    """All cases agree with PyTorch, in their values and in the gradients of all operands that are floats."""
    expected = [_torch(each) for each in cases]

    def values(arrays: Any) -> Any:
        return [_leaves(each.call(ours, *given)) for each, given in zip(cases, arrays, strict=True)]

    def total(floats: Any, rest: Any) -> Any:
        sum_ = 0.0
        for each, given, others, (outputs, _) in zip(cases, floats, rest, expected, strict=True):
            operands = [g if o is None else o for g, o in zip(given, others, strict=True)]
            for number, result in enumerate(_leaves(each.call(ours, *operands))):
                if outputs[number].dtype.kind == "f" and outputs[number].size:
                    sum_ = sum_ + tn.sum(result.to(tn.f64) * _weights(outputs[number].shape))
        return sum_

    everything = [list(each.arrays) for each in cases]
    floats = [[a if a.dtype.kind == "f" else None for a in arrays] for arrays in everything]
    rest = [[None if a.dtype.kind == "f" else a for a in arrays] for arrays in everything]

    @tn.compile
    def program(arrays: Any, floats: Any, rest: Any) -> Any:
        return values(arrays), tn.grad(total)(floats, rest)

    results, gradients = program(everything, floats, rest)
    for each, (outputs, slopes), found, gradient in zip(cases, expected, results, gradients, strict=True):
        assert len(found) == len(outputs), each.label
        for result, output in zip(found, outputs, strict=True):
            _agree(each, "value", np.asarray(result), output)
        for mine, slope in zip([g for g in gradient if g is not None], slopes, strict=True):
            _agree(each, "gradient", np.asarray(mine), slope)


def _weights(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape)


def _torch(each: Case) -> tuple[list[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]:
    tensors = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in each.arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, about its own speed and history
        outputs = _leaves(each.call(theirs, *tensors))
    differentiable = [t for t in outputs if t.requires_grad and t.numel()]
    if differentiable:
        sum((t.double() * torch.tensor(_weights(tuple(t.shape)))).sum() for t in differentiable).backward()
    slopes = [
        np.zeros(tuple(t.shape), "float32") if t.grad is None else t.grad.numpy() for t in tensors if t.requires_grad
    ]
    return [t.detach().numpy() for t in outputs], slopes


def _agree(each: Case, what: str, mine: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> None:
    assert (mine.shape, mine.dtype) == (other.shape, other.dtype), f"{each.label}: {what} is {mine.dtype}{mine.shape}"
    scale = max(1.0, float(np.abs(other[np.isfinite(other)]).max(initial=0)))
    np.testing.assert_allclose(
        mine, other, rtol=each.tolerance, atol=each.tolerance * scale, err_msg=f"{what} of {each.label}"
    )
