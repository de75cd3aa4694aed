"""Solve Kepler's equation by Newton's iteration, and differentiate the solution in two ways.

    python samples/newton.py [--output DIRECTORY]

E - e sin E = M gives the eccentric anomaly E of an orbit of eccentricity e at mean anomaly M.  The number of turns of
the iteration depends on both.  Its gradient is taken through the loop, turn by turn, and from the implicit function
theorem, which needs the solution alone: with F(E, e, M) = 0, dE = -(dF/de de + dF/dM dM) / (dF/dE).  The same
functions are written as a C library, `libnewton.so`, for `samples/newton.c`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tenfold as tn

TOLERANCE = 1e-12
ORBITS = 5


def residual(anomaly, eccentricity, mean_anomaly):
    """What is zero at the solution."""
    return anomaly - eccentricity * tn.sin(anomaly) - mean_anomaly


def anomaly_by_newton(eccentricity, mean_anomaly):
    """The eccentric anomaly, from M on, by as many turns as it takes to fall below `TOLERANCE`."""

    def unsolved(anomaly):
        return tn.abs(residual(anomaly, eccentricity, mean_anomaly)) > TOLERANCE

    def turn(anomaly):
        value, slope = tn.value_and_grad(residual)(anomaly, eccentricity, mean_anomaly)
        return anomaly - value / slope

    # Beginning with M itself would leave the derivative out where no turn is needed: one turn is always taken.
    return tn.while_loop(unsolved, turn, turn(mean_anomaly))


@tn.custom_jvp
def anomaly(eccentricity, mean_anomaly):
    """The same, with the derivative of what it solves rather than of how."""
    return anomaly_by_newton(eccentricity, mean_anomaly)


@anomaly.defjvp
def anomaly_moved(primals, tangents):
    solution = anomaly(*primals)
    slope = tn.grad(residual)(solution, *primals)
    _, moved = tn.jvp(lambda *parameters: residual(solution, *parameters), primals, tangents)
    return solution, -moved / slope


@tn.compile
def through_the_loop(eccentricity: tn.f64[()], mean_anomaly: tn.f64[()]):
    """E, and its derivatives by e and M, back through every turn."""
    return tn.value_and_grad(anomaly_by_newton, argnums=(0, 1))(eccentricity, mean_anomaly)


@tn.compile
def by_the_theorem(eccentricity: tn.f64[()], mean_anomaly: tn.f64[()]):
    """E, and its derivatives by e and M, from the implicit function theorem."""
    return tn.value_and_grad(anomaly, argnums=(0, 1))(eccentricity, mean_anomaly)


@tn.compile
def of_many(eccentricities: tn.f64[ORBITS], mean_anomalies: tn.f64[ORBITS]):
    """The second derivatives of E by (e, M) of several orbits, [ORBITS, 2, 2]."""

    def curvature(eccentricity, mean_anomaly):
        return tn.hessian(lambda both: anomaly(both[0], both[1]))(tn.stack([eccentricity, mean_anomaly]))

    return tn.vmap(curvature)(eccentricities, mean_anomalies)


def main() -> None:
    parser = argparse.ArgumentParser(description="Solve Kepler's equation, with derivatives.")
    parser.add_argument(
        "--output", type=Path, default=Path("build/newton"), help="where the library goes (%(default)s)"
    )
    directory = parser.parse_args().output
    eccentricities, mean_anomalies = 0.15 + 0.15 * np.arange(ORBITS), 0.5 + 0.5 * np.arange(ORBITS)
    for orbit in zip(eccentricities, mean_anomalies, strict=True):
        for function in (through_the_loop, by_the_theorem):
            solution, (by_e, by_m) = function(*orbit)
            print(f"{function.__name__:16s} E {solution:.10f}  dE/de {by_e:.10f}  dE/dM {by_m:.10f}")
    for curvature in of_many(eccentricities, mean_anomalies):
        print(f"second derivatives {curvature[0, 0]:.8f} {curvature[0, 1]:.8f} {curvature[1, 1]:.8f}")
    directory.mkdir(parents=True, exist_ok=True)
    tn.export([through_the_loop, by_the_theorem, of_many], directory / "libnewton.so")


if __name__ == "__main__":
    main()
