"""Compiled code touches its arrays and its workspace, and nothing beyond them, whatever their sizes.

Each function runs with every array right before and right after a page that cannot be touched.  Indices that point
outside are among the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from guarded import call_guarded
from numpy.typing import NDArray

import tenfold as tn
from tenfold.program import compiled_library
from tenfoldc.interpret import interpret

Array = NDArray[Any]

FAR = np.array([0, -1, 2**31 - 1, -(2**31)], np.int32)


def floats(*shape: int, dtype: str = "f4") -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def small(*shape: int, dtype: str = "i1") -> Array:
    return np.random.default_rng(sum(shape)).integers(0, 5, shape).astype(dtype)


def squares(function: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient, for the first argument, of the sum of the squares of what `function` gives."""
    return tn.grad(lambda *arguments: tn.sum(tn.square(function(*arguments))))


CASES: dict[str, tuple[Callable[..., Any], Callable[[int], tuple[Array, ...]]]] = {
    "exp": (tn.exp, lambda n: (floats(n),)),
    "tanh of f64": (tn.tanh, lambda n: (floats(n, dtype="f8"),)),
    "i8 to f64": (lambda x: x.to(tn.f64), lambda n: (small(n),)),
    "where": (lambda x: tn.where(x > 2, x, 0), lambda n: (small(n, dtype="i2"),)),
    "sum": (tn.sum, lambda n: (floats(n, n),)),
    "sum of columns": (lambda x: tn.sum(x, dim=0), lambda n: (floats(3, n),)),
    "argmax": (lambda x: tn.argmax(x, dim=1), lambda n: (floats(3, n),)),
    "softmax": (lambda x: tn.softmax(x, dim=-1), lambda n: (floats(3, n),)),
    "cumsum": (lambda x: tn.cumsum(x, 1), lambda n: (floats(3, n),)),
    "transpose": (lambda x: x.T, lambda n: (floats(n, n + 3),)),
    "concatenate": (lambda x, y: tn.cat([x, y], 1), lambda n: (floats(3, n), floats(3, 2))),
    "pad": (lambda x: tn.pad(x, ((1, 2), (3, 0))), lambda n: (floats(n, n),)),
    "strided slice": (lambda x: tn.flip(x, (0,))[::3], lambda n: (floats(n),)),
    "matmul": (lambda x, y: x @ y, lambda n: (floats(n, n + 1), floats(n + 1, n))),
    "matmul of transposes": (lambda x, y: x.T @ y.T, lambda n: (floats(9, n), floats(n, 9))),
    "matmul of f64": (lambda x, y: x @ y, lambda n: (floats(n, 7, dtype="f8"), floats(7, n, dtype="f8"))),
    "matrix and vector": (lambda x, y: x @ y, lambda n: (floats(n, n), floats(n))),
    "dense layer": (lambda x, w, b: tn.relu(x @ w + b), lambda n: (floats(n, 13), floats(13, n), floats(n))),
    "conv2d": (lambda x, w: tn.conv2d(x, w, padding=1), lambda n: (floats(1, 3, 5, n), floats(5, 3, 3, 3))),
    "conv2d of groups": (
        lambda x, w: tn.conv2d(x, w, stride=2, padding=1, groups=4),
        lambda n: (floats(1, 4, n, 5), floats(4, 1, 3, 3)),
    ),
    "max_pool2d": (lambda x: tn.max_pool2d(x, 2, padding=1), lambda n: (floats(1, 2, 3, n),)),
    "sort": (lambda x: tn.sort(x, dim=1).values, lambda n: (floats(3, n),)),
    "gather": (lambda x, i: tn.index_select(x, 0, i), lambda n: (floats(n, 3), FAR)),
    "scatter": (squares(lambda x, i: tn.embedding(i, x)), lambda n: (floats(n, 3), FAR)),
    "gradient of matmul": (squares(lambda w, x: tn.tanh(x @ w)), lambda n: (floats(7, n), floats(n, 7))),
    "gradient of conv2d": (squares(tn.conv2d), lambda n: (floats(1, 2, 5, n + 2), floats(3, 2, 3, 3))),
    "gradient of max_pool2d": (squares(lambda x: tn.max_pool2d(x, 2)), lambda n: (floats(1, 2, 3, n + 1),)),
}


@pytest.mark.parametrize("size", [1, 7, 35])
@pytest.mark.parametrize("name", CASES)
def test_calls_stay_within_their_arrays(name: str, size: int) -> None:
    function, make = CASES[name]
    inputs = make(size)
    traced = _with_arity(function, len(inputs))
    module = tn.compile(traced).lower(*inputs).module
    expected = interpret(module, inputs, module.entries[0])
    library = compiled_library(module).path
    for at_start in (False, True):
        for result, wanted in zip(call_guarded(library, inputs, at_start=at_start), expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def _with_arity(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """`function` with `count` parameters that have names, as `compile` wants them."""
    match count:
        case 1:
            return lambda a: function(a)
        case 2:
            return lambda a, b: function(a, b)
        case _:
            return lambda a, b, c: function(a, b, c)


def test_access_beyond_an_array_is_noticed() -> None:
    """The fence itself works: a library compiled for 2048 elements is given 1."""
    library = compiled_library(tn.compile(tn.exp).lower(tn.f32[2048]).module).path
    with pytest.raises(AssertionError, match="the call ended with -11"):
        call_guarded(library, [floats(1)], at_start=False)
