"""What a case is: inputs and the same computation in Tenfold, PyTorch and JAX, each as its users would write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Tree: TypeAlias = Any
"""An array, or a tuple, list or dict of trees."""

Computation: TypeAlias = Callable[..., Tree]


class Mode(Enum):
    """What is timed of a case's function."""

    CALL = "call"
    GRADIENT = "gradient"
    """The gradients of the scalar it gives, with respect to all of its arguments."""
    STEP = "step"
    """A training step: the loss it gives for (state, *batch), and the state moved against its gradient, in place."""


class Functions(TypedDict):
    """One computation, three ways to write it."""

    tenfold: Computation
    torch: Computation
    jax: Computation


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    `inputs` draws one set of arguments.  `flops` or `bytes`, whichever bounds the case, is what one call must do or
    move at the least; both 0 where neither says much.  `excluded` says why a peer is left out.
    """

    theme: str
    name: str
    inputs: Callable[[Generator], tuple[Tree, ...]]
    functions: Functions
    mode: Mode = Mode.CALL
    flops: float = 0.0
    bytes: float = 0.0
    tolerance: float = 1e-4
    excluded: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def full_name(self) -> str:
        """The name that `--only` is matched with."""
        return f"{self.theme} {self.name}"


def everywhere(function: Computation) -> Functions:
    """A computation that reads the same in all three, being made of operators only."""
    return Functions(tenfold=function, torch=function, jax=function)


def normal(rng: Generator, *shape: int, dtype: str = "float32", scale: float = 1.0) -> NDArray[Any]:
    """Normal numbers of `shape`."""
    numbers = rng.standard_normal(shape, dtype=np.float64 if dtype == "float64" else np.float32)
    return (numbers * scale).astype(dtype, copy=False)


def weight(rng: Generator, *shape: int) -> NDArray[Any]:
    """Weights of `shape`, f32, scaled by the number of inputs: the sizes of all axes but the first (He, 2015)."""
    return normal(rng, *shape, scale=float(np.sqrt(2 / np.prod(shape[1:]))))
