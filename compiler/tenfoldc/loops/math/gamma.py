"""The logarithm of the gamma function and its derivatives, digamma and polygamma.

lgamma up to 8 is t Q(t), with t the distance from the nearest whole number, plus or minus the logarithm of the
recurrence's product, a sum of two; digamma is (x - x0) R(x) with its zero x0 as a sum of two, and the recurrence's
sum.  Q and R are minimax fits (`coefficients`).  Polygamma is moved up by 10 with the recurrence.  Beyond, the
asymptotic series in 1 / x (Abramowitz and Stegun 6.1.40, 6.3.18 and 6.4.11) are right to the last place after eight
terms.  Negative arguments are reflected (6.1.17, 6.3.7 and 6.4.7).  Everything is formed in f64; reflection's errors
are of the order of an ulp of its terms, so that a result near one of the zeros between negative whole numbers has
fewer right digits for f64.
"""

from __future__ import annotations

import math as python_math
from functools import cache

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr, Primitive
from tenfoldc.loops.math.definition import (
    INFINITY,
    NAN,
    ScalarFunction,
    at_least,
    at_most,
    fast_two_sum,
    horner,
    is_zero,
    number,
    polynomial,
    round_with_bits,
    scalar_function,
    through_f64,
    two_product,
    two_sum,
)
from tenfoldc.loops.math.logarithm import log
from tenfoldc.loops.math.power import log_to_double
from tenfoldc.loops.math.trigonometry import sin, tan
from tenfoldc.loops.scalar import (
    abs_,
    add,
    apply,
    div,
    equal,
    fma,
    less,
    less_equal,
    logical_and,
    logical_or,
    mul,
    neg,
    product_error,
    select,
    sub,
)

SHIFT = 10
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
"""The Bernoulli numbers with indices 2, 4, ..., 16."""

_SERIES_FROM = 8.0
_TINY = 2.0**-500
LOG_GAMMA = (
    0.42278433509846713,
    0.3224670334241132,
    -0.06735230105319492,
    0.020580808427789504,
    -0.007385551029009345,
    0.002890510330316753,
    -0.0011927538980471806,
    0.0005096695403784505,
    -0.00022315503681011155,
    9.945721130578115e-05,
    -4.4923055149796334e-05,
    2.0510555385875637e-05,
    -9.460774459535352e-06,
    4.352772966550711e-06,
    -1.956834482878435e-06,
    1.0412568767301351e-06,
    -6.179022180598365e-07,
    2.850410652817831e-08,
    3.228731290885515e-08,
    2.1659777431596065e-07,
)
DIGAMMA = (
    0.9510558760318328,
    -0.4236274212814604,
    0.2405424842408168,
    -0.148404923053955,
    0.09498872444952179,
    -0.06192213326695166,
    0.040760834086528266,
    -0.026975797086667426,
    0.01790724520840574,
    -0.011908208911712494,
    0.00792705748056034,
    -0.005280107916270622,
    0.003517897216730151,
    -0.002343897017158059,
    0.0015636824148849773,
    -0.0010458327490930318,
    0.0006944540130813551,
    -0.00045189780428135797,
    0.00030044200507413387,
    -0.0002172263549085091,
    0.00015636696807215018,
    -9.998037935723854e-05,
    5.8543262063015696e-05,
    -2.8421244794602155e-05,
    7.141506344141719e-06,
)
DIGAMMA_ZERO = (1.4616321449683622, 9.549995429965697e-17)
_LOG_PI = 1.1447298858494002
_LOG_PI_REST = 1.0265951162707826e-17
_HALF_LOG_TWO_PI = 0.9189385332046728


def _reflected(x: Expr) -> tuple[Expr, Expr, Expr]:
    """Whether x is below 1/2, x or 1 - x, and pi times the distance of x from a whole number."""
    low = less(x, number(0.5, x))
    whole, _ = round_with_bits(x)
    beyond = less(number(2.0**51, x), abs_(x))
    fraction = select(beyond, number(0.0, x), sub(x, whole))
    return low, select(low, sub(number(1.0, x), x), x), mul(fraction, number(python_math.pi, x))


