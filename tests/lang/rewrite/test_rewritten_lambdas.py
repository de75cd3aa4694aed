"""Lambdas over traced values: each is found in its source, wherever it stands and whatever its body is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

# fmt: off
FUNCTIONS: list[Callable[..., Any]] = [
    lambda x: x * 2 if x > 0 else -x,
    lambda x: x + 1 if x > 0 else x - 1, lambda x: x * 3 if x > 0 else x * 5, lambda x: 7 if x > 0 else 8,
    lambda x: (lambda x: x * 2 if x > 0 else x * 3)(x) if x < 5 else x,
    (lambda scale: lambda x: x * scale if x > 0 else -x)(4),
    lambda x: x * 2
    if x > 0 and not x > 8
    else -x,
]
# fmt: on


@pytest.mark.parametrize("x", [-2.0, 3.0, 9.0])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_lambda_whose_body_is_a_conditional_compiles(function: Callable[..., Any], x: float) -> None:
    assert tn.compile(function)(np.float64(x)) == function(x)


def test_each_lambda_of_a_comprehension_keeps_its_own_defaults() -> None:
    functions = [tn.compile(lambda x, scale=scale: x * scale if x > 0 else -x) for scale in (1, 2, 3)]
    assert [float(function(np.float64(2))) for function in functions] == [2, 4, 6]
    assert [float(function(np.float64(-2))) for function in functions] == [2, 2, 2]
