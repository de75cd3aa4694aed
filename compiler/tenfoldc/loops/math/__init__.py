"""Mathematics on scalars: f32 and f64 functions written in primitives, for every back end alike.

`exp(x)` of an expression is a call of one function per element type, `exp.definition(f32)`, which back ends inline.
"""

from tenfoldc.loops.math.definition import ScalarFunction
from tenfoldc.loops.math.error_function import erf, erf_inv, erfc
from tenfoldc.loops.math.exponential import cosh, exp, expm1, logistic, sinh, tanh
from tenfoldc.loops.math.gamma import digamma, lgamma, polygamma
from tenfoldc.loops.math.inverse_trigonometry import acos, asin, atan, atan2
from tenfoldc.loops.math.logarithm import acosh, asinh, atanh, log, log1p
from tenfoldc.loops.math.power import cbrt, pow_
from tenfoldc.loops.math.remainder import fmod
from tenfoldc.loops.math.trigonometry import cos, sin, tan

__all__ = [
    "ScalarFunction",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "digamma",
    "erf",
    "erf_inv",
    "erfc",
    "exp",
    "expm1",
    "fmod",
    "lgamma",
    "log",
    "log1p",
    "logistic",
    "polygamma",
    "pow_",
    "sin",
    "sinh",
    "tan",
    "tanh",
]
