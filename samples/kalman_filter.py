"""Track a moving point through noisy measurements, and learn how noisy they are.

    python samples/kalman_filter.py [--output DIRECTORY]

A scan runs Kalman's filter (Journal of Basic Engineering 82, 1960) over a series of measured positions: the state is
position and velocity, velocity wanders, positions are measured.  The likelihood of the series (Schweppe, 1965) is
climbed along its gradient by the logarithms of both noises.  Filter and gradient are written as a C library for
`samples/kalman_filter.c`.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tenfold as tn

STEPS, TURNS = 200, 100
WANDER, ERROR = 0.05, 0.8


def filtered(log_noises, measured):
    """The filtered states, [STEPS, 2], and the logarithm of the likelihood of `measured`.

    `log_noises` are the logarithms of the standard deviations of the velocity's change per step and of a measurement.
    """
    wander, error = tn.exp(log_noises[0]), tn.exp(log_noises[1])
    motion = tn.tensor(np.array([[1.0, 1.0], [0.0, 1.0]]))
    spread = tn.tensor(np.array([[0.25, 0.5], [0.5, 1.0]])) * wander**2

    def step(belief, position):
        state, covariance = belief
        state, covariance = motion @ state, motion @ covariance @ motion.T + spread
        surprise, variance = position - state[0], covariance[0, 0] + error**2
        gain = covariance[:, 0] / variance
        state = state + gain * surprise
        covariance = covariance - variance * gain[:, None] * gain[None, :]
        likelihood = -0.5 * (surprise**2 / variance + tn.log(2 * math.pi * variance))
        return (state, covariance), (state, likelihood)

    begin = tn.zeros(2, dtype=tn.float64), tn.eye(2, dtype=tn.float64) * 10.0
    _, (states, likelihoods) = tn.scan(step, begin, measured)
    return states, tn.sum(likelihoods)


@tn.compile
def track(log_noises: tn.f64[2], measured: tn.f64[STEPS]):
    """The filtered states and the logarithm of the likelihood."""
    return filtered(log_noises, measured)


@tn.compile
def likelihood_gradient(log_noises: tn.f64[2], measured: tn.f64[STEPS]):
    """The derivatives of the logarithm of the likelihood by the logarithms of the noises."""
    return tn.grad(lambda noises: filtered(noises, measured)[1])(log_noises)


def series(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True and measured positions."""
    rng = np.random.default_rng(seed)
    kicks = WANDER * rng.standard_normal(STEPS)
    velocity = np.cumsum(kicks)
    position = np.cumsum(velocity - kicks / 2)
    return position, position + ERROR * rng.standard_normal(STEPS)


def climb(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithms of the noises that make `measured` likeliest."""
    log_noises = np.zeros(2)
    for _ in range(TURNS):
        log_noises = log_noises + 0.002 * likelihood_gradient(log_noises, measured)
    return log_noises


def main() -> None:
    parser = argparse.ArgumentParser(description="Track a point, and learn the noise.")
    default = Path("build/kalman_filter")
    parser.add_argument("--output", type=Path, default=default, help="where the library goes (%(default)s)")
    directory = parser.parse_args().output
    position, measured = series()
    log_noises = climb(measured)
    states, likelihood = track(log_noises, measured)
    before, after = (np.sqrt(np.mean((guess - position) ** 2)) for guess in (measured, states[:, 0]))
    print(f"noises {math.exp(log_noises[0]):.8f} and {math.exp(log_noises[1]):.8f}, likelihood {likelihood:.8f}")
    print(f"last state {states[-1, 0]:.8f} {states[-1, 1]:.8f}")
    print(f"error {before:.4f} as measured, {after:.4f} filtered; noises in truth {WANDER}, {ERROR}")
    directory.mkdir(parents=True, exist_ok=True)
    measured.tofile(directory / "measured.f64")
    tn.export([track, likelihood_gradient], directory / "libkalman_filter.so")


if __name__ == "__main__":
    main()
