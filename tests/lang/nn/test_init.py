"""Initial values: bounds and moments of distributions, exact ones, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold import nn

torch = pytest.importorskip("torch")

SHAPE = (40, 6, 5)
FAN_IN, FAN_OUT = 30, 200


def filled(name: str, shape: tuple[int, ...] = SHAPE, **settings: Any) -> np.ndarray:
    parameter = nn.Parameter(tn.zeros(shape))
    assert getattr(nn.init, name)(parameter, **settings) is parameter
    assert parameter.requires_grad
    assert parameter.is_leaf
    return parameter.detach().numpy()


def test_uniform_numbers_fill_their_interval() -> None:
    cases: list[tuple[np.ndarray, float]] = [
        (filled("uniform_", a=-2.0, b=2.0), 2.0),
        (filled("xavier_uniform_", gain=2.0), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (filled("kaiming_uniform_", a=math.sqrt(5)), 1 / math.sqrt(FAN_IN)),
        (filled("kaiming_uniform_", mode="fan_out", nonlinearity="relu"), math.sqrt(6 / FAN_OUT)),
    ]
    for values, bound in cases:
        assert 0.99 * bound < np.abs(values).max() <= bound
        assert abs(values.mean()) < 0.1 * bound
        assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.1


def test_normal_numbers_have_their_deviation() -> None:
    cases = [
        (filled("normal_", mean=0.0, std=3.0), 3.0),
        (filled("xavier_normal_"), math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (filled("kaiming_normal_", nonlinearity="tanh"), 5 / 3 / math.sqrt(FAN_IN)),
    ]
    for values, deviation in cases:
        assert abs(values.std() / deviation - 1) < 0.1
        assert abs(values.mean()) < 0.1 * deviation
    cut = filled("trunc_normal_", mean=1.0, std=2.0, a=0.5, b=2.0)
    assert 0.5 <= cut.min() < 0.55
    assert 1.95 < cut.max() <= 2.0


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (4, 2, 3), (6, 6)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    matrix = filled("orthogonal_", shape, gain=3.0).reshape(shape[0], -1) / 3
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-6)


def test_exact_values_are_those_of_pytorch() -> None:
    def values(library: Any) -> list[np.ndarray]:
        init, zeros = library.nn.init, library.zeros
        made = [
            init.constant_(zeros(2, 3), 1.5),
            init.ones_(zeros(2)),
            init.zeros_(zeros(2) + 1),
            init.eye_(zeros(2, 3)),
            init.dirac_(zeros(4, 2, 3), groups=2),
            init.dirac_(zeros(2, 3, 3, 2)),
        ]
        return [tensor.numpy() for tensor in made]

    for mine, other in zip(values(tn), values(torch), strict=True):
        assert np.array_equal(mine, other)


def test_sparse_columns_have_their_share_of_zeros() -> None:
    values = filled("sparse_", (10, 4), sparsity=0.33)
    assert ((values == 0).sum(0) == 4).all()


def test_gains_are_those_of_pytorch() -> None:
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert nn.init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        nn.init.calculate_gain("cosine")


def test_shapes_that_have_no_fans_are_refused() -> None:
    for name in ("xavier_uniform_", "kaiming_normal_", "eye_", "dirac_", "orthogonal_", "sparse_"):
        with pytest.raises(ValueError, match="dimensions"):
            filled(name, (3,), **({"sparsity": 0.1} if name == "sparse_" else {}))
    with pytest.raises(ValueError, match="Mode"):
        filled("kaiming_normal_", mode="fan")
    with pytest.warns(UserWarning, match="no-op"):
        assert filled("kaiming_uniform_", (0, 3)).shape == (0, 3)


def test_layers_begin_in_the_distributions_of_pytorch() -> None:
    for text in (
        "Linear(30, 200)",
        "Conv2d(6, 40, 5)",
        "Embedding(50, 30)",
        "LSTM(20, 30)",
        "MultiheadAttention(32, 4)",
    ):
        ours, theirs = (eval(f"nn.{text}", {"nn": library.nn}).state_dict() for library in (tn, torch))
        for name, value in theirs.items():
            mine, other = ours[name].numpy(), value.numpy()
            spread = other.std() / math.sqrt(other.size) * 8
            assert abs(mine.std() - other.std()) <= spread, (text, name)
            assert abs(mine.mean() - other.mean()) <= spread, (text, name)
