"""Which polynomial of which function is fitted where: the sources of the coefficients in the modules beside.

Each entry says what is fitted and names the constant that holds the result; tests compute them anew.
"""

from __future__ import annotations

import mpmath
import numpy as np
from mpmath import mpf

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.loops.math import error_function, exponential, gamma, inverse_trigonometry, logarithm, trigonometry
from tenfoldc.loops.math.coefficients.remez import Problem, rounded

_ONE = mpf(1)
_HALF_LN2 = 0.3466
_TINY = mpf("1e-12")
_EIGHTH_TURN = 0.7855
_THIRD = 1 / 3 + 1e-7
_SQRT_HALF_ATANH = 0.1715729


@frozen
class Entry:
    """A fit, the float format of its coefficients, and the constant in use, without the coefficients known before."""

    problem: Problem
    dtype: type[np.float32] | type[np.float64]
    used: tuple[float, ...]

    def compute(self) -> tuple[float, ...]:
        """The coefficients, which are to equal `used`."""
        found = rounded(self.problem, self.dtype).coefficients[len(self.problem.fixed) :]
        return tuple(float(value) for value in found)


def _square(x: mpf) -> mpf:
    return x * x


def _sinh_over_x(x: mpf) -> mpf:
    return mpmath.sinh(x) / x if x > 0 else _ONE


def _log1p_over_x(x: mpf) -> mpf:
    return mpmath.log1p(x) / x if abs(x) > 0 else _ONE


def _atanh_over_half_x(x: mpf) -> mpf:
    return 2 * mpmath.atanh(x) / x if x > 0 else mpf(2)


def _erf_bend(x: mpf) -> mpf:
    """g with 2 (1 - sqrt(erfc x)) = x + x g."""
    if x < _TINY:
        return 2 / mpmath.sqrt(mpmath.pi) - 1
    return 2 * (1 - mpmath.sqrt(mpmath.erfc(x))) / x - 1


def _erf_bend_weight(x: mpf) -> mpf:
    """What an error of g is to erf x, relatively."""
    if x < _TINY:
        return mpmath.sqrt(mpmath.pi) / 2
    return mpmath.sqrt(mpmath.erfc(x)) * x / mpmath.erf(x)


def _erf_inv_bend(w: mpf) -> mpf:
    """p with erfinv x = x + x p and w = -log(1 - x^2)."""
    if w < _TINY:
        return mpmath.sqrt(mpmath.pi) / 2 - 1
    x = mpmath.sqrt(-mpmath.expm1(-w))
    return mpmath.erfinv(x) / x - 1


def _asin_over_x(x: mpf) -> mpf:
    return mpmath.asin(x) / x if x > 0 else _ONE


def _log_gamma_near_2(t: mpf) -> mpf:
    return mpmath.loggamma(2 + t) / t if abs(t) > _TINY else mpmath.digamma(mpf(2))


def _digamma_over_distance(x: mpf) -> mpf:
    return mpmath.digamma(x) / (x - sum(map(mpf, gamma.DIGAMMA_ZERO)))


def _sin_over_x(x: mpf) -> mpf:
    return mpmath.sin(x) / x if x > 0 else _ONE


def _atan_over_x(x: mpf) -> mpf:
    return mpmath.atan(x) / x if x > 0 else _ONE


def _exp(degree: int) -> Problem:
    return Problem(mpmath.exp, -_HALF_LN2, _HALF_LN2, degree, fixed=(_ONE, _ONE))


def _sinh(degree: int) -> Problem:
    return Problem(_sinh_over_x, 0.0, 1.0, degree, variable=_square, fixed=(_ONE,))


def _sine(degree: int) -> Problem:
    return Problem(_sin_over_x, 0.0, _EIGHTH_TURN, degree, variable=_square, fixed=(_ONE,))


def _cosine(degree: int) -> Problem:
    return Problem(mpmath.cos, 0.0, _EIGHTH_TURN, degree, variable=_square, fixed=(_ONE, mpf(-0.5)))


def _atan(degree: int) -> Problem:
    return Problem(_atan_over_x, 0.0, 1.0, degree, variable=_square, fixed=(_ONE,))


FITS = {
    "exp.f32": Entry(_exp(6), np.float32, exponential.EXP[dtypes.f32]),
    "exp.f64": Entry(_exp(11), np.float64, exponential.EXP[dtypes.f64]),
    "sinh.f32": Entry(_sinh(4), np.float32, exponential.SINH[dtypes.f32]),
    "sinh.f64": Entry(_sinh(7), np.float64, exponential.SINH[dtypes.f64]),
    "log.f32": Entry(
        Problem(_log1p_over_x, -_THIRD, _THIRD, 9, fixed=(_ONE, mpf(-0.5))), np.float32, logarithm.LOG_F32
    ),
    "log.f64": Entry(
        Problem(_atanh_over_half_x, 0.0, _SQRT_HALF_ATANH, 7, variable=_square, fixed=(mpf(2),)),
        np.float64,
        logarithm.LOG_F64,
    ),
    "sin.f32": Entry(_sine(4), np.float32, trigonometry.SINE[dtypes.f32]),
    "sin.f64": Entry(_sine(6), np.float64, trigonometry.SINE[dtypes.f64]),
    "cos.f32": Entry(_cosine(5), np.float32, trigonometry.COSINE[dtypes.f32]),
    "cos.f64": Entry(_cosine(7), np.float64, trigonometry.COSINE[dtypes.f64]),
    "atan.f32": Entry(_atan(9), np.float32, inverse_trigonometry.ATAN[dtypes.f32]),
    "erf.f32": Entry(Problem(_erf_bend, 0.0, 3.93, 13, weight=_erf_bend_weight), np.float32, error_function.ERF_F32),
    "erf.f64": Entry(
        Problem(lambda x: -mpmath.log(mpmath.erfc(x)), 0.85, 6.0, 18, weight=mpmath.erfc, variable=lambda x: x - 1),
        np.float64,
        error_function.ERFC_LOGARITHM,
    ),
    "asin.f64": Entry(
        Problem(_asin_over_x, 0.0, 0.5, 13, variable=_square, fixed=(_ONE,)), np.float64, inverse_trigonometry.ASIN
    ),
    "lgamma.f64": Entry(Problem(_log_gamma_near_2, -0.5, 0.5, 19), np.float64, gamma.LOG_GAMMA),
    "digamma.f64": Entry(
        Problem(_digamma_over_distance, 1.0, 2.25, 24, variable=lambda x: x - 1.5), np.float64, gamma.DIGAMMA
    ),
    "erf_inv.near": Entry(
        Problem(_erf_inv_bend, 0.0, 5.0, 9, weight=lambda w: 1 / (1 + _erf_inv_bend(w))),
        np.float32,
        error_function.INVERSE_NEAR,
    ),
    "erf_inv.far": Entry(
        Problem(
            lambda root: _erf_inv_bend(root * root),
            5**0.5,
            4.1,
            9,
            weight=lambda root: 1 / (1 + _erf_inv_bend(root * root)),
            variable=lambda root: root - 3,
        ),
        np.float32,
        error_function.INVERSE_FAR[dtypes.f32],
    ),
}
"""The fits by function and dtype."""
