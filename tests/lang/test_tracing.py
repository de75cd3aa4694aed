"""Tracing: constants, locations, and what a traced tensor cannot do."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, TraceError
from tenfoldc.ir.core import walk


def line() -> int:
    """The caller's line."""
    return sys._getframe(1).f_lineno


def trace(function, *specs):
    lowered = tn.compile(function).lower(*specs)
    return lowered.module[lowered.module.entries[0]]


def test_operations_know_the_users_line() -> None:
    def function(x):
        return tn.softmax(x * 2, -1)

    expected = function.__code__.co_firstlineno + 1
    locations = {operation.location for operation in walk(trace(function, tn.f32[3]).body)}
    assert {(location.file, location.line) for location in locations} == {(__file__, expected)}


def test_captured_arrays_and_tensors_are_constants() -> None:
    array = np.arange(3.0)
    function = trace(lambda x: x + array + tn.as_tensor(array), tn.f64[3])
    assert sum(operation.op.mnemonic == "constant" for operation in walk(function.body)) == 1


def test_a_captured_array_is_read_while_tracing(run) -> None:
    array = np.ones(3, np.float32)
    np.testing.assert_array_equal(run(lambda x: x + array, np.zeros(3, np.float32)), [1, 1, 1])


@pytest.mark.parametrize(
    ("use", "asked"),
    [
        (lambda x: bool(x.sum() > 0), "bool"),
        (lambda x: int(x.sum()), "int"),
        (lambda x: float(x.sum()), "float"),
        (lambda x: list(range(x.sum().to("i64"))), "range"),
        (lambda x: np.asarray(x), "NumPy array"),
        (lambda x: x.numpy(), "numpy"),
        (lambda x: x.item(), "item"),
        (lambda x: x[x > 0], "boolean mask"),
        (lambda x: x[: x.sum().to("i64")], "slicing"),
    ],
)
def test_the_value_of_a_traced_tensor_is_refused(use, asked) -> None:
    with pytest.raises(
        TraceError, match=rf"{asked}.* needs the value of a traced tensor .*, at .*test_tracing.py:\d+; "
    ):
        trace(use, tn.f32[3])


def test_a_tensor_that_leaves_its_trace_is_refused() -> None:
    kept = []
    trace(lambda x: kept.append(x) or x, tn.f32[3])
    with pytest.raises(TraceError, match="trace that has ended"):
        trace(lambda x: x + kept[0], tn.f32[3])
    with pytest.raises(TraceError, match="trace that has ended"):
        tn.exp(kept[0])


def test_a_tensor_of_another_threads_trace_is_refused() -> None:
    errors = []

    def elsewhere(x) -> None:
        try:
            tn.exp(x)
        except TraceError as error:
            errors.append(error)

    def function(x):
        thread = threading.Thread(target=elsewhere, args=(x,))
        thread.start()
        thread.join()
        return x

    trace(function, tn.f32[3])
    assert len(errors) == 1


def test_an_error_in_a_function_ends_the_trace() -> None:
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: 1 / 0, tn.f32[3])
    assert trace(lambda x: x, tn.f32[3]).type.results[0].shape == (3,)


def test_a_result_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(TraceError, match=r"result.name is a str|name is a str"):
        trace(lambda x: {"x": x, "name": "x"}, tn.f32[3])


def test_assignment_in_place_is_part_of_the_program() -> None:
    @tn.compile
    def function(x):
        x[0] = 1
        return x + x

    array = np.zeros(3, np.float32)
    np.testing.assert_array_equal(function(array), [2, 0, 0])
    np.testing.assert_array_equal(array, 0)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            lambda x: x @ tn.ones(4),
            ShapeError,
            r"matmul: contracting sizes differ, 3 \(lhs, axis 0\) and 4 \(rhs, axis 0\)",
        ),
        (lambda x: x + tn.ones(2), ShapeError, r"add: shapes \(3,\) and \(2,\) do not broadcast"),
        (lambda x: x[3], ArgumentError, "3 is out of range for axis 0 of size 3"),
        (lambda x: x[np.array([0, -4])], ArgumentError, "-4 is out of range for axis 0 of size 3"),
        (lambda x: x[0, 0], ArgumentError, "2 indices for 1 axes"),
        (lambda x: x.sum(dim=1), ArgumentError, "axis 1 is out of range for 1 axes"),
        (lambda x: x.sum(dim=0, axis=0), ArgumentError, "both dim and axis"),
        (lambda x: x.reshape(2, -1), ShapeError, "3 elements"),
        (lambda x: x & 1, DTypeError, "bitwise_and: takes integers"),
        (lambda x: x[x], DTypeError, "not of integers"),
        (lambda x: tn.concatenate([x, tn.ones(1, 1)]), ShapeError, "differ in an axis"),
        (lambda x: x.to(tn.i8) ** -1, ArgumentError, "negative power"),
        (lambda x: tn.exp([x, x]), DTypeError, "a list of traced tensors is no tensor"),
        (lambda x: x.to(tn.i8) + 1000, DTypeError, "1000 does not fit i8"),
    ],
)
def test_an_error_says_what_and_where(function, error, message) -> None:
    with pytest.raises(error, match=f"{message}.*, at .*test_tracing.py:"):
        trace(function, tn.f32[3])


def test_iteration_goes_along_the_first_axis(run, same) -> None:
    x = np.arange(6.0).reshape(2, 3)
    same(run(lambda x: [row * 2 for row in x], x), (x[0] * 2, x[1] * 2))


def test_numbers_of_python_take_the_element_type_of_a_tensor(run, same) -> None:
    x = np.arange(3, dtype=np.float32)
    same(run(lambda x: (x * 2.5, 1 - x, 2**x), x), (x * np.float32(2.5), 1 - x, 2**x))


def test_arrays_of_numpy_on_the_left_give_way() -> None:
    results = trace(lambda x: (np.ones(3) * x, np.float32(2) - x, np.eye(3) @ x), tn.f64[3]).type.results
    assert [str(type_) for type_ in results] == ["f64[3]"] * 3
