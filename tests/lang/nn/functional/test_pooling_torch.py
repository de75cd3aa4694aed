"""Pooling agrees with PyTorch's over windows, edges and rounding, and with indices."""

from __future__ import annotations

import numpy as np
import pytest
from torch_cases import case, check, normal

import tenfold as tn

F = tn.nn.functional

IMAGE, SIGNAL = normal(2, 3, 9, 7), normal(2, 3, 10)


def test_max_pooling() -> None:
    check(
        [
            case("max_pool1d", [SIGNAL], 3),
            case("max_pool1d", [SIGNAL[0]], 2, stride=1, padding=1, dilation=3),
            case("max_pool1d", [SIGNAL], 4, 3, ceil_mode=True),
            case("max_pool1d", [SIGNAL], 3, return_indices=True),
            case("max_pool2d", [IMAGE], 2),
            case("max_pool2d", [IMAGE], 3, 2, 1),
            case("max_pool2d", [IMAGE], (2, 3), (3, 2), (1, 1), (2, 1), True),
            case("max_pool2d", [IMAGE], 2, ceil_mode=True, return_indices=True),
            case("max_pool2d", [IMAGE[0]], 3, 2, 1, return_indices=True),
            case("max_pool2d", [IMAGE[:0]], 2),
        ]
    )


def test_indices_are_of_the_first_largest_and_of_nan() -> None:
    x = np.array([[[1, 1, np.nan, 0, -np.inf, -np.inf, 2, 3]]], "float32")
    values, indices = F.max_pool1d(x, 2, return_indices=True)
    np.testing.assert_array_equal(np.asarray(values), [[[1, np.nan, -np.inf, 3]]])
    np.testing.assert_array_equal(np.asarray(indices), [[[0, 2, 4, 7]]])


def test_average_pooling() -> None:
    check(
        [
            case("avg_pool1d", [SIGNAL], 3),
            case("avg_pool1d", [SIGNAL], 4, 3, 2, True),
            case("avg_pool1d", [SIGNAL[0]], 3, padding=1, count_include_pad=False),
            case("avg_pool2d", [IMAGE], 2),
            case("avg_pool2d", [IMAGE], 3, 2, 1),
            case("avg_pool2d", [IMAGE], 3, 2, 1, True),
            case("avg_pool2d", [IMAGE], (4, 3), (3, 2), (2, 1), True, False),
            case("avg_pool2d", [IMAGE[0]], 2, ceil_mode=True, divisor_override=3),
            case("lp_pool1d", [np.abs(SIGNAL)], 3.0, 2),
            case("lp_pool2d", [IMAGE], 2.0, (3, 2), stride=2, ceil_mode=True),
        ]
    )


def test_adaptive_pooling() -> None:
    check(
        [
            case("adaptive_avg_pool1d", [SIGNAL], 5),
            case("adaptive_avg_pool1d", [SIGNAL], 4),
            case("adaptive_avg_pool2d", [IMAGE], 1),
            case("adaptive_avg_pool2d", [IMAGE], (4, 10)),
            case("adaptive_avg_pool2d", [IMAGE[0]], (None, 3)),
            case("adaptive_max_pool1d", [SIGNAL], 4, return_indices=True),
            case("adaptive_max_pool1d", [SIGNAL[0]], 5),
            case("adaptive_max_pool2d", [IMAGE], (3, 4), return_indices=True),
            case("adaptive_max_pool2d", [IMAGE], (4, None)),
        ]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.max_pool2d(IMAGE, 2, padding=2), "more than half"),
        (lambda: F.max_pool2d(IMAGE, 0), "kernel_size .* must be positive"),
        (lambda: F.max_pool2d(IMAGE, 8), "no window"),
        (lambda: F.avg_pool2d(SIGNAL[0], 2), "neither"),
        (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), "divisor_override is 0"),
        (lambda: F.adaptive_avg_pool2d(IMAGE, (1, 2, 3)), "not a size for 2 axes"),
    ],
)
def test_wrong_arguments(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
