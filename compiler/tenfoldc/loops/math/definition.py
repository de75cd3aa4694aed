"""Defining scalar functions: a rule over expressions becomes one `loops.ir.Function` for each element type.

Also the few forms that all of them are made of: polynomials, and floats taken apart and put together as integers.
Everything is straight-line code over primitives (no branch, call or table), so that any loop around it vectorises.
Rounding to an integer adds a large number and takes it away again: that is exact, needs no instruction that an old
target lacks, and leaves the integer in the low bits of the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops.ir import Apply, Call, Constant, Expr, Function, Local, Primitive, RareCase
from tenfoldc.loops.scalar import (
    add,
    apply,
    bitcast,
    convert,
    div,
    equal,
    fma,
    greater,
    less,
    logical_or,
    mul,
    product_error,
    select,
    sub,
)

Double = tuple[Expr, Expr]
"""An unevaluated sum of a number and a rest that is far below it."""

INFINITY = float("inf")
NAN = float("nan")


Rule = Callable[..., Expr]
"""Gives an expression for a function's value of its operands."""


class ScalarFunction:
    """A mathematical function of floats, called on expressions: `exp(x)` is a `Call` of `exp.f32` or `exp.f64`.

    `rare` gives, by dtype, when another rule holds than `rule`, and that rule.
    """

    def __init__(self, name: str, rule: Rule, rare: Mapping[DType, tuple[Rule, Rule]] | None = None) -> None:
        self.name = name
        self.arity = rule.__code__.co_argcount
        self.__doc__ = rule.__doc__
        self._rule = rule
        self._rare = rare or {}
        self._definitions: dict[DType, Function] = {}

    def __call__(self, *operands: Expr) -> Expr:
        return Call(self.definition(operands[0].dtype), operands)

    def definition(self, dtype: DType) -> Function:
        """The one function of this name for operands of `dtype`, f32 or f64."""
        if dtype not in self._definitions:
            function = self._written(f"{self.name}.{dtype.name}", self._rule, dtype)
            if dtype in self._rare:
                holds, result = self._rare[dtype]
                condition = self._written(f"{self.name}.is_rare.{dtype.name}", holds, dtype)
                case = RareCase(condition, self._written(f"{self.name}.rare.{dtype.name}", result, dtype))
                function = replace(function, rare=case)
            self._definitions[dtype] = function
        return self._definitions[dtype]

    def _written(self, name: str, rule: Rule, dtype: DType) -> Function:
        parameters = tuple(Local(f"x{number}", dtype) for number in range(self.arity))
        return Function(name, parameters, rule(*parameters))


def scalar_function(
    name: str, rare: Mapping[DType, tuple[Rule, Rule]] | None = None
) -> Callable[[Rule], ScalarFunction]:
    """Make a `ScalarFunction` of a rule that gives the result for operands of one dtype."""
    return lambda rule: ScalarFunction(name, rule, rare)


def through_f64(function: ScalarFunction, *operands: Expr) -> Expr:
    """`function` of f32 operands computed in f64 and rounded: right to little more than half an ulp."""
    return convert(function(*(convert(operand, dtypes.f64) for operand in operands)), operands[0].dtype)


@frozen
class Format:
    """How a float is laid out in bits.  `rounder` is 1.5 * 2^mantissa: adding it rounds to a whole number."""

    integer: DType
    mantissa: int
    bias: int
    smallest_normal: float

    @property
    def rounder(self) -> float:
        return 1.5 * 2.0**self.mantissa

    @property
    def rounder_bits(self) -> int:
        return ((self.bias + self.mantissa) << self.mantissa) | (1 << (self.mantissa - 1))

    @property
    def one_bits(self) -> int:
        return self.bias << self.mantissa


_FORMATS = {
    dtypes.f32: Format(dtypes.u32, 23, 127, 2.0**-126),
    dtypes.f64: Format(dtypes.u64, 52, 1023, 2.0**-1022),
}


def format_of(x: Expr) -> Format:
    return _FORMATS[x.dtype]


def number(value: float, like: Expr) -> Constant:
    """A constant of the dtype of `like`."""
    return Constant(value, like.dtype)


def integer(value: int, like: Expr) -> Constant:
    """A constant of the unsigned integer type as wide as the float `like`."""
    return Constant(value, format_of(like).integer)


def bits_of(x: Expr) -> Expr:
    return bitcast(x, format_of(x).integer)


def float_of(bits: Expr, like: Expr) -> Expr:
    return bitcast(bits, like.dtype)


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """sum over k of coefficients[k] * x^k, in pairs of pairs (Estrin, 1960): a chain of log n steps, not n.

    The last of an odd number of terms is added to the one before it, which may save a power of x.
    """
    terms: list[Expr] = [number(coefficient, x) for coefficient in coefficients]
    power = x
    while len(terms) > 1:
        if len(terms) % 2:
            last = terms.pop()
            terms[-1] = fma(last, power, terms[-1])
        terms = [fma(high, power, low) for low, high in zip(terms[::2], terms[1::2], strict=True)]
        power = mul(power, power)
    return terms[0]


