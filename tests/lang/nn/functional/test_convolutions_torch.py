"""Convolutions and their transposes agree with PyTorch's, and say what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from torch_cases import case, check, normal

import tenfold as tn

F = tn.nn.functional


def test_convolutions() -> None:
    image, wide = normal(2, 4, 7, 6), normal(2, 4, 9)
    check(
        [
            case("conv1d", [wide, normal(5, 4, 3), normal(5)], stride=2, padding=1),
            case("conv1d", [wide[0], normal(6, 2, 3)], padding="same", dilation=2, groups=2),
            case("conv2d", [image, normal(5, 4, 3, 2), normal(5)]),
            case("conv2d", [image, normal(5, 4, 3, 3)], stride=(2, 1), padding=(1, 2)),
            case("conv2d", [image, normal(6, 4, 2, 3)], padding="valid", dilation=(2, 1)),
            case("conv2d", [image, normal(6, 4, 2, 3)], padding="same"),
            case("conv2d", [image, normal(8, 1, 3, 3), normal(8)], padding=1, groups=4),
            case("conv2d", [image[0], normal(3, 4, 1, 1)], stride=3),
            case("conv2d", [image[:0], normal(5, 4, 3, 2), normal(5)]),
        ]
    )


def test_transposed_convolutions() -> None:
    image, wide = normal(2, 4, 5, 3), normal(2, 4, 5)
    check(
        [
            case("conv_transpose1d", [wide, normal(4, 3, 3), normal(3)], stride=2, padding=1, output_padding=1),
            case("conv_transpose1d", [wide[0], normal(4, 2, 2)], dilation=3, groups=2),
            case("conv_transpose2d", [image, normal(4, 3, 3, 2), normal(3)]),
            case("conv_transpose2d", [image, normal(4, 3, 2, 2)], stride=2),
            case("conv_transpose2d", [image, normal(4, 3, 3, 3)], None, (2, 3), (1, 0), (1, 2)),
            case("conv_transpose2d", [image, normal(4, 2, 2, 3)], padding=2, groups=2, dilation=2, stride=3),
            case("conv_transpose2d", [image[0], normal(4, 1, 3, 3)], groups=4, padding=1),
        ]
    )


@pytest.mark.slow
def test_volumes() -> None:
    check(
        [
            case("conv3d", [normal(1, 2, 4, 5, 3), normal(3, 2, 2, 2, 2)], stride=(1, 2, 1), padding=1),
            case("conv_transpose3d", [normal(1, 2, 2, 3, 2), normal(2, 3, 2, 2, 2)], stride=2, padding=1),
        ]
    )


def test_unfold_and_fold() -> None:
    image = normal(2, 3, 6, 5)
    check(
        [
            case("unfold", [image], 2),
            case("unfold", [image], (3, 2), dilation=2, padding=(1, 2), stride=(2, 1)),
            case("unfold", [image[0]], 3, stride=2),
            case("fold", [normal(2, 12, 20)], (6, 5), 2),
            case("fold", [normal(2, 18, 20)], (6, 5), (3, 2), dilation=2, padding=(1, 1), stride=(1, 1)),
            case("fold", [normal(12, 4)], (4, 5), 2, stride=(2, 3)),
        ]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv2d(normal(1, 3, 5, 5), normal(2, 4, 3, 3)), "input has 3 channels"),
        (lambda: F.conv2d(normal(1, 4, 5, 5), normal(3, 2, 3, 3), groups=2), "2 groups do not divide the 3 outputs"),
        (lambda: F.conv2d(normal(5, 5), normal(2, 4, 3, 3)), "neither"),
        (lambda: F.conv2d(normal(1, 3, 2, 5), normal(2, 3, 3, 3)), "smaller than the kernel"),
        (lambda: F.conv2d(normal(1, 3, 5, 5), normal(2, 3, 3, 3), normal(3)), "bias .* is not of shape"),
        (lambda: F.conv1d(normal(1, 3, 5), normal(2, 3, 3), stride=2, padding="same"), "needs a stride of 1"),
        (lambda: F.conv1d(normal(1, 3, 5), normal(2, 3, 3), stride=0), "stride .* must be positive"),
        (lambda: F.conv1d(normal(1, 3, 5), normal(2, 3, 3), padding=-1), "must not be negative"),
        (lambda: F.conv_transpose2d(normal(1, 3, 5, 5), normal(4, 2, 3, 3)), "weight is for 4"),
        (lambda: F.conv_transpose1d(normal(1, 3, 5), normal(3, 2, 3), output_padding=1), "output_padding"),
        (lambda: F.fold(normal(2, 12, 19), (6, 5), 2), "as these windows need"),
        (lambda: F.unfold(normal(2, 3, 2, 2), 3), "do not fit"),
    ],
)
def test_wrong_arguments(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()


def test_integers_convolve() -> None:
    found = F.conv1d(np.array([[[1, 2, 3, 4]]]), np.array([[[1, 1]]]))
    np.testing.assert_array_equal(np.asarray(found), [[[3, 5, 7]]])
