"""The random choices of samplers, all from the keys of a `Generator`.

Every draw takes the generator's next key, so that one seed gives one sequence of orders, epoch after epoch.
"""

from __future__ import annotations

import os
import threading
from typing import cast

from tenfold import random
from tenfold.specs import f64
from tenfold.tensor import Tensor


class Generator:
    """A sequence of keys that a seed determines; without a seed, one of the system's choice."""

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self.manual_seed(int.from_bytes(os.urandom(4), "little") if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Begin the sequence of `seed`."""
        with self._lock:
            self._seed, self._drawn = seed, 0
        return self

    def initial_seed(self) -> int:
        """The seed that the sequence began with."""
        return self._seed

    def next_seed(self) -> int:
        """The next 64 bits of the sequence: the seed's last 32, and how many were drawn before."""
        with self._lock:
            self._drawn += 1
            return (self._seed & 0xFFFFFFFF) << 32 | (self._drawn & 0xFFFFFFFF)


DEFAULT = Generator()
"""What is drawn from where no generator is given."""


def seed(generator: Generator | None) -> int:
    """A new seed."""
    return (DEFAULT if generator is None else generator).next_seed()


def permutation(count: int, generator: Generator | None) -> list[int]:
    """The numbers below `count` in a random order."""
    return cast("list[int]", random.permutation(_key(generator), count).tolist()) if count else []


def integers(count: int, below: int, generator: Generator | None) -> list[int]:
    """`count` numbers below `below`, each as likely."""
    return cast("list[int]", random.randint(_key(generator), (count,), 0, below).tolist()) if count else []


def uniform(count: int, generator: Generator | None) -> list[float]:
    """`count` numbers from 0 to below 1."""
    return cast("list[float]", random.uniform(_key(generator), (count,), f64).tolist()) if count else []


def _key(generator: Generator | None) -> Tensor:
    return random.key(seed(generator))
