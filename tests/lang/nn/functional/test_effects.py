"""Functions that write over an argument: `inplace=True` and running statistics change the tensors themselves."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn
from tenfold.nn import functional
from tenfold_rt.errors import ArgumentError, GradientError


def test_in_place_the_argument_is_changed_and_given_back() -> None:
    base = tn.tensor([[-1.0, 2], [3, -4]])
    row = base[1]
    assert functional.relu(row, inplace=True) is row
    assert base.tolist() == [[-1, 2], [3, 0]]
    assert functional.leaky_relu(base, 0.5, True) is base
    assert base.tolist() == [[-0.5, 2], [3, 0]]
    assert functional.dropout(base, 1.0, inplace=True) is base
    assert not base.any()


def test_gradients_flow_through_what_was_changed() -> None:
    x = tn.tensor([-1.0, 2], requires_grad=True)
    y = x * 3
    functional.relu(y, inplace=True).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 3]
    with pytest.raises(GradientError, match="a leaf Variable"):
        functional.relu(x, inplace=True)


def test_arrays_are_written_to_and_numbers_refused() -> None:
    array = np.array([-1, 2], np.float32)
    assert functional.relu(array, inplace=True) is array
    assert array.tolist() == [0, 2]
    with pytest.raises(ArgumentError, match="cannot be changed in place"):
        functional.relu(-1.0, inplace=True)


def test_running_statistics_move_and_stay_outside_gradients() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(4, 3, 5)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    found = {}
    for name, library in (("ours", tn), ("theirs", torch)):
        given, scale = library.tensor(x, requires_grad=True), library.tensor(weight, requires_grad=True)
        running = [library.zeros(3), library.ones(3), library.zeros(3), library.ones(3)]
        norms = library.nn.functional
        result = norms.batch_norm(given, running[0], running[1], scale, training=True)
        result = norms.instance_norm(result + given, running[2], running[3], momentum=0.3)
        (result * result * result).sum().backward()
        assert not any(each.requires_grad for each in running)
        found[name] = [np.asarray(each) for each in (*running, result.detach(), scale.grad, given.grad)]
    for ours, theirs in zip(found["ours"], found["theirs"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)


def test_compiled_the_statistics_move_at_every_call() -> None:
    mean, variance = tn.zeros(2), tn.ones(2)
    train = tn.compile(lambda x: functional.batch_norm(x, mean, variance, training=True))
    x = tn.tensor([[1.0, 2], [3, 6]])
    for _ in range(2):
        _ = train(x)
    np.testing.assert_allclose(mean, [0.38, 0.76], rtol=1e-6)
    np.testing.assert_allclose(variance, [0.81 + 0.19 * 2, 0.81 + 0.19 * 8], rtol=1e-6)
