"""The error function, its complement and its inverse.

For f32, erf is v - v |v| / 4 with v = x + x g(|x|) = 2 (1 - sqrt(erfc x)): the square takes the error out of v where
the result nears 1, and g is small where it does not, so that one polynomial serves all x.

For f64, erfc x = e^(-x^2) P(t) / (1 + 2 x) with t = (x - 4) / (x + 4) for all x >= 0 (Shepherd and Laframboise,
1981), with x^2 formed exactly and the quotient as a sum of two; P is a Chebyshev interpolation in 45 digits.  erf is
x + x p(x^2) up to 0.85, p another, and 1 - erfc x beyond, where erfc x is below 1/4 and need not be as accurate:
e^-q(x - 1), q a minimax fit.

The inverse is x + x p, with p a polynomial in w = -log(1 - x^2), or in sqrt(w) - 3 from w = 5 on (after Giles, 2010):
minimax fits (`coefficients`), save the latter for f64, a Chebyshev interpolation.  For f64 one step of Halley's method
on erf or erfc follows.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr, Primitive
from tenfoldc.loops.math.definition import (
    INFINITY,
    NAN,
    at_most,
    bits_of,
    bounded,
    copysign,
    fast_two_sum,
    float_of,
    horner,
    integer,
    number,
    polynomial,
    quotient,
    scalar_function,
    square_root,
    through_f64,
)
from tenfoldc.loops.math.exponential import exp, exp_times
from tenfoldc.loops.math.logarithm import log
from tenfoldc.loops.scalar import abs_, add, apply, div, equal, fma, greater, less, mul, neg, select, sub

_ERF_NEAR = (
    0.1283791670955126,
    -0.3761263890318375,
    0.11283791670954685,
    -0.02686617064501726,
    0.005223977623916789,
    -0.0008548326902886471,
    0.00012055326932054655,
    -1.4925450090912942e-05,
    1.6457676496214065e-06,
    -1.6300495998065118e-07,
    1.4189584294135369e-08,
    -8.837207342835496e-10,
)
ERF_F32 = (
    0.12837916612625122,
    0.3183097243309021,
    -0.1965358555316925,
    -0.08557575196027756,
    0.03333202004432678,
    0.014845527708530426,
    -0.005091635510325432,
    -0.0011497196974232793,
    -0.00018847087631002069,
    0.0007106746779754758,
    -0.00031317133107222617,
    6.47126289550215e-05,
    -6.802693405916216e-06,
    2.953348143819312e-07,
)
ERFC_LOGARITHM = (
    1.8496055099332482,
    2.638967514234792,
    0.8431072563584934,
    0.04156109804633023,
    -0.01003382543457064,
    0.001977903033183127,
    -0.00023732474532626462,
    -2.6270513316991338e-05,
    2.714242063473377e-05,
    -9.581744794428073e-06,
    2.027483377545529e-06,
    -1.145335863400512e-07,
    -1.1595663300917937e-07,
    6.08368298281691e-08,
    -1.795824094906158e-08,
    3.6056858240300556e-09,
    -4.883290736827129e-10,
    4.0403699324681063e-11,
    -1.5425299214552234e-12,
)
_ERFC = (
    1.2329951186255526,
    -0.13962111684056286,
    0.015379652102621091,
    0.0680970542547336,
    -0.10103906603637362,
    0.09373283499690535,
    -0.0663303658110103,
    0.03716751556105671,
    -0.016197734065502876,
    0.005031969765051122,
    -0.0007577732963739462,
    -0.00019925553476007838,
    0.0001506220523230599,
    -2.4403160497192634e-05,
    -1.1224293594679385e-05,
    5.718067004785881e-06,
    3.006053020270926e-07,
    -8.356886054802244e-07,
    6.326381936013846e-08,
    1.1597564919712835e-07,
    -7.796210935750394e-09,
    -1.3952812123042384e-08,
    -1.907388627007971e-09,
)
INVERSE_NEAR = (
    -0.11377307772636414,
    0.2320137917995453,
    0.011548749171197414,
    -0.0023344489745795727,
    -0.00012734976189676672,
    4.449842163012363e-05,
    4.00368799091666e-06,
    -1.9801841517619323e-06,
    2.214013505863477e-07,
    -8.806577689313144e-09,
)
INVERSE_FAR = {
    dtypes.f32: (
        1.8329768180847168,
        1.001675009727478,
        0.00944482535123825,
        -0.0076378108933568,
        0.005689577199518681,
        -0.003596574766561389,
        0.0014793537557125092,
        -5.547170076170005e-05,
        -0.0003051918465644121,
        0.00011325038940412924,
    ),
    dtypes.f64: (
        1.832975092760639,
        1.0016746503359168,
        0.009485836766508918,
        -0.0076990204207079225,
        0.005579327876493554,
        -0.003281626624635015,
        0.0013585635286097564,
        -0.0003596289374876328,
        5.410808148350779e-05,
        -3.5036477620016268e-06,
    ),
}
_ERF_END = 3.93
_HALF_ROOT_PI = 0.886226925452758


def _erf_near(x: Expr) -> Expr:
    return fma(polynomial(mul(x, x), _ERF_NEAR), x, x)


def _complement(a: Expr) -> Expr:
    """erfc of an f64 a >= 0."""
    one, four = number(1.0, a), number(4.0, a)
    t = div(sub(a, four), add(a, four))
    slope, constant = horner(t, _ERFC[1:]), number(_ERFC[0], a)
    value = fma(t, slope, constant)
    double = add(a, a)
    larger, smaller = select(greater(double, one), double, one), select(greater(double, one), one, double)
    factor = quotient((value, fma(t, slope, sub(constant, value))), fast_two_sum(larger, smaller))
    coarse = float_of(apply(Primitive.AND, bits_of(a), integer(0xFFFFFFFFF8000000, a)), a)
    low = neg(mul(sub(a, coarse), add(a, coarse)))
    return exp_times(neg(mul(coarse, coarse)), low, factor)


@scalar_function("erf")
def erf(x: Expr) -> Expr:
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    if x.dtype == dtypes.f32:
        x = bounded(x, -_ERF_END, _ERF_END)
        v = fma(x, polynomial(abs_(x), ERF_F32), x)
        # Added to +0, the factor of -0 is +0, which leaves the sign of -0.
        return fma(v, fma(abs_(v), number(-0.25, x), number(0.0, x)), v)
    a = abs_(x)
    beyond_one = sub(at_most(a, 6.0), number(1.0, x))
    constant, *slope = ERFC_LOGARITHM
    logarithm = fma(polynomial(beyond_one, slope), beyond_one, number(constant, x))
    far = sub(number(1.0, x), exp(neg(logarithm)))
    return select(greater(a, number(0.85, x)), copysign(far, x), _erf_near(x))


@scalar_function("erfc")
def erfc(x: Expr) -> Expr:
    """1 - erf x, accurate for large x too; for f32, formed in f64."""
    if x.dtype == dtypes.f32:
        return through_f64(erfc, x)
    a = abs_(x)
    complement = _complement(at_most(a, 28.0))
    far = select(less(x, number(0.0, x)), sub(number(2.0, x), complement), complement)
    return select(less(a, number(0.5, x)), sub(number(1.0, x), _erf_near(x)), far)


@scalar_function("erf_inv")
def erf_inv(x: Expr) -> Expr:
    """The y with erf y = x; infinite at -1 and 1, NaN beyond."""
    one, a = number(1.0, x), abs_(x)
    w = neg(log(mul(sub(one, a), add(one, a))))
    far = greater(w, number(5.0, x))
    near_value = horner(w, INVERSE_NEAR)
    far_value = horner(sub(square_root(w), number(3.0, x)), INVERSE_FAR[x.dtype])
    y = fma(select(far, far_value, near_value), a, a)
    if x.dtype == dtypes.f64:
        y = _halley_step(y, a)
    y = copysign(select(equal(a, one), number(INFINITY, x), y), x)
    return select(greater(a, one), number(NAN, x), y)


def _halley_step(y: Expr, a: Expr) -> Expr:
    """A y with erf y nearer to `a`; from 0.75 on through erfc, where 1 - a is exact."""
    upper = greater(a, number(0.75, a))
    below = fma(polynomial(mul(y, y), _ERF_NEAR), y, sub(y, a))
    above = sub(sub(number(1.0, a), a), _complement(y))
    u = mul(mul(select(upper, above, below), exp(mul(y, y))), number(_HALF_ROOT_PI, a))
    return sub(y, div(u, fma(y, u, number(1.0, a))))
