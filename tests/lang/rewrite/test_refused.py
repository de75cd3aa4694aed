"""Control flow that cannot be compiled: the message names the variable, the line, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

X = np.array([1.0, 2.0, 3.0])
ONE = np.float64(1)


def refused(function: Callable[..., Any], *arguments: Any) -> tuple[str, int]:
    """The message, and the line in the function that it names, counted from its `def`."""
    with pytest.raises(tn.TenfoldError) as caught:
        tn.compile(function).lower(*arguments)
    place = re.search(r"test_refused\.py:(\d+)", caught.value.where)
    assert place, caught.value
    return str(caught.value), int(place[1]) - function.__code__.co_firstlineno


def test_a_variable_assigned_in_one_branch() -> None:
    def f(x: Any) -> Any:
        if x > 0:
            y = x
        x = x + 1
        return y

    message, line = refused(f, ONE)
    assert line == 4
    first = f.__code__.co_firstlineno + 1
    assert re.search(rf"`y` is assigned in only one branch of the `if` at .*:{first}, at .*; assign it before", message)


def test_a_variable_assigned_in_a_body_that_may_not_run() -> None:
    def f(n: Any) -> Any:
        for k in range(n):
            y = k
        return y

    message, line = refused(f, np.int64(3))
    assert line == 3
    assert "`y` is assigned only in the body of the loop at" in message


def test_types_that_differ() -> None:
    def shapes(x: Any) -> Any:
        if x[0] > 0:
            y = x
        else:
            x = x * 2
            y = x[:2]
        return y

    def dtypes(x: Any) -> Any:
        y = x
        while y[0] < 5:
            y = (y + 1).to(tn.f32)
        return y

    def kinds(x: Any) -> Any:
        if x[0] > 0:
            return None
        return x

    message, line = refused(shapes, X)
    assert (line, "`y` is f64[3] after one branch of the `if` and f64[2]" in message) == (1, True)
    message, line = refused(dtypes, X)
    assert (line, "`y` is f32[3] after a turn of the loop and f64[3] before it" in message) == (2, True)
    message, line = refused(kinds, X)
    assert (line, "what the function returns is None after one branch of the `if` and f64[3]" in message) == (1, True)


def test_changes_of_objects() -> None:
    def subscript(x: Any) -> Any:
        found = {"a": x}
        if x > 0:
            found["a"] = x + 1
        return found["a"]

    def append(x: Any, n: Any) -> Any:
        found = []
        for k in range(n):
            found.append(x * k)
        return found

    def error(x: Any) -> Any:
        if x < 0:
            raise ValueError("negative")
        return x

    message, line = refused(subscript, ONE)
    assert (line, "`found['a']` is assigned in a branch or loop over traced values" in message) == (3, True)
    message, line = refused(append, ONE, np.int64(2))
    assert (line, "`found`, a list, is changed in place in the loop over traced values" in message) == (2, True)
    message, line = refused(error, ONE)
    assert (line, "an exception is raised in a branch or loop" in message) == (2, True)


def test_assertions() -> None:
    def f(x: Any) -> Any:
        assert x.shape == (3,)
        assert x[0] > 0
        return x

    message, line = refused(f, X)
    assert (line, "`assert` needs the value of a traced tensor bool[]" in message) == (2, True)


def test_conditions_with_axes() -> None:
    def f(x: Any) -> Any:
        while x > 0:
            x = x - 1
        return x

    message, line = refused(f, X)
    assert (line, "the condition is bool[3], not one bool" in message and "tn.any" in message) == (1, True)


def test_a_value_on_one_path_alone() -> None:
    def f(x: Any) -> Any:  # noqa: RET503
        if x > 0:
            return x
        x = x + 1

    message, _ = refused(f, ONE)
    assert "returns a value on one path and nothing on another" in message


def test_errors_within_parts_have_the_line_of_the_source() -> None:
    def f(x: Any) -> Any:
        if x[0] > 0:
            x = x + 1
            x = x @ tn.zeros(4)
        return x

    message, line = refused(f, X)
    assert (line, "matmul" in message or "contracting" in message) == (3, True)
