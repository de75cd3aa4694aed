"""Draw a scene of signed distances by marching along rays, and differentiate its brightness.

    python samples/ray_marcher.py [--output DIRECTORY]

Each ray advances by the distance to the nearest surface until it meets one or leaves the scene (J. Hart, The Visual
Computer 12, 1996): a loop per ray, all of them together by `vmap`.  Surfaces are lit by their normal, which is the
gradient of the distance.  The picture's mean brightness is differentiated by the scene's parameters, through normals
and loops; picture and gradient are written as a C library for `samples/ray_marcher.c`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tenfold as tn

WIDTH, HEIGHT = 64, 28
NEAR, FAR, CLOSE = 1.0, 6.0, 1e-9
SHADES = " .:-=+*#%@"

Scene = {"radius": tn.f64[()], "blend": tn.f64[()], "light": tn.f64[3]}


def distance(scene, point):
    """From `point` to the nearest surface: a large ball and a small one, blended (I. Quilez, "Smooth minimum")."""
    large = norm(point) - scene["radius"]
    small = norm(point - tn.tensor(np.array([0.9, 0.5, -0.3]))) - 0.5
    overlap = tn.maximum(scene["blend"] - tn.abs(large - small), 0.0) / scene["blend"]
    return tn.minimum(large, small) - overlap**2 * scene["blend"] / 4


def norm(vector):
    return tn.sqrt(tn.sum(vector**2))


def brightness(scene, direction):
    """What the eye at (0, 0, -3) sees in a direction, from 0 to 1."""
    eye = tn.tensor(np.array([0.0, 0.0, -3.0]))

    def marching(carry):
        travelled, gap = carry
        return tn.logical_and(gap > CLOSE, travelled < FAR)

    def march(carry):
        travelled, gap = carry
        travelled = travelled + gap
        return travelled, distance(scene, eye + travelled * direction)

    begin = tn.tensor(NEAR, dtype=tn.float64)
    travelled, _ = tn.while_loop(marching, march, (begin, distance(scene, eye + begin * direction)))
    normal = tn.grad(distance, argnums=1)(scene, eye + travelled * direction)
    lit = tn.maximum(tn.sum(normal * scene["light"]) / norm(scene["light"]), 0.0)
    return tn.where(travelled < FAR, 0.1 + 0.9 * lit, 0.0)


def rays() -> NDArray[np.float64]:
    """Directions through the picture's points, row by row, [HEIGHT * WIDTH, 3]."""
    y, x = np.mgrid[1 : -1 : HEIGHT * 1j, -1.2 : 1.2 : WIDTH * 1j]
    directions = np.stack([x, y, np.full_like(x, 2.0)], axis=-1).reshape(-1, 3)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def picture(scene):
    """The brightness of every point, row by row."""
    return tn.vmap(brightness, in_axes=(None, 0))(scene, tn.tensor(rays()))


@tn.compile
def draw(scene: Scene):
    """The picture, [HEIGHT, WIDTH]."""
    return tn.reshape(picture(scene), (HEIGHT, WIDTH))


@tn.compile
def mean_brightness(scene: Scene):
    """The picture's mean brightness, and its derivatives by the parameters of the scene."""
    return tn.value_and_grad(lambda scene: tn.mean(picture(scene)))(scene)


def example() -> dict[str, NDArray[np.float64]]:
    return {"radius": np.array(1.0), "blend": np.array(0.4), "light": np.array([-0.6, 0.8, -0.7])}


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw two balls, and differentiate how bright they are.")
    default = Path("build/ray_marcher")
    parser.add_argument("--output", type=Path, default=default, help="where the library goes (%(default)s)")
    directory = parser.parse_args().output
    scene = example()
    for row in draw(scene):
        print("".join(SHADES[int(value * (len(SHADES) - 1) + 0.5)] for value in row).rstrip())
    value, by = mean_brightness(scene)
    light = " ".join(f"{part:.8f}" for part in by["light"])
    print(f"mean brightness {value:.8f}, by radius {by['radius']:.8f}, by blend {by['blend']:.8f}, by light {light}")
    directory.mkdir(parents=True, exist_ok=True)
    tn.export([draw, mean_brightness], directory / "libray_marcher.so")


if __name__ == "__main__":
    main()
