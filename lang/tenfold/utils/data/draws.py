"""The random choices of samplers, each from the next key of a generator: one seed gives the orders of all epochs."""

from __future__ import annotations

from typing import cast

from tenfold import random
from tenfold.random.generator import Generator, next_key
from tenfold.specs import f64, i64, u64


def seed(generator: Generator | None) -> int:
    """A new seed of 64 bits."""
    return cast("int", random.bits(next_key(generator), (), u64).item())


def permutation(count: int, generator: Generator | None) -> list[int]:
    """The numbers below `count` in a random order."""
    return cast("list[int]", random.permutation(next_key(generator), count).tolist()) if count else []


def integers(count: int, below: int, generator: Generator | None) -> list[int]:
    """`count` numbers below `below`, each as likely."""
    drawn = random.randint(next_key(generator), (count,), 0, below, i64) if count else None
    return [] if drawn is None else cast("list[int]", drawn.tolist())


def uniform(count: int, generator: Generator | None) -> list[float]:
    """`count` numbers from 0 to below 1."""
    return cast("list[float]", random.uniform(next_key(generator), (count,), f64).tolist()) if count else []
