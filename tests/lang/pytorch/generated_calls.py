"""Calls that mean the same to PyTorch and to Tenfold: texts such as `t.sum(x, 1)`, and the tensors that they are of.

`t` is either module.  The texts are made of families: each function of a family in each of its forms, for tensors of
several element types and shapes.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

F32, F64, I64, I32, U8, BOOL = "float32", "float64", "int64", "int32", "uint8", "bool"
DTYPES = (F32, F64, I64, U8, BOOL)
NUMBERS = (F32, F64, I64)
FLOATS = (F32, F64)
SHAPES = ((3, 4), (), (2, 0))


@dataclass(frozen=True)
class Operand:
    """A tensor: its element type and shape, and what its elements are like."""

    dtype: str
    shape: tuple[int, ...]
    kind: str = "distinct"

    def array(self, place: int) -> np.ndarray[Any, Any]:
        """Its elements, which depend on all this and on its `place` among the operands alone."""
        rng = np.random.default_rng(zlib.crc32(repr((self, place)).encode()))
        size = int(np.prod(self.shape))
        if self.kind.startswith("below"):
            values = rng.integers(0, int(self.kind[5:]), size)
        elif self.dtype == BOOL:
            values = rng.random(size) < 0.5
        elif self.dtype in FLOATS:
            values = rng.permutation((np.arange(size) + rng.random(size) * 0.8 + 0.1) / max(1, size))
            values = {"unit": values * 0.9, "positive": values + 0.2, "large": values + 1.1}.get(
                self.kind, values * 4 - 2.0
            )
            values = np.sort(values) if self.kind == "sorted" else values
        else:
            values = rng.permutation(np.arange(1, size + 1)) - (0 if self.dtype == U8 or self.kind != "distinct" else 4)
            values = np.where(values == 0, 13, values)
        return np.asarray(values, self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Call:
    """A text over `t` and the operands `x`, `y` and `z`; with `gradient` its derivatives are compared too."""

    text: str
    operands: tuple[Operand, ...] = ()
    gradient: bool = False

    def __str__(self) -> str:
        shapes = " ".join(f"{o.dtype}{list(o.shape)}" for o in self.operands)
        return f"{self.text} of {shapes}".replace("::", ":")


def _of_one(
    texts: Iterable[str],
    dtypes: Sequence[str] = DTYPES,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
    kind: str = "distinct",
    gradient: bool = False,
) -> Iterator[Call]:
    for text, dtype, shape in itertools.product(texts, dtypes, shapes):
        call = f"t.{text}(x)" if text.isidentifier() else text
        yield Call(call, (Operand(dtype, shape, kind),), gradient and dtype in FLOATS)


def _of_two(
    texts: Iterable[str],
    dtypes: Sequence[tuple[str, str]],
    shapes: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    kind: str = "distinct",
    gradient: bool = False,
) -> Iterator[Call]:
    for text, (first, second), (one, other) in itertools.product(texts, dtypes, shapes):
        call = f"t.{text}(x, y)" if text.isidentifier() else text
        operands = Operand(first, one, kind), Operand(second, other, kind)
        yield Call(call, operands, gradient and first in FLOATS and second in FLOATS)


NOT_OF_BOOLS = ["abs", "absolute", "floor", "ceil", "round", "trunc", "fix", "relu"]
ANYWHERE = [
    "neg",
    "negative",
    "sign",
    "sgn",
    "signbit",
    "frac",
    "exp",
    "exp2",
    "expm1",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "arcsinh",
    "atan",
    "arctan",
    "erf",
    "erfc",
    "sigmoid",
    "square",
    "isfinite",
    "isnan",
    "isinf",
    "isposinf",
    "isneginf",
    "isreal",
    "positive",
    "deg2rad",
    "rad2deg",
    "sinc",
    "logical_not",
    "bitwise_not",
    "nan_to_num",
    "reciprocal",
]
UNIT = ["acos", "arccos", "asin", "arcsin", "atanh", "arctanh", "erfinv", "logit"]
POSITIVE = ["log", "log2", "log10", "log1p", "sqrt", "rsqrt", "lgamma", "digamma"]
SMOOTH = [
    "exp",
    "exp2",
    "expm1",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "atan",
    "erf",
    "erfc",
    "sigmoid",
    "square",
    "sinc",
    "reciprocal",
    "abs",
    "frac",
    "deg2rad",
]


def unary() -> Iterator[Call]:
    yield from _of_one(ANYWHERE)
    # Of bools PyTorch refuses these; NumPy and Tenfold do not.
    yield from _of_one(NOT_OF_BOOLS, DTYPES[:-1])
    yield from _of_one(UNIT, FLOATS, kind="unit")
    yield from _of_one(POSITIVE, NUMBERS, kind="positive")
    yield from _of_one(["acosh", "arccosh", "t.polygamma(1, x)", "t.mvlgamma(x, 2)"], FLOATS, kind="large")
    yield from _of_one(["t.logit(x, 0.2)", "t.clamp(x, 0.1)", "t.clamp(x, max=0.3)", "t.clamp(x, -1, 1)"], FLOATS)
    yield from _of_one(["t.clamp(x, 2, 5)", "t.clip(x, min=3)", "t.clamp(x, 1.5)", "t.clamp(x)"], (F32, I64))
    yield from _of_one(["t.round(x, decimals=1)", "t.nan_to_num(x / 0 * 0, 3.0)", "t.nan_to_num(x / 0)"], FLOATS)
    yield from _of_one(SMOOTH, (F64,), ((3, 4),), gradient=True)
    yield from _of_one(UNIT, (F64,), ((3, 4),), kind="unit", gradient=True)
    yield from _of_one(POSITIVE, (F64,), ((3, 4),), kind="positive", gradient=True)


ARITHMETIC = [
    "add",
    "sub",
    "subtract",
    "mul",
    "multiply",
    "div",
    "divide",
    "true_divide",
    "rsub",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
]
COMPARISON = [
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
]
DIVISION = ["floor_divide", "remainder", "fmod"]
BITS = ["bitwise_and", "bitwise_or", "bitwise_xor"]
FLOATING = ["atan2", "arctan2", "hypot", "copysign", "xlogy", "logaddexp", "logaddexp2", "float_power"]
PAIRS = ((F32, F32), (F32, I64), (U8, I64), (F32, F64), (BOOL, I32), (BOOL, BOOL))
TOGETHER = (((3, 4), (3, 4)), ((3, 1), (4,)), ((3, 4), ()))
ALPHA = ["t.add(x, y, alpha=2)", "t.sub(x, y, alpha=3)", "t.add(x, y, alpha=1.5)"]
ROUNDING = [
    "t.div(x, y, rounding_mode='floor')",
    "t.div(x, y, rounding_mode='trunc')",
    "t.div(x, y, rounding_mode='x')",
]


def binary() -> Iterator[Call]:
    yield from _of_two([*ARITHMETIC, *COMPARISON], PAIRS, TOGETHER)
    yield from _of_two([*DIVISION, *ROUNDING, "pow"], PAIRS[:4], TOGETHER, kind="positive")
    yield from _of_two(BITS, ((I64, I64), (U8, I64), (BOOL, BOOL), (F32, I64)), TOGETHER)
    yield from _of_two(FLOATING, ((F32, F32), (F32, F64)), TOGETHER, kind="positive")
    yield from _of_two(["bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm"], ((I64, I64),), TOGETHER, "positive")
    yield from _of_two(ALPHA, ((F32, F32), (I64, I64), (U8, F32)), TOGETHER)
    yield from _of_two(["t.ldexp(x, y)", "t.nextafter(x, y)", "t.heaviside(x, y)"], ((F32, F32),), TOGETHER)
    numbers = ["x {} 2", "x {} 2.5", "3 {} x", "1.5 {} x", "x {} True"]
    texts = [form.format(sign) for form in numbers for sign in ("+", "*", "/", "-")]
    texts += [form.format(sign) for form in numbers[:4] for sign in ("//", "%", "**", "<", "==", ">=")]
    yield from _of_one(texts, (F32, I64, U8), ((3, 4), ()), kind="positive")
    texts = ["t.isclose(x, y)", "t.isclose(x, x + 1, atol=1.5)", "t.lerp(x, y, 0.3)", "t.lerp(x, y, x)"]
    texts += [
        "t.addcmul(x, y, y)",
        "t.addcmul(x, y, x, value=2)",
        "t.addcdiv(x, y, y, value=0.5)",
        "t.where(x > y, 2, y)",
    ]
    texts += ["t.where(x > y, x, y)", "t.where(x > 0, x, 0)", "t.where(x > 0, 1.5, y)", "t.clamp(x, min=y)"]
    texts += ["t.max(x, y)", "t.min(x, y)", "t.equal(x, y)", "t.allclose(x, x)", "t.clamp(x, y, y + 1)"]
    yield from _of_two(texts, ((F32, F32), (I64, I64)), TOGETHER[:2])
    texts = ["add", "mul", "div", "maximum", "atan2", "hypot", "logaddexp", "xlogy", "pow", "fmax", "copysign"]
    texts += ["t.where(x > y, x * y, y)", "t.lerp(x, y, 0.3)", "t.addcdiv(x, y, x)", "t.clamp(x, min=y)", "remainder"]
    yield from _of_two(texts, ((F64, F64),), TOGETHER, kind="positive", gradient=True)


SUMS = ["sum", "prod", "mean", "nansum", "nanmean", "amax", "amin", "any", "all", "logsumexp", "count_nonzero"]
AXES = ["", ", 0", ", dim=1", ", -1", ", (0, 1)", ", dim=[0]", ", 5", ", dim=(0, 0)"]
KEPT = ["", ", keepdim=True"]


def reductions() -> Iterator[Call]:
    shapes = ((3, 4), (2, 3, 4), (), (2, 0))
    for name, axes, keep in itertools.product(SUMS, AXES, KEPT):
        one_axis = name == "prod" and ("(" in axes or "[" in axes)
        no_keep = (name == "count_nonzero" and keep) or (not axes and keep and name not in ("amax", "amin"))
        if one_axis or no_keep or (name == "logsumexp" and not axes):
            continue
        # Of integers PyTorch refuses means; NumPy and Tenfold do not.
        dtypes = FLOATS if name in ("mean", "nanmean") else (F32, I64)
        yield from _of_one([f"t.{name}(x{axes}{keep})"], dtypes, shapes)
    yield from _of_one([f"t.{name}(x)" for name in ("sum", "prod", "any", "all", "count_nonzero")], (U8, BOOL))
    yield from _of_one(
        ["t.sum(x, dtype=t.float64)", "t.mean(x, 0, dtype=t.float64)", "t.prod(x, dtype=t.int32)"], (I64,)
    )
    texts = [f"t.{name}(x{rest})" for name in ("std", "var", "std_mean", "var_mean") for rest in SPREADS]
    yield from _of_one(texts, FLOATS, ((3, 4), (2, 3, 4)))
    chosen = [f"t.{name}(x{axes}{keep})" for name in CHOOSING for axes in AXES[1:4] for keep in KEPT]
    yield from _of_one(chosen, (F32, I64), ((3, 4), (2, 3, 4), ()))
    yield from _of_one([f"t.{name}(x)" for name in (*CHOOSING, "argmax", "argmin")], (F32, I64), ((3, 4), (7,), (2, 0)))
    yield from _of_one(
        ["t.aminmax(x)", "t.aminmax(x, dim=1)", "t.argmax(x, 1)", "t.argmin(x, 0, keepdim=True)"], NUMBERS
    )
    yield from _of_one(NORMS, FLOATS, ((3, 4), (2, 3, 4)))
    yield from _of_one(QUANTILES, FLOATS, ((3, 4), (5,)))
    yield from _of_one(
        ["t.histc(x, 4)", "t.histc(x, bins=5, min=-1, max=1)", "t.cov(x)", "t.corrcoef(x)"], FLOATS, ((3, 4),)
    )
    smooth = [
        "t.sum(x, 1)",
        "t.mean(x)",
        "t.prod(x, 1)",
        "t.std(x)",
        "t.var(x, 0)",
        "t.logsumexp(x, 1)",
        "t.amax(x, 1)",
    ]
    smooth += [
        "t.norm(x)",
        "t.norm(x, 1)",
        "t.norm(x, 3, dim=1)",
        "t.max(x, 1)",
        "t.median(x, 1)",
        "t.quantile(x, 0.3, 1)",
    ]
    yield from _of_one(
        [*smooth, "t.kthvalue(x, 2)", "t.max(x)", "t.cov(x)", "t.nanmean(x)"], (F64,), ((3, 4),), gradient=True
    )


CHOOSING = ["max", "min", "median", "nanmedian", "mode"]
SPREADS = ["", ", 0", ", dim=1, keepdim=True", ", correction=0", ", dim=(0, 1), correction=2", ", False", ", 1, False"]
NORMS = [
    f"t.norm(x{rest})" for rest in ("", ", 1", ", p=3", ", float('inf')", ", 2, 1", ", dim=0, keepdim=True", ", 'fro'")
]
QUANTILES = ["t.quantile(x, 0.4)", "t.quantile(x, 0.25, 0)", "t.quantile(x, 0.5, dim=-1, keepdim=True)"]
QUANTILES += [f"t.quantile(x, 0.3, interpolation='{how}')" for how in ("lower", "higher", "nearest", "midpoint")]
QUANTILES += ["t.nanquantile(x, 0.7)", "t.quantile(x, 1.5)", "t.nanquantile(x, 0.2, 0)"]

ORDERS = ["t.sort(x)", "t.sort(x, 0)", "t.sort(x, dim=-1, descending=True)", "t.argsort(x)", "t.argsort(x, 0, True)"]
ORDERS += ["t.topk(x, 2)", "t.topk(x, 1, 0)", "t.topk(x, 2, largest=False)", "t.topk(x, 9)", "t.msort(x)"]
ORDERS += ["t.kthvalue(x, 2)", "t.kthvalue(x, 1, 0, keepdim=True)", "t.kthvalue(x, 9)", "t.sort(x, 4)"]
RUNNING = [f"t.{name}(x, {dim})" for name in ("cumsum", "cumprod", "cummax", "cummin") for dim in (0, 1, -1)]
RUNNING += ["t.diff(x)", "t.diff(x, 2)", "t.diff(x, dim=0)", "t.diff(x, prepend=x)", "t.trapezoid(x)"]
RUNNING += ["t.trapz(x, dim=0)", "t.cumulative_trapezoid(x, dx=0.5)", "t.cumsum(x, 3)"]


def orders() -> Iterator[Call]:
    yield from _of_one([*ORDERS, *RUNNING], (F32, I64), ((3, 4), (2, 3)))
    yield from _of_one(
        ["t.sort(x)", "t.argsort(x)", "t.cumsum(x, 0)", "t.cummax(x, 0)", "t.topk(x, 1)"], (F32,), ((), (5,))
    )
    yield from _of_one(["t.logcumsumexp(x, 0)", "t.logcumsumexp(x, 1)"], FLOATS, ((3, 4),), gradient=True)
    smooth = ["t.sort(x)", "t.topk(x, 2)", "t.cumsum(x, 1)", "t.cumprod(x, 1)", "t.cummax(x, 1)", "t.diff(x)"]
    yield from _of_one(smooth, (F64,), ((3, 4),), gradient=True)
    texts = ["t.searchsorted(x, y)", "t.searchsorted(x, y, right=True)", "t.bucketize(y, x, out_int32=True)"]
    for text in [*texts, "t.searchsorted(x, y, side='right')"]:
        yield Call(text, (Operand(F32, (7,), "sorted"), Operand(F32, (3, 4))))
    yield from _of_two(["t.isin(x, y)", "t.isin(x, y, invert=True)"], ((I64, I64), (F32, F32)), (((3, 4), (5,)),))
