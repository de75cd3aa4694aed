"""Small programs of computational science, as one would first write them."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import torch

import tenfold as tn
from benchmarks.cpu.case import Case, Computation, Functions, Tree, everywhere, normal

_THEME = "programs"
_OPTIONS = 1_000_000
_BODIES = 1024
_GRID, _SWEEPS = 1024, 8
_PIXELS, _TURNS = 512, 64


def _black_scholes(library: Any, erf: Computation) -> Computation:
    """Prices of European calls (Black and Scholes, 1973), with `library`'s functions."""

    def cdf(x: Tree) -> Tree:
        return 0.5 * (1 + erf(x / math.sqrt(2)))

    def price(spot: Tree, strike: Tree, years: Tree) -> Tree:
        rate, volatility = 0.03, 0.2
        spread = volatility * library.sqrt(years)
        d1 = (library.log(spot / strike) + (rate + volatility**2 / 2) * years) / spread
        return spot * cdf(d1) - strike * library.exp(-rate * years) * cdf(d1 - spread)

    return price


def _options(rng: np.random.Generator) -> tuple[Tree, ...]:
    return tuple(rng.uniform(low, high, _OPTIONS).astype("float32") for low, high in ((80, 120), (80, 120), (0.25, 2)))


def _accelerations(library: Any) -> Computation:
    """Of bodies at (n, 3) with masses (n,), by Newton's law, softened."""

    def accelerations(positions: Tree, masses: Tree) -> Tree:
        apart = positions[None, :, :] - positions[:, None, :]
        squared = (apart * apart).sum(-1) + 1e-3
        weights = masses / (squared * library.sqrt(squared))
        return (apart * weights[:, :, None]).sum(1)

    return accelerations


def _jacobi(u: Tree, f: Tree) -> Tree:
    """Sweeps of Jacobi's method for Poisson's equation; the result is smaller by a rim per sweep."""
    for _ in range(_SWEEPS):
        u = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - f[1:-1, 1:-1])
        f = f[1:-1, 1:-1]
    return u


def _mandelbrot(library: ModuleType) -> Computation:
    """How many turns each point of the plane stays within a circle of radius 2."""

    def turns(cx: Tree, cy: Tree) -> Tree:
        x = y = library.zeros_like(cx)
        count = library.zeros_like(cx)
        for _ in range(_TURNS):
            x, y = x * x - y * y + cx, 2 * x * y + cy
            inside = x * x + y * y < 4
            count = count + library.where(inside, 1.0, 0.0)
            x, y = library.where(inside, x, 2.0), library.where(inside, y, 2.0)
        return count

    return turns


def _plane(rng: np.random.Generator) -> tuple[Tree, ...]:
    x = np.linspace(-2, 0.6, _PIXELS, dtype=np.float32) + np.float32(rng.uniform(0, 1e-3))
    y = np.linspace(-1.3, 1.3, _PIXELS, dtype=np.float32)
    return tuple(np.ascontiguousarray(part) for part in np.meshgrid(x, y))


CASES = (
    Case(
        _THEME,
        "Black-Scholes 1M",
        _options,
        Functions(
            tenfold=_black_scholes(tn, tn.erf),
            torch=_black_scholes(torch, torch.erf),
            jax=_black_scholes(jnp, jax.scipy.special.erf),
        ),
        bytes=4 * 4 * _OPTIONS,
    ),
    Case(
        _THEME,
        "n-body 1024",
        lambda rng: (normal(rng, _BODIES, 3), rng.uniform(0.1, 1, _BODIES).astype("float32")),
        Functions(tenfold=_accelerations(tn), torch=_accelerations(torch), jax=_accelerations(jnp)),
        flops=19 * _BODIES**2,
        tolerance=1e-3,
    ),
    Case(
        _THEME,
        "Jacobi 1024^2, 8 sweeps",
        lambda rng: (normal(rng, _GRID, _GRID), normal(rng, _GRID, _GRID)),
        everywhere(_jacobi),
        bytes=3 * 4 * _GRID**2 * _SWEEPS,
    ),
    Case(
        _THEME,
        "Mandelbrot 512^2, 64 turns",
        _plane,
        Functions(tenfold=_mandelbrot(tn), torch=_mandelbrot(torch), jax=_mandelbrot(jnp)),
        flops=10 * _TURNS * _PIXELS**2,
        tolerance=2.0,
        excluded={"compile": "8 turns take it minutes to compile"},
    ),
)
