"""Writes `docs/accuracy.md`: the largest error found of each mathematical function, against mpmath.

    python docs/accuracy_page.py

Points are drawn with a fixed seed and evaluated as the loop IR says, which native code equals bit for bit where it
fuses multiplication and addition; a test compares the page with what this gives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.loops import math
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import Call

PAGE = Path(__file__).with_name("accuracy.md")
POINTS = 400
Array = NDArray[Any]
Sampler = Callable[[np.random.Generator, DType], Array]

PRODUCTS = """
## Products of matrices

Sums of products are added up in f32, for f16 and bf16 too, and in f64 for f64; the error is that of the additions.

Processors with AMX multiply f32 in three parts of bf16, which hold its 24 bits exactly. Of the nine products of parts
the six largest are added; the others are below 2^-24 of the whole. Partial sums of 32 products begin at zero, and so
do those of each 512, so that there are fewer roundings than by vectors: in tests, with an emulation that has the bits
of AMX, the root of the mean square error is below that of fused multiply-adds, for random numbers of both signs and
for positive ones. Where a number that is not zero is below 2^-98 or above 2^126, or two of them have a product below
2^-98 or one whose sum might overflow, and where one is infinite or NaN, the block of the product is computed by fused
multiply-adds, with their bits. Numbers that are bf16 already are multiplied as they are: subnormal ones, and sums
that are subnormal, then count as zero. `precision="highest"` never uses parts.

## Convolutions

Windows of 3 by 3 over many channels, and the gradients for such kernels, take 16 multiplications instead of 36 by
minimal filtering (S. Winograd; A. Lavin and S. Gray, 2015, for two outputs along each axis), whose transforms add,
subtract and halve. In tests the errors against f64 are no more than twice those of plain sums, and below PyTorch's. An
infinite input is subtracted from others on its way: outputs that it meets may be NaN where plain sums give an infinity.
"""

HEAD = """\
# Accuracy

The largest error found of each function, in units of the last place of the exact result (0.5 is the best there is),
over {points} random points of each range, against mpmath. "All" is every exponent and both signs, subnormal numbers
included. Between negative whole numbers lgamma and digamma of f64 are right to a few ulps of the larger of their
reflection's terms, which is less of a result near a zero. Zeros keep their sign, infinities and NaN give what C's
library gives.

| function | range | f32 | at | f64 | at |
|---|---|---:|---|---:|---|
"""


def _between(low: float, high: float) -> Sampler:
    return lambda rng, dtype: rng.uniform(low, high, POINTS)


def _exponents(low: int, high: int) -> Sampler:
    """Numbers of both signs and of each exponent alike."""

    def sample(rng: np.random.Generator, dtype: DType) -> Array:
        sizes = np.ldexp(rng.uniform(1, 2, POINTS), rng.integers(low, high, POINTS))
        return np.copysign(sizes, rng.uniform(-1, 1, POINTS))

    return sample


def _all(rng: np.random.Generator, dtype: DType) -> Array:
    return _exponents(-149, 127)(rng, dtype) if dtype == dtypes.f32 else _exponents(-1074, 1023)(rng, dtype)


def _positive(rng: np.random.Generator, dtype: DType) -> Array:
    return np.abs(_all(rng, dtype))


def _reach(f32: tuple[float, float], f64: tuple[float, float]) -> Sampler:
    return lambda rng, dtype: rng.uniform(*(f32 if dtype == dtypes.f32 else f64), POINTS)


def _logistic(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _turned(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`function` of an angle, with digits enough for the largest."""

    def exact(x: Any) -> Any:
        with mpmath.workdps(400):
            return function(x)

    return exact


