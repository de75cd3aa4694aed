"""Programs before and after simplification: building them, running both, and arrays of awkward numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from tenfold_rt.dtypes import DType
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Function, Module, walk
from tenfoldc.ir.types import TensorType
from tenfoldc.ir.verifier import verify
from tenfoldc.simplify import simplify
from tenfoldc.widen import widen

Array = NDArray[Any]
Body = Callable[..., Var | Sequence[Var]]


def module_of(types: Sequence[TensorType], body: Body) -> Module:
    """A module whose `main` computes `body` on parameters of `types`."""
    builder = Builder()
    parameters = [builder.parameter(type_) for type_ in types]
    results = body(*parameters) if parameters else body(builder)
    results = [results] if isinstance(results, Var) else results
    return Module({"main": Function("main", builder.region(parameters, results))})


def simplified(module: Module) -> Module:
    """A module of the simplified `main` alone, which keeps the rules of the tensor IR."""
    result = Module({"main": simplify(widen(module), "main")})
    verify(result)
    return result


def ops_of(module: Module) -> list[str]:
    """The ops of `main` and of its regions, constants left out, in order."""
    names = (operation.op.mnemonic for operation in walk(module["main"].body))
    return [name for name in names if name != "constant"]


def assert_same_bits(before: Module, after: Module, arrays: Sequence[Array]) -> None:
    pairs = zip(interpret(before, arrays), interpret(after, arrays), strict=True)
    for number, (expected, given) in enumerate(pairs):
        assert (given.dtype, given.shape) == (expected.dtype, expected.shape)
        assert given.tobytes() == expected.tobytes(), f"result {number}: {given} is not {expected}"


def awkward(type_: TensorType, rng: np.random.Generator) -> Array:
    """Random numbers, many of them zeros of both signs, NaN, infinities, extremes and small integers."""
    numbers = rng.choice(np.array(_special(type_.dtype), type_.dtype.numpy), type_.sizes)
    return np.asarray(np.where(rng.random(type_.sizes) < 0.7, numbers, _any_bits(type_, rng)), type_.dtype.numpy)


def _special(dtype: DType) -> list[Any]:
    if dtype.is_bool:
        return [False, True]
    if dtype.is_integer:
        limits = np.iinfo(dtype.numpy.name)
        return [limits.min, limits.min + 1, 0, 1, 2, 3, limits.max // 2, limits.max - 1, limits.max]
    limits = ml_dtypes.finfo(dtype.numpy)
    finite = [0.0, 1.0, 2.5, 3.0, 1e-3, float(limits.max), float(limits.tiny), float(limits.smallest_subnormal)]
    return [sign * number for number in (*finite, np.inf, np.nan) for sign in (1, -1)]


def _any_bits(type_: TensorType, rng: np.random.Generator) -> Array:
    if type_.dtype.is_bool:
        return rng.integers(0, 2, type_.sizes).astype(bool)
    if type_.dtype.is_float:
        return rng.normal(size=type_.sizes).astype(type_.dtype.numpy)
    limits = np.iinfo(type_.dtype.numpy.name)
    return rng.integers(limits.min, limits.max, type_.sizes, type_.dtype.numpy, endpoint=True)