def _moved_up(x: Expr) -> tuple[Expr, Expr]:
    """Whether x is below 10, and x or x + 10."""
    small = less(x, number(float(SHIFT), x))
    return small, select(small, add(x, number(float(SHIFT), x)), x)


def _log_gamma_above(z: Expr) -> Expr:
    """For an f64 z >= -1/2: of the recurrence's product and of gamma near 2 up to 8, from there Stirling's series."""
    one, zero = number(1.0, z), number(0.0, z)
    small = less(z, number(_SERIES_FROM, z))
    bounded = at_most(z, _SERIES_FROM)
    whole, _ = round_with_bits(bounded)
    t = sub(bounded, whole)
    below, next_to_1 = less(whole, number(0.5, z)), less(whole, number(1.5, z))
    product = select(next_to_1, bounded, one)
    for step in range(1, 7):
        product = mul(product, select(less(number(step + 1.5, z), whole), sub(bounded, number(float(step), z)), one))
    a = abs_(z)
    first = fma(a, z, a)
    dropped = select(below, div(fma(a, z, sub(a, first)), first), zero)
    product = select(below, first, product)
    log_high, log_low = log_to_double(select(small, product, z))
    log_low = add(log_low, dropped)
    sign = select(next_to_1, number(-1.0, z), one)
    line, dropped = two_product(t, number(LOG_GAMMA[0], z))
    high, rest = two_sum(mul(log_high, sign), line)
    bend = fma(mul(t, t), polynomial(t, LOG_GAMMA[1:]), dropped)
    near = add(high, add(bend, fma(log_low, sign, rest)))
    power, power_low = fast_two_sum(log_high, number(-1.0, z))
    times = sub(z, number(0.5, z))
    most, error = two_product(times, power)
    inverse = div(one, z)
    series = polynomial(mul(inverse, inverse), [b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI, start=1)])
    tail = fma(series, inverse, number(_HALF_LOG_TWO_PI - 0.5, z))
    far = add(most, add(fma(times, add(power_low, log_low), error), tail))
    infinity = number(INFINITY, z)
    far = select(logical_or(equal(z, infinity), equal(most, infinity)), infinity, far)
    return select(small, near, far)


@scalar_function("lgamma")
def lgamma(x: Expr) -> Expr:
    """log |gamma(x)|; infinite at 0 and at negative whole numbers."""
    if x.dtype == dtypes.f32:
        return through_f64(lgamma, x)
    mirrored = less(x, number(-0.5, x))
    z = select(mirrored, neg(x), x)
    upper = _log_gamma_above(z)
    _, _, angle = _reflected(x)
    turned, dropped = two_sum(number(_LOG_PI, x), neg(log(mul(z, abs_(sin(angle))))))
    lower = add(sub(turned, upper), add(dropped, number(_LOG_PI_REST, x)))
    result = select(mirrored, lower, upper)
    return select(logical_or(_at_pole(x, angle), equal(x, number(-INFINITY, x))), number(INFINITY, x), result)


def _digamma_above(z: Expr) -> Expr:
    """For an f64 z >= 1/2: the recurrence's sum and digamma between 1 and 2.25 up to 8, from there a series."""
    one = number(1.0, z)
    bounded = at_most(z, _SERIES_FROM)
    steps = at_least(apply(Primitive.FLOOR, sub(bounded, number(1.25, z))), 0.0)
    below = less(bounded, one)
    total: Expr = number(0.0, z)
    rest = total
    for step in reversed(range(1, 7)):
        term = div(one, sub(bounded, number(float(step), z)))
        total, dropped = two_sum(total, select(less(number(step - 0.5, z), steps), term, number(0.0, z)))
        rest = add(rest, dropped)
    inverse = div(one, z)
    total = select(below, neg(inverse), total)
    rest = select(below, mul(product_error(inverse, z, one), inverse), rest)
    w = select(below, add(bounded, one), sub(bounded, steps))
    zero, zero_low = (number(part, z) for part in DIGAMMA_ZERO)
    t, distance, slope = sub(w, number(1.5, z)), sub(w, zero), number(DIGAMMA[0], z)
    line, dropped = two_product(distance, slope)
    bend = fma(mul(sub(distance, zero_low), t), polynomial(t, DIGAMMA[1:]), fma(neg(zero_low), slope, dropped))
    line, dropped = two_sum(line, total)
    near = add(line, add(bend, add(dropped, rest)))
    near = select(less(z, number(_TINY, z)), neg(inverse), near)
    squared = mul(inverse, inverse)
    series = polynomial(squared, [b / (2 * k) for k, b in enumerate(BERNOULLI, start=1)])
    far = sub(log(z), fma(series, squared, mul(inverse, number(0.5, z))))
    return select(less(z, number(_SERIES_FROM, z)), near, far)