_SMALL = "±2^-40 to 1", _exponents(-40, 0)
_GROWTH = _reach((-88, 88.7), (-708, 709.7))
CASES: list[tuple[math.ScalarFunction, Callable[[Any], Any], list[tuple[str, Sampler]]]] = [
    (math.exp, mpmath.exp, [("to overflow", _GROWTH), _SMALL]),
    (math.expm1, mpmath.expm1, [("to overflow", _GROWTH), _SMALL]),
    (math.log, mpmath.log, [("positive", _positive), ("0.5 to 2", _between(0.5, 2))]),
    (math.log1p, mpmath.log1p, [("positive", _positive), ("-1 to 1", _between(-1, 1)), _SMALL]),
    (math.logistic, _logistic, [("to underflow", _reach((-87, 87), (-700, 700))), ("-5 to 5", _between(-5, 5))]),
    (math.tanh, mpmath.tanh, [("-20 to 20", _between(-20, 20)), _SMALL]),
    (math.sinh, mpmath.sinh, [("to overflow", _reach((-89, 89), (-710, 710))), _SMALL]),
    (math.cosh, mpmath.cosh, [("to overflow", _reach((-89, 89), (-710, 710))), _SMALL]),
    (math.asinh, mpmath.asinh, [("all", _all), _SMALL]),
    (math.acosh, mpmath.acosh, [("1 to 9", _between(1, 9))]),
    (math.atanh, mpmath.atanh, [("-1 to 1", _between(-1, 1)), _SMALL]),
    (math.sin, _turned(mpmath.sin), [("-10 to 10", _between(-10, 10)), ("all", _all)]),
    (math.cos, _turned(mpmath.cos), [("-10 to 10", _between(-10, 10)), ("all", _all)]),
    (math.tan, _turned(mpmath.tan), [("-10 to 10", _between(-10, 10)), ("all", _all)]),
    (math.asin, mpmath.asin, [("-1 to 1", _between(-1, 1)), _SMALL]),
    (math.acos, mpmath.acos, [("-1 to 1", _between(-1, 1)), _SMALL]),
    (math.atan, mpmath.atan, [("all", _all), ("-2 to 2", _between(-2, 2))]),
    (math.cbrt, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), [("all", _all)]),
    (math.erf, mpmath.erf, [("-6 to 6", _between(-6, 6)), _SMALL]),
    (math.erfc, mpmath.erfc, [("-4 to underflow", _reach((-4, 9), (-4, 26)))]),
    (math.erf_inv, mpmath.erfinv, [("-1 to 1", _between(-1, 1))]),
    (
        math.lgamma,
        lambda x: mpmath.log(abs(mpmath.gamma(x))),
        [("0 to 8", _between(0, 8)), ("8 to 100", _between(8, 100))],
    ),
    (math.digamma, mpmath.digamma, [("0 to 8", _between(0, 8)), ("8 to 100", _between(8, 100))]),
]


def worst(
    function: math.ScalarFunction, exact: Callable[[Any], Any], sampler: Sampler, dtype: DType
) -> tuple[float, float]:
    """The largest error in units of the last place, and the argument that has it."""
    numpy = dtype.numpy
    x = sampler(np.random.default_rng(20), dtype).astype(numpy)
    definition = function.definition(dtype)
    found = evaluate(Call(definition, definition.parameters), {definition.parameters[0]: x})
    errors: list[float] = []
    with mpmath.workdps(50):
        for argument, value in zip(x, found, strict=True):
            reference = exact(mpmath.mpf(float(argument)))
            with np.errstate(over="ignore"):
                unit = np.spacing(np.abs(np.asarray(float(reference)).astype(numpy)))
            same = np.isinf(value) and not np.isfinite(unit)
            errors.append(0.0 if same else float(abs(float(value) - reference) / float(unit)))
    place = int(np.argmax(errors))
    return errors[place], float(x[place])


def rows() -> list[tuple[str, str, list[tuple[float, float]]]]:
    """Each function and range, with the worst error and its place for f32 and f64."""
    return [
        (function.name, name, [worst(function, exact, sampler, dtype) for dtype in (dtypes.f32, dtypes.f64)])
        for function, exact, ranges in CASES
        for name, sampler in ranges
    ]


def page(table: list[tuple[str, str, list[tuple[float, float]]]]) -> str:
    """The text of the page."""
    lines = [
        f"| {function} | {name} | " + " | ".join(f"{error:.2f} | {place:.4g}" for error, place in found) + " |"
        for function, name, found in table
    ]
    return HEAD.format(points=POINTS) + "\n".join(lines) + "\n" + PRODUCTS


if __name__ == "__main__":
    PAGE.write_text(page(rows()))
