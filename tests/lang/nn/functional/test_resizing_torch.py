"""Padding, interpolation and shuffles agree with PyTorch's."""

from __future__ import annotations

import pytest
from torch_cases import case, check, normal

import tenfold as tn

F = tn.nn.functional
IMAGE, SIGNAL = normal(2, 3, 5, 4), normal(2, 3, 7)


def test_padding() -> None:
    check(
        [
            case("pad", [IMAGE], (1, 2)),
            case("pad", [IMAGE], (1, 2, 3, 0), value=1.5),
            case("pad", [IMAGE], (-1, 2, 0, -2)),
            case("pad", [normal(2, 3)], (0, 1, 2, 0), "constant", -1.0),
            case("pad", [IMAGE], (3, 1, 2, 4), mode="reflect"),
            case("pad", [SIGNAL], (3, 6), mode="reflect"),
            case("pad", [IMAGE], (3, 1, 2, 7), mode="replicate"),
            case("pad", [IMAGE], (3, 1, 2, 4), mode="circular"),
            case("pad", [SIGNAL], (-2, 3), mode="replicate"),
        ]
    )


def test_interpolation() -> None:
    check(
        [
            case("interpolate", [SIGNAL], scale_factor=2),
            case("interpolate", [SIGNAL], size=5),
            case("interpolate", [IMAGE], scale_factor=2.0),
            case("interpolate", [IMAGE], (8, 3)),
            case("interpolate", [IMAGE], scale_factor=(1.7, 0.6)),
            case("interpolate", [IMAGE], (8, 3), mode="nearest-exact"),
            case("interpolate", [IMAGE], (7, 3), mode="area"),
            case("interpolate", [SIGNAL], 11, mode="linear"),
            case("interpolate", [SIGNAL], 11, mode="linear", align_corners=True),
            case("interpolate", [IMAGE], scale_factor=2, mode="bilinear"),
            case("interpolate", [IMAGE], (3, 9), mode="bilinear", align_corners=True),
            case("interpolate", [IMAGE], scale_factor=1.7, mode="bilinear"),
            case("interpolate", [IMAGE], scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
            case("interpolate", [IMAGE], (1, 6), mode="bicubic", tolerance=1e-4),
            case("interpolate", [IMAGE], (9, 6), mode="bicubic", align_corners=True, tolerance=1e-4),
            case("interpolate", [normal(1, 2, 3, 2, 4)], (2, 5, 3), mode="trilinear"),
            case("upsample", [IMAGE], scale_factor=3),
        ]
    )


def test_shuffles() -> None:
    check(
        [
            case("pixel_shuffle", [normal(2, 8, 3, 2)], 2),
            case("pixel_shuffle", [normal(9, 3, 2)], 3),
            case("pixel_unshuffle", [normal(2, 2, 6, 4)], 2),
            case("channel_shuffle", [normal(2, 6, 2, 2)], 3),
        ]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.pad(IMAGE, (1, 2, 3)), "not pairs"),
        (lambda: F.pad(IMAGE, (4, 0), mode="reflect"), "too much for mode 'reflect'"),
        (lambda: F.pad(IMAGE, (5, 0), mode="circular"), "too much for mode 'circular'"),
        (lambda: F.pad(IMAGE, (-3, -2)), "leaves less than nothing"),
        (lambda: F.pad(IMAGE, (1, 1), mode="mirror"), "there is no mode 'mirror'"),
        (lambda: F.interpolate(IMAGE), "one of size and scale_factor"),
        (lambda: F.interpolate(IMAGE, 4, mode="linear"), "as mode 'linear' needs"),
        (lambda: F.interpolate(IMAGE, 4, align_corners=True), "takes no align_corners"),
        (lambda: F.interpolate(IMAGE, 4, mode="bilinear", antialias=True), "antialias is not supported"),
        (lambda: F.interpolate(IMAGE, (1, 2, 3)), "not one number for each of 2 axes"),
        (lambda: F.pixel_shuffle(IMAGE, 2), "not a multiple of 2 squared"),
        (lambda: F.pixel_unshuffle(IMAGE, 2), "not multiples of 2"),
    ],
)
def test_wrong_arguments(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