@scalar_function("digamma")
def digamma(x: Expr) -> Expr:
    """The derivative of lgamma; NaN at 0 and at negative whole numbers."""
    if x.dtype == dtypes.f32:
        return through_f64(digamma, x)
    _, _, angle = _reflected(x)
    low = less(x, number(0.0, x))
    upper = _digamma_above(select(low, sub(number(1.0, x), x), x))
    lower = sub(upper, div(number(python_math.pi, x), tan(angle)))
    return select(_at_pole(x, angle), number(NAN, x), select(low, lower, upper))


@cache
def polygamma(order: int) -> ScalarFunction:
    """The derivative of digamma of the given order, 1 or more; NaN at 0 and at negative whole numbers."""

    def rule(x: Expr) -> Expr:
        if x.dtype == dtypes.f32:
            return through_f64(polygamma(order), x)
        low, z, angle = _reflected(x)
        upper = _polygamma_above(z, order)
        cotangent = div(number(1.0, x), tan(angle))
        mirrored = upper if order % 2 == 0 else neg(upper)
        lower = sub(mirrored, horner(cotangent, cotangent_derivative(order)))
        return select(_at_pole(x, angle), number(NAN, x), select(low, lower, upper))

    return ScalarFunction(f"polygamma{order}", rule)


def cotangent_derivative(order: int) -> list[float]:
    """pi times the derivative of cot(pi x) by x of an order, as coefficients of powers of the cotangent."""
    coefficients = [0.0, python_math.pi]
    for _ in range(order):
        slopes = [power * c for power, c in enumerate(coefficients)][1:]
        shifted = [0.0, 0.0, *slopes]
        padded = [*slopes, 0.0, 0.0]
        coefficients = [-python_math.pi * (a + b) for a, b in zip(padded, shifted, strict=True)]
    return coefficients


def _at_pole(x: Expr, angle: Expr) -> Expr:
    return logical_and(less_equal(x, number(0.0, x)), is_zero(angle))


def _power(x: Expr, exponent: int) -> Expr:
    result = x
    for _ in range(exponent - 1):
        result = mul(result, x)
    return result


def _polygamma_above(x: Expr, order: int) -> Expr:
    """For x >= 1/2: order! (-1)^(order + 1) times the sum of 1 / (x + i)^(order + 1) over all i >= 0."""
    small, y = _moved_up(x)
    one, factorial = number(1.0, x), python_math.factorial(order)
    total: Expr = number(0.0, x)
    for step in range(SHIFT):
        total = add(total, div(one, _power(add(x, number(float(step), x)), order + 1)))
    inverse = div(one, y)
    terms = [
        b * python_math.factorial(order + 2 * k - 1) / (python_math.factorial(2 * k) * factorial)
        for k, b in enumerate(BERNOULLI, start=1)
    ]
    series = fma(mul(inverse, inverse), polynomial(mul(inverse, inverse), terms), number(1 / order, x))
    tail = mul(fma(inverse, number(0.5, x), series), _power(inverse, order))
    sign = 1.0 if order % 2 else -1.0
    return mul(add(tail, select(small, total, number(0.0, x))), number(sign * factorial, x))
