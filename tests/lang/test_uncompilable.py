"""What `tn.compile` and the transformations are given that is no program: each is refused by name, never by a crash."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

ONE = np.ones(2, np.float32)


def fibonacci(n: Any) -> Any:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def turns(x: Any) -> Any:
    yield x


async def later(x: Any) -> Any:
    return x


async def turns_later(x: Any) -> Any:
    yield x


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (turns, "turns is a generator, which a call does not run"),
        (later, "later is a coroutine, which a call does not run"),
        (turns_later, "turns_later is an asynchronous generator, which"),
        (dict, "dict does not tell what parameters it has; wrap it, as in lambda x: dict(x)"),
    ],
)
def test_what_a_call_does_not_run_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(tn.ArgumentError, match=re.escape(message)):
        tn.compile(function)(ONE)


def test_recursion_without_end_is_told() -> None:
    with pytest.raises(tn.TraceError, match="fibonacci: tracing it reached Python's recursion limit"):
        tn.compile(fibonacci)(np.int32(5))


def test_recursion_that_python_decides_compiles() -> None:
    def power(x: Any, n: int) -> Any:
        return x if n == 1 else x * power(x, n - 1)

    assert tn.compile(power, static_argnames=("n",))(np.float32(2), 10) == 1024


@pytest.mark.parametrize("static", [(), ("mode",)])
def test_an_argument_that_holds_itself_is_refused(static: tuple[str, ...]) -> None:
    circle: list[object] = [ONE]
    circle.append(circle)

    def first(xs: Any, mode: int = 0) -> Any:
        return xs[0]

    with pytest.raises(tn.ArgumentError, match="a tree of tensors holds itself"):
        tn.compile(first, static_argnames=static)(circle, 1)


def test_a_result_that_holds_itself_is_refused() -> None:
    def circle(x: Any) -> Any:
        made = [x]
        made.append(made)
        return made

    with pytest.raises(tn.ArgumentError, match="a tree of tensors holds itself"):
        tn.compile(circle)(ONE)


@pytest.mark.parametrize(
    "compiled",
    [
        lambda: tn.compile(lambda x: x + 1).lower(tn.f32[10**9, 10**9, 10**9]).text("asm"),
        lambda: tn.compile(lambda x: tn.sum(x.expand(2**40, 2**40)))(np.float32(1)),
    ],
)
def test_sizes_beyond_any_memory_are_refused(compiled: Callable[[], object]) -> None:
    with pytest.raises(tn.ShapeError, match=r"takes 2\*\*63 bytes or more"):
        compiled()
