"""Activations agree with PyTorch's, at their corners too."""

from __future__ import annotations

import numpy as np
import pytest
from torch_cases import case, check, normal

import tenfold as tn

F = tn.nn.functional

CORNERS = np.array(
    [-30, -8, -6, -3, -2, -1.3, -1, -0.5, -0.3, 0, 0.3, 0.5, 1, 1.3, 2, 3, 6, 8, 25, np.inf, -np.inf], "float32"
)
NUMBERS = np.concatenate([CORNERS[:-2], normal(12)])


def test_elementwise_activations() -> None:
    plain = (
        "relu relu6 elu selu celu gelu silu mish softplus softsign tanhshrink softshrink hardshrink hardtanh "
        "hardsigmoid hardswish leaky_relu rrelu sigmoid tanh logsigmoid"
    )
    check(
        [
            *(case(name, [NUMBERS]) for name in plain.split()),
            case("elu", [NUMBERS], alpha=0.7),
            case("celu", [NUMBERS], 2.5),
            case("gelu", [NUMBERS], approximate="tanh"),
            case("softplus", [NUMBERS], beta=2.0, threshold=5.0),
            case("softshrink", [NUMBERS], 1.0),
            case("hardshrink", [NUMBERS], lambd=1.0),
            case("hardtanh", [NUMBERS], min_val=-2.0, max_val=0.5),
            case("leaky_relu", [NUMBERS], negative_slope=0.2),
            case("rrelu", [NUMBERS], 0.1, 0.5),
            case("threshold", [NUMBERS], 1.0, -7.0),
            case("prelu", [normal(3, 4), normal(1)]),
            case("prelu", [normal(2, 3, 4), normal(3)]),
            case("glu", [normal(3, 6)]),
            case("glu", [normal(4, 6)], dim=0),
        ]
    )


def test_softmaxes() -> None:
    check(
        [
            *(case(name, [normal(3, 5)], dim=-1) for name in ("softmax", "log_softmax", "softmin")),
            *(case(name, [normal(3, 5, 2)], 1) for name in ("softmax", "log_softmax", "softmin")),
        ]
    )


def test_softmax_computes_in_the_dtype_given() -> None:
    found = F.softmax(normal(2, 3), dim=1, dtype=tn.f64)
    assert np.asarray(found).dtype == np.float64


def test_softmax_without_an_axis_warns() -> None:
    with pytest.warns(UserWarning, match="no dim is given"):
        found = F.softmax(tn.tensor([[1.0, 1.0], [2.0, 2.0]]))
    np.testing.assert_allclose(np.asarray(found), 0.5)


def test_nan_stays() -> None:
    x = np.array([np.nan], "float32")
    for name in ("relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softshrink", "hardswish"):
        assert np.isnan(np.asarray(getattr(F, name)(x))).all(), name


def test_gumbel_softmax_is_one_hot_where_asked_and_sums_to_one() -> None:
    logits = normal(50, 4)
    soft, hard = np.asarray(F.gumbel_softmax(logits, tau=0.5)), np.asarray(F.gumbel_softmax(logits, hard=True))
    np.testing.assert_allclose(soft.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.sort(hard, -1), np.tile([0, 0, 0, 1], (50, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.gelu(CORNERS, approximate="tan"), "approximate is 'tan'"),
        (lambda: F.softshrink(CORNERS, -1.0), "lambd is -1.0"),
        (lambda: F.hardtanh(CORNERS, 2.0, 1.0), "min_val 2.0 is above max_val 1.0"),
        (lambda: F.glu(normal(3)), "odd size, 3"),
        (lambda: F.prelu(normal(2, 3), normal(2)), "neither one number nor one per channel"),
        (lambda: F.celu(CORNERS, 0.0), "alpha is 0"),
    ],
)
def test_wrong_arguments(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
