"""Arrays to try a function on, where nobody gives any: floats of a normal distribution, small integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfoldc.ir.core import Function
from tenfoldc.ir.types import TensorType


def random_arguments(function: Function) -> list[NDArray[Any]]:
    """An array for each parameter of `function`, the same each time."""
    generator = np.random.default_rng(0)
    return [_random(type_, generator) for type_ in function.type.parameters]


def own_arguments(arrays: Sequence[NDArray[Any]], function: Function) -> list[NDArray[Any]]:
    """The arguments of one call, which may overwrite those that are donated."""
    donated = {parameter for parameter, _ in function.donated}
    return [array.copy() if number in donated else array for number, array in enumerate(arrays)]


def _random(type_: TensorType, generator: np.random.Generator) -> NDArray[Any]:
    if type_.dtype.is_float:
        return np.asarray(generator.standard_normal(type_.sizes)).astype(type_.dtype.numpy)
    return np.asarray(generator.integers(0, 2 if type_.dtype.is_bool else 8, type_.sizes)).astype(type_.dtype.numpy)
