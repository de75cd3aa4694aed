"""Gradients through calls of compiled functions, and numbers that calls are recorded with."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn


def test_gradients_reach_the_arguments_of_a_compiled_function() -> None:
    weighed = tn.compile(lambda x, weight: (x**3).sum() * weight)
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    for weight in (2.0, 3.0):
        x.grad = None
        weighed(x, weight).backward()
        assert x.grad is not None
        assert x.grad.tolist() == [3 * weight, 12 * weight]


def test_later_calls_with_gradients_compile_nothing() -> None:
    double = tn.compile(lambda x: x * 2)
    x = tn.ones(4, requires_grad=True)
    double(x).sum().backward()
    compiled = tn.lazy.counters().compiled
    for _ in range(3):
        x.grad = None
        double(x).sum().backward()
    assert tn.lazy.counters().compiled == compiled


def test_nothing_is_remembered_without_gradients() -> None:
    double = tn.compile(lambda x: x * 2)
    x = tn.ones(4, requires_grad=True)
    with tn.no_grad():
        assert not double(x).requires_grad
    assert not double(x.detach()).requires_grad
    assert isinstance(double(np.ones(4, np.float32)), np.ndarray)


def test_train_and_eval_are_part_of_what_a_module_is_compiled_for() -> None:
    norm = tn.nn.BatchNorm1d(2)
    compiled = tn.compile(norm)
    x = tn.tensor([[1.0, 2.0], [3.0, 6.0]])
    compiled(x)
    mean = norm.running_mean.tolist()
    np.testing.assert_allclose(mean, [0.2, 0.4], rtol=1e-6)
    norm.eval()
    assert compiled(x).tolist() == norm(x).tolist()
    assert norm.running_mean.tolist() == mean


def test_an_integer_of_more_than_64_bits_is_refused_whenever_it_comes() -> None:
    x = tn.tensor([1, 2])
    assert (x + 3).tolist() == [4, 5]
    with pytest.raises(tn.DTypeError, match="does not fit i64"):
        x + 2**63
    assert (x + 5).tolist() == [6, 7]


def test_an_error_does_not_make_numbers_constants() -> None:
    x = tn.ones(3)
    with pytest.raises(tn.ShapeError):
        tn.clamp(x, 0.5, tn.ones(2))
    values = [tn.clamp(x * 9, 0.5, bound) for bound in (1.0, 2.0, 3.0)]
    compiled = tn.lazy.counters().compiled
    assert [value[0].item() for value in values] == [1, 2, 3]
    assert tn.lazy.counters().compiled <= compiled + 2