def horner(x: Expr, coefficients: Sequence[float]) -> Expr:
    """`polynomial` by Horner's rule, whose error is smaller where terms of high powers are large."""
    result: Expr = number(coefficients[-1], x)
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, number(coefficient, x))
    return result


def round_with_bits(x: Expr) -> tuple[Expr, Expr]:
    """The nearest whole number, as a float and as the low bits of an integer; for |x| < 2^(mantissa - 1)."""
    rounder = number(format_of(x).rounder, x)
    shifted = add(x, rounder)
    return sub(shifted, rounder), bits_of(shifted)


def round_product(x: Expr, factor: float, biases: int = 2) -> tuple[Expr, Expr]:
    """The whole number n nearest to x * factor, as a float, and an integer with n + `biases` bias in its low bits."""
    form = format_of(x)
    rounder = number(form.rounder + biases * form.bias, x)
    shifted = fma(x, number(factor, x), rounder)
    return sub(shifted, rounder), bits_of(shifted)


def power_of_two(biased: Expr, like: Expr) -> tuple[Expr, Expr]:
    """2^n and half of it where both are normal numbers, for an integer with n + bias in its low bits."""
    form = format_of(like)
    bits = shift_left(biased, form.mantissa)
    return float_of(bits, like), float_of(sub(bits, integer(1 << form.mantissa, like)), like)


def powers_of_two(biased: Expr, like: Expr) -> tuple[Expr, Expr]:
    """Two normal numbers whose product is 2^n, for an integer with n + 2 bias in its low bits."""
    form = format_of(like)
    both = shift_left(biased, form.mantissa)
    exponents = integer(2**form.integer.bits - 2**form.mantissa, like)
    first = apply(Primitive.AND, shift_left(biased, form.mantissa - 1), exponents)
    return float_of(first, like), float_of(sub(both, first), like)


def whole_to_float(whole: Expr, like: Expr, bias: int = 0) -> Expr:
    """An unsigned integer below 2^(mantissa - 1), less a bias, as a float."""
    form = format_of(like)
    return sub(float_of(add(whole, integer(form.rounder_bits, like)), like), number(form.rounder + bias, like))


def at_least(x: Expr, low: float) -> Expr:
    """The larger of two numbers; NaN stays NaN."""
    return select(greater(number(low, x), x), number(low, x), x)


def at_most(x: Expr, high: float) -> Expr:
    """The smaller of two numbers; NaN stays NaN."""
    return select(less(number(high, x), x), number(high, x), x)


def bounded(x: Expr, low: float, high: float) -> Expr:
    """`x` kept between two numbers; NaN stays NaN."""
    return at_most(at_least(x, low), high)


def is_nan(x: Expr) -> Expr:
    return apply(Primitive.NE, x, x)


def is_either_nan(x: Expr, y: Expr) -> Expr:
    return logical_or(is_nan(x), is_nan(y))


def is_zero(x: Expr) -> Expr:
    return equal(x, number(0.0, x))


def copysign(x: Expr, sign: Expr) -> Expr:
    return apply(Primitive.COPYSIGN, x, sign)


def with_sign(magnitude: Expr, sign: Expr) -> Expr:
    """`copysign` of a number that is not negative."""
    bit = integer(1 << (format_of(sign).integer.bits - 1), sign)
    return float_of(apply(Primitive.OR, bits_of(magnitude), apply(Primitive.AND, bits_of(sign), bit)), sign)


def square_root(x: Expr) -> Expr:
    return apply(Primitive.SQRT, x)


def exclusive_or(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.XOR, x, y)


def shift_left(x: Expr, places: int) -> Expr:
    return Apply(Primitive.SHL, (x, Constant(places, x.dtype)), x.dtype)


def shift_right(x: Expr, places: int) -> Expr:
    return Apply(Primitive.SHR, (x, Constant(places, x.dtype)), x.dtype)


def two_sum(x: Expr, y: Expr) -> tuple[Expr, Expr]:
    """x + y and its rounding error (Knuth)."""
    total = add(x, y)
    rest = sub(total, x)
    return total, add(sub(x, sub(total, rest)), sub(y, rest))


def fast_two_sum(x: Expr, y: Expr) -> tuple[Expr, Expr]:
    """x + y and its rounding error, for |x| >= |y| (Dekker)."""
    total = add(x, y)
    return total, sub(y, sub(total, x))


def two_product(x: Expr, y: Expr) -> tuple[Expr, Expr]:
    """x * y and its rounding error."""
    product = mul(x, y)
    return product, product_error(x, y, product)


def quotient(numerator: Double, denominator: Double) -> Double:
    """The quotient of two sums, each a number and a rest far below it, as another."""
    inverse = div(number(1.0, denominator[0]), denominator[0])
    high = mul(numerator[0], inverse)
    rest = sub(sub(numerator[1], mul(high, denominator[1])), product_error(high, denominator[0], numerator[0]))
    return high, mul(rest, inverse)
