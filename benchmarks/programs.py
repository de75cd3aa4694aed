"""The programs that are compiled: an MLP's training step and a chain of elementwise operations.

Each is written once, over the few functions that a `Library` names, and so is the same program for all of them.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LAYERS = (784, 256, 128, 10)
BATCH = 64
LEARNING_RATE = 0.1
CHAIN_ELEMENTS = 1000


@dataclass(frozen=True, slots=True)
class Library:
    """What a program needs of Tenfold or of a peer.  `ready` waits for a result."""

    compile: Callable[[Callable[..., Any]], Callable[..., Any]]
    value_and_grad: Callable[[Callable[..., Any]], Callable[..., Any]]
    maximum: Callable[[Any, float], Any]
    mean: Callable[[Any], Any]
    sin: Callable[[Any], Any]
    ready: Callable[[Any], Any]


def library(name: str) -> Library:
    """`tenfold` or `jax`, imported now."""
    if name == "jax":
        jax = importlib.import_module("jax")
        numpy = importlib.import_module("jax.numpy")
        return Library(
            jax.jit,
            jax.value_and_grad,
            numpy.maximum,
            numpy.mean,
            numpy.sin,
            lambda result: jax.block_until_ready(result),
        )
    tenfold = importlib.import_module("tenfold")
    return Library(
        tenfold.compile,
        tenfold.value_and_grad,
        tenfold.maximum,
        tenfold.mean,
        tenfold.sin,
        lambda result: result,
    )


def program(name: str, using: Library) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function called `name` (`mlp`, `add`, or `chain-N` of N operations), not yet compiled, and its arguments."""
    rng = np.random.default_rng(0)
    if name == "mlp":
        return _mlp_step(using), _mlp_arguments(rng)
    if name == "add":
        return _add, (_array(rng, 16), _array(rng, 16))
    length = int(name.removeprefix("chain-"))
    return _chain(using, length), (_array(rng, CHAIN_ELEMENTS), _array(rng, CHAIN_ELEMENTS))


def _add(x: Any, y: Any) -> Any:
    return x + y


def _array(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def _mlp_arguments(rng: np.random.Generator) -> tuple[Any, ...]:
    sizes = itertools.pairwise(LAYERS)
    parameters = [(_array(rng, before, after) * 0.05, _array(rng, after)) for before, after in sizes]
    return parameters, _array(rng, BATCH, LAYERS[0]), _array(rng, BATCH, LAYERS[-1])


def _mlp_step(using: Library) -> Callable[..., Any]:
    def loss(parameters: Any, x: Any, y: Any) -> Any:
        for weight, bias in parameters[:-1]:
            x = using.maximum(x @ weight + bias, 0.0)
        weight, bias = parameters[-1]
        return using.mean((x @ weight + bias - y) ** 2)

    def step(parameters: Any, x: Any, y: Any) -> Any:
        value, gradients = using.value_and_grad(loss)(parameters, x, y)
        pairs = zip(parameters, gradients, strict=True)
        updated = [(w - LEARNING_RATE * dw, b - LEARNING_RATE * db) for (w, b), (dw, db) in pairs]
        return updated, value

    return step


def _chain(using: Library, length: int) -> Callable[..., Any]:
    """`length` operations, one in fourteen a sine, the others additions and multiplications."""

    def chain(x: Any, y: Any) -> Any:
        for number in range(length // 2):
            x = using.sin(x) if number % 7 == 0 else x * y
            x = x + y
        return x

    return chain
