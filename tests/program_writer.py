"""A random program under construction: what the steps that extend it share.

Each operation is evaluated as it is added, so that the next can be chosen by what the values are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Function, Module, Region, Value
from tenfoldc.ir.types import TensorType

Array: TypeAlias = NDArray[Any]
Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

SIZES = (0, 1, 2, 2, 3, 3, 5, 7, 9, 17, 33)
DTYPES = (
    dtypes.f32,
    dtypes.f32,
    dtypes.f32,
    dtypes.f64,
    dtypes.i32,
    dtypes.i64,
    dtypes.u8,
    dtypes.u32,
    dtypes.i8,
    dtypes.bool_,
)
LARGEST_TENSOR = 600
LARGEST_FLOAT = 64.0


class Writer:
    """A program under construction, with the array that each of its values is.

    `pool` holds the values to draw from; `exact` those that have no rounding error.
    """

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.builder = Builder()
        self.parameters: list[Var] = []
        self.inputs: list[Array] = []
        self.pool: list[Var] = []
        self.exact: set[Value] = set()
        self.arrays: dict[Value, Array] = {}
        self.functions: dict[str, Function] = {}
        self.evaluated = 0

    def parameter(self, type_: TensorType | None = None) -> Var:
        """One more parameter, of any type where none is given."""
        type_ = self.draw(types()) if type_ is None else type_
        var = self.builder.parameter(type_)
        array = self.array(type_)
        self.parameters.append(var)
        self.inputs.append(array)
        self.arrays[var.value] = array
        self.exact.add(var.value)
        self.pool.append(var)
        return var

    def array(self, type_: TensorType) -> Array:
        """Small numbers; floats are quarters, so that sums of them are exact."""
        dtype = type_.dtype
        if dtype.is_bool:
            return np.asarray(self.random.integers(0, 2, type_.sizes), bool)
        low = 0 if dtype.is_unsigned else -12
        numbers = self.random.integers(low, 13, type_.sizes)
        return np.asarray(numbers / 4 if dtype.is_float else numbers, dtype.numpy)

    def constant(self, type_: TensorType) -> Var:
        """A constant, or a parameter: then nothing that depends on it can be computed beforehand."""
        if self.random.integers(2):
            return self.parameter(type_)
        return self.add(ops.constant(self.builder, self.array(type_)), exact=True)

    def add(self, var: Var, *, exact: bool) -> Var:
        """Evaluate what was added, keep floats moderate, and put `var` into the pool."""
        self.evaluate()
        if var.dtype.is_float and np.abs(self.arrays[var.value]).max(initial=0) > LARGEST_FLOAT:
            var, exact = ops.tanh(var), False
            self.evaluate()
        if exact or not var.dtype.is_float:
            self.exact.add(var.value)
        self.pool.append(var)
        return var

    def evaluate(self) -> None:
        fresh = tuple(self.builder.operations[self.evaluated :])
        results = tuple(result for operation in fresh for result in operation.results)
        region, module = Region((), fresh, results), Module(self.functions, ())
        self.arrays.update(zip(results, interpret_region(region, (), module=module, outside=self.arrays), strict=True))
        self.evaluated += len(fresh)

    def is_exact(self, *operands: Var) -> bool:
        return all(operand.value in self.exact for operand in operands)

    def pick(self, accept: Callable[[Var], bool] = lambda _: True) -> Var | None:
        """A value from the pool that `accept` takes, the newest most often; None if there is none."""
        choices = [var for var in reversed(self.pool) if accept(var)]
        return self.draw(st.sampled_from(choices)) if choices else None

    def like(self, var: Var, dtype: DType | None = None) -> Var:
        """A value of the shape of `var`, from the pool or else a constant."""
        type_ = var.type if dtype is None else var.type.with_dtype(dtype)
        return self.pick(lambda other: other.type == type_ and other is not var) or self.constant(type_)


def types(kinds: Sequence[DType] = DTYPES) -> st.SearchStrategy[TensorType]:
    """Types of rank 0 to 3 with odd sizes, not too large."""
    shapes = st.lists(st.sampled_from(SIZES), max_size=3).filter(lambda shape: np.prod(shape) <= LARGEST_TENSOR)
    return st.builds(lambda dtype, shape: TensorType(dtype, tuple(shape)), st.sampled_from(kinds), shapes)


Step: TypeAlias = Callable[[Draw, Writer], None]


def is_float(var: Var) -> bool:
    return var.dtype.is_float


def is_integer(var: Var) -> bool:
    return var.dtype.is_integer


def has_axes(var: Var) -> bool:
    return var.rank > 0


def axis_of(draw: Draw, var: Var) -> int:
    return draw(st.integers(0, var.rank - 1))
