"""Running a Python function of tensors on arrays: by the interpreter, and (slow) as native code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold import tree as pytree
from tenfold.program import dense_array
from tenfoldc.interpret import interpret

Run = Callable[..., Any]


def _interpreted(function: Callable[..., Any], *arguments: Any) -> Any:
    lowered = tn.compile(function).lower(*arguments)
    (name,) = lowered.module.entries
    leaves, _ = pytree.flatten(arguments)
    results = interpret(lowered.module, [dense_array(leaf, "x") for leaf in leaves], name)
    return pytree.unflatten(lowered.results, results)


def _compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    return tn.compile(function)(*arguments)


@pytest.fixture(params=["interpreted", pytest.param("compiled", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest) -> Run:
    """`run(function, *arguments)`: the results as NumPy arrays."""
    return _interpreted if request.param == "interpreted" else _compiled


def assert_same(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    """Equal structure, element types, shapes, and values within `tolerance`; NaN equals NaN."""
    our_leaves, their_leaves = (pytree.flatten(_plain(value))[0] for value in (ours, theirs))
    assert len(our_leaves) == len(their_leaves)
    for our, their in zip(our_leaves, their_leaves, strict=True):
        expected = np.asarray(their)
        assert our.dtype == expected.dtype
        assert our.shape == expected.shape
        np.testing.assert_allclose(our, expected, rtol=tolerance, atol=tolerance)


def _plain(value: Any) -> Any:
    """Named tuples and lists as tuples, so that libraries with their own can be compared."""
    return tuple(map(_plain, value)) if isinstance(value, (tuple, list)) else value


@pytest.fixture
def same() -> Callable[..., None]:
    return assert_same
