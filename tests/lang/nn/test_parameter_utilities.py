"""Gradients clipped, and parameters as one vector, as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn

torch = pytest.importorskip("torch")


def parameters(library: Any) -> list[Any]:
    random = np.random.default_rng(7)
    found: list[Any] = []
    for shape in ((3, 2), (4,), ()):
        parameter = library.nn.Parameter(library.tensor(random.normal(size=shape).astype(np.float32)))
        parameter.grad = library.tensor(random.normal(size=shape).astype(np.float32))
        found.append(parameter)
    return [*found, library.nn.Parameter(library.ones(2))]


@pytest.mark.parametrize("norm", [2.0, 1.0, float("inf")])
def test_norms_are_clipped(norm: float) -> None:
    def clipped(library: Any) -> list[np.ndarray]:
        found = parameters(library)
        total = library.nn.utils.clip_grad_norm_(found, 0.5, norm)
        again = library.nn.utils.clip_grad_norm_(found, 100.0, norm)
        return [total.numpy(), again.numpy(), *(each.grad.numpy() for each in found[:3])]

    for mine, other in zip(clipped(tn), clipped(torch), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5)


def test_norms_that_are_not_finite_can_be_refused() -> None:
    parameter = tn.nn.Parameter(tn.ones(2))
    parameter.grad = tn.tensor([1.0, float("nan")])
    with pytest.raises(RuntimeError, match="non-finite"):
        tn.nn.utils.clip_grad_norm_(parameter, 1.0, error_if_nonfinite=True)
    assert tn.nn.utils.clip_grad_norm_([], 1.0).item() == 0


def test_elements_are_clipped() -> None:
    found = parameters(tn)
    before = [each.grad.numpy().copy() for each in found[:3]]
    tn.nn.utils.clip_grad_value_(found, 0.3)
    for gradient, each in zip(before, found, strict=False):
        assert np.array_equal(each.grad.numpy(), np.clip(gradient, np.float32(-0.3), np.float32(0.3)))


def test_parameters_become_a_vector_and_back() -> None:
    source, target = parameters(tn), parameters(tn)
    vector = tn.nn.utils.parameters_to_vector(source)
    assert vector.shape == (13,)
    tn.nn.utils.vector_to_parameters(vector.detach() * 2, target)
    for mine, other in zip(target, source, strict=True):
        assert np.array_equal(mine.detach().numpy(), 2 * other.detach().numpy())
    assert target[0].requires_grad
