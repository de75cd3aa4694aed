"""Draw the Mandelbrot set.

    python samples/mandelbrot.py [--output FILE.png]

One compiled call advances every pixel by `STEPS` iterations of z -> z^2 + c in one fused loop, in place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import tenfold as tn

WIDTH, HEIGHT = 900, 600
STEPS, CALLS = 16, 12


@tn.compile(donate=("zr", "zi", "count"))
def advance(zr, zi, count, cr, ci):
    """`STEPS` iterations; `count` grows by one for each that a pixel stays within radius 2."""
    for _ in range(STEPS):
        inside = zr * zr + zi * zi <= 4
        zr, zi = tn.where(inside, zr * zr - zi * zi + cr, zr), tn.where(inside, 2 * zr * zi + ci, zi)
        count = count + inside
    return zr, zi, count


def iterations() -> np.ndarray:
    """How many iterations each pixel stays bounded, int32, of at most `STEPS * CALLS`."""
    ci, cr = (axis.astype(np.float32) for axis in np.mgrid[-1 : 1 : HEIGHT * 1j, -2 : 1 : WIDTH * 1j])
    zr, zi, count = np.zeros_like(cr), np.zeros_like(cr), np.zeros(cr.shape, np.int32)
    for _ in range(CALLS):
        zr, zi, count = advance(zr, zi, count, cr, ci)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the Mandelbrot set.")
    parser.add_argument("--output", type=Path, default=Path("build/mandelbrot.png"), help="where it goes (%(default)s)")
    path = parser.parse_args().output
    count = iterations()
    shade = np.sqrt(count / (STEPS * CALLS))
    colours = np.stack([shade**0.5, shade, shade**2], axis=-1) * (count < STEPS * CALLS)[..., None]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * colours).astype(np.uint8)).save(path)
    print(f"{(count == STEPS * CALLS).mean():.1%} of the pixels stay bounded; wrote {path}")


if __name__ == "__main__":
    main()
