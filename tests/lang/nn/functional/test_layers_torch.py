"""Linear maps and embeddings agree with PyTorch's; dropout does what it should on average."""

from __future__ import annotations

import numpy as np
import pytest
from torch_cases import case, check, classes, normal

import tenfold as tn

F = tn.nn.functional

ONES = np.ones((40, 50), "float32")


def test_linear_maps_and_embeddings() -> None:
    rows = classes(6, 3, 4)
    check(
        [
            case("linear", [normal(3, 4), normal(5, 4), normal(5)]),
            case("linear", [normal(2, 3, 4), normal(5, 4)]),
            case("linear", [normal(4), normal(5, 4), normal(5)]),
            case("linear", [normal(3, 4), normal(4)]),
            case("linear", [normal(0, 4), normal(5, 4), normal(5)]),
            case("bilinear", [normal(2, 3), normal(2, 4), normal(5, 3, 4), normal(5)]),
            case("bilinear", [normal(2, 2, 3), normal(2, 2, 4), normal(1, 3, 4)]),
            case("embedding", [rows, normal(6, 2)]),
            case("embedding", [rows, normal(6, 2)], padding_idx=2),
            case("embedding", [rows[0, 0], normal(6, 2)], padding_idx=-1),
            case("embedding", [rows[:0], normal(6, 2)]),
            case("one_hot", [rows], 7),
        ]
    )


def test_one_hot_finds_the_number_of_classes() -> None:
    assert F.one_hot(np.array([0, 3, 1])).shape == (3, 4)


def test_dropout_keeps_the_mean_and_is_drawn_anew() -> None:
    first, second = (np.asarray(F.dropout(ONES, 0.25)) for _ in range(2))
    assert set(np.unique(first)) == {np.float32(0), np.float32(4 / 3)}
    assert abs(first.mean() - 1) < 0.08
    assert (first != second).any()


def test_dropout_of_channels_drops_them_whole() -> None:
    x = np.ones((8, 16, 3, 2), "float32")
    found = np.asarray(F.dropout2d(x, 0.5)).reshape(128, 6)
    assert set(found.sum(1)) == {0.0, 12.0}
    alone = np.asarray(F.dropout1d(np.ones((64, 5), "float32")))
    assert set(alone.sum(1)) == {0.0, 10.0}


def test_dropout_at_its_ends() -> None:
    np.testing.assert_array_equal(np.asarray(F.dropout(ONES, 1.0)), 0)
    np.testing.assert_array_equal(np.asarray(F.dropout(ONES, 0.0)), 1)
    np.testing.assert_array_equal(np.asarray(F.dropout(ONES, 0.9, training=False)), 1)
    np.testing.assert_array_equal(np.asarray(F.alpha_dropout(ONES, 0.9)), 1)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    found = np.asarray(F.alpha_dropout(normal(100, 100), 0.3, training=True))
    assert abs(found.mean()) < 0.05
    assert abs(found.std() - 1) < 0.05


def test_rrelu_draws_slopes_between_its_bounds() -> None:
    found = np.asarray(F.rrelu(-ONES, 0.2, 0.4, training=True))
    assert found.min() >= -0.4
    assert found.max() <= -0.2
    assert found.std() > 0.02


def test_gradient_of_dropout_is_its_mask() -> None:
    key = tn.random.key(3)

    def total(x: tn.Tensor) -> tn.Tensor:
        return tn.sum(tn.random.dropout(key, x, 0.5))

    mask = np.asarray(tn.random.dropout(key, ONES, 0.5))
    np.testing.assert_array_equal(np.asarray(tn.grad(total)(ONES)), mask)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.linear(normal(3, 4), normal(5, 3)), "does not fit weight"),
        (lambda: F.linear(normal(3, 4), normal(5, 4), normal(4)), "bias is"),
        (lambda: F.bilinear(normal(2, 3), normal(2, 4), normal(5, 4, 3)), "do not fit weight"),
        (lambda: F.embedding(normal(3), normal(5, 4)), "not of integers"),
        (lambda: F.embedding(classes(3, 2), normal(5, 4), padding_idx=5), "padding_idx 5 is no row"),
        (lambda: F.embedding(classes(3, 2), normal(5, 4), max_norm=1.0), "max_norm is not supported"),
        (lambda: F.dropout(ONES, 1.5), "p is 1.5"),
        (lambda: F.dropout2d(ONES), "axes"),
    ],
)
def test_wrong_arguments(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
