"""Random small programs over all kinds of ops: what fusion and lowering are tested on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Function, Region
from tenfoldc.ir.types import TensorType

SIZES = (0, 1, 2, 3, 5, 8)
MAX_ELEMENTS = 120


class RandomProgram:
    """A function of `operations` random operations on tensors of `dtype`, the same for one seed."""

    def __init__(self, seed: int, operations: int, dtype: DType = dtypes.f32) -> None:
        self.dtype = dtype
        self.random = np.random.default_rng(seed)
        self.builder = Builder()
        self.parameters = [self.builder.parameter(TensorType(self.dtype, self.shape())) for _ in range(3)]
        self.values: list[Var] = list(self.parameters)
        for _ in range(operations):
            self.values.append(self.step())
        count = int(self.random.integers(1, 4))
        chosen = [self.values[-1], *(self.pick(self.values) for _ in range(count))]
        self.function = Function("main", self.builder.region(self.parameters, chosen))
        self.arguments = [self.random.uniform(-2, 2, p.sizes).astype(dtype.numpy) for p in self.parameters]

    def pick(self, choices: Sequence[Var]) -> Var:
        return choices[int(self.random.integers(len(choices)))]

    def recent(self) -> Var:
        """A value, preferably one computed lately."""
        place = len(self.values) - 1 - int(self.random.exponential(2.0))
        return self.values[max(place, 0)]

    def shape(self) -> tuple[int, ...]:
        sizes = self.random.choice(SIZES, p=(0.03, 0.12, 0.2, 0.25, 0.25, 0.15), size=int(self.random.integers(0, 4)))
        shape = tuple(int(size) for size in sizes)
        return shape if math.prod(shape) <= MAX_ELEMENTS else shape[:2]

    def axes(self, rank: int) -> list[int]:
        return [axis for axis in range(rank) if self.random.random() < 0.5]

    def like(self, x: Var) -> Var:
        """Another value of the shape of `x`."""
        same = [value for value in self.values if value.shape == x.shape]
        if len(same) > 1 and self.random.random() < 0.7:
            return self.pick(same)
        small = [value for value in self.values if fits(value, x)]
        value = self.pick(small) if small else ops.constant(x.builder, 0.5, self.dtype)
        return ops.broadcast_in_dim(value, x.shape, range(x.rank - value.rank, x.rank))

    def step(self) -> Var:
        """One more operation, on recent values."""
        steps: list[Callable[[], Var]] = [
            *[self.unary] * 4,
            *[self.binary] * 5,
            *[self.reduction] * 4,
            *[self.back] * 3,
            *[self.movement] * 4,
            self.product,
            self.update,
            self.branch,
            self.loop,
        ]
        return steps[int(self.random.integers(len(steps)))]()

    def unary(self) -> Var:
        functions = [ops.negate, ops.tanh, ops.exponential, ops.abs_, ops.logistic, ops.square, ops.floor]
        x = functions[int(self.random.integers(len(functions)))](self.recent())
        return ops.minimum(x, ops.full_like(x, 4.0))

    def binary(self) -> Var:
        x = self.recent()
        functions = [ops.add, ops.subtract, ops.multiply, ops.maximum]
        y = functions[int(self.random.integers(len(functions)))](x, self.like(x))
        return ops.clamp(ops.full_like(y, -8.0), y, ops.full_like(y, 8.0))

    def reduction(self) -> Var:
        x = self.recent()
        functions = [ops.reduce_sum, ops.reduce_max, ops.reduce_min]
        y = functions[int(self.random.integers(len(functions)))](x, self.axes(x.rank))
        return ops.clamp(ops.full_like(y, -8.0), y, ops.full_like(y, 8.0))

    def back(self) -> Var:
        """A reduction of a value combined with the value again, as softmax does."""
        x = self.recent()
        axes = self.axes(x.rank)
        kept = [axis for axis in range(x.rank) if axis not in axes]
        total = ops.reduce_max(x, axes) if self.random.random() < 0.5 else ops.reduce_sum(ops.tanh(x), axes)
        y = ops.subtract(x, ops.broadcast_in_dim(total, x.shape, kept))
        return ops.clamp(ops.full_like(y, -8.0), y, ops.full_like(y, 8.0))

    def movement(self) -> Var:
        x = self.recent()
        sizes = x.sizes
        match int(self.random.integers(7)):
            case 0:
                return ops.transpose(x, [int(axis) for axis in self.random.permutation(x.rank)])
            case 1:
                merged = (math.prod(sizes),) if self.random.random() < 0.5 else (*sizes[::-1], 1)
                return ops.reshape(x, merged)
            case 2:
                return ops.reverse(x, self.axes(x.rank))
            case 3:
                starts = [int(self.random.integers(size + 1)) for size in sizes]
                strides = [int(self.random.integers(1, 3)) for _ in sizes]
                return ops.slice_(x, starts, sizes, strides)
            case 4:
                low, high = ([int(self.random.integers(0, 3)) for _ in sizes] for _ in range(2))
                grown = math.prod(size + a + b for size, a, b in zip(sizes, low, high, strict=True))
                zero = ops.constant(x.builder, 0.25, self.dtype)
                return ops.pad(x, zero, low, high) if grown <= 2 * MAX_ELEMENTS else x
            case 5 if x.rank and 2 * math.prod(sizes) <= 2 * MAX_ELEMENTS:
                return ops.concatenate([x, self.like(x)], int(self.random.integers(x.rank)))
            case _:
                return ops.select(ops.compare(x, self.like(x), ops.Direction.LT), x, ops.negate(x))

    def product(self) -> Var:
        x = self.recent()
        if x.rank < 2 or math.prod(x.sizes) * x.sizes[-1] > 400:
            return ops.square(x)
        y = self.like(x)
        numbers = {"lhs_contracting": [x.rank - 1], "rhs_contracting": [x.rank - 1]}
        batch = list(range(x.rank - 2))
        z = ops.dot_general(x, y, **numbers, lhs_batching=batch, rhs_batching=batch)
        return ops.tanh(z)

    def update(self) -> Var:
        x = self.recent()
        sizes = [int(self.random.integers(size + 1)) for size in x.sizes]
        part = ops.slice_(self.like(x), [0] * x.rank, sizes)
        starts = [ops.constant(x.builder, int(self.random.integers(-1, 4)), dtypes.i32) for _ in sizes]
        return ops.dynamic_update_slice(x, part, starts)

    def branch(self) -> Var:
        x, y = self.recent(), self.recent()
        flag = ops.compare(self.scalar(x), self.scalar(y), ops.Direction.LE)
        then, otherwise = (region_of(x, function) for function in (ops.tanh, ops.negate))
        return ops.if_(flag, then, otherwise)[0]

    def scalar(self, x: Var) -> Var:
        return ops.reduce_sum(x, range(x.rank))

    def loop(self) -> Var:
        x = self.recent()
        y = self.like(x)
        turns = int(self.random.integers(0, 4))
        counter = ops.constant(x.builder, 0, dtypes.i32)
        types = [counter.type, x.type, y.type]
        condition = build_region(
            types,
            lambda i, a, b: (ops.compare(i, ops.constant(i.builder, turns, dtypes.i32), ops.Direction.LT),),
            like=x.builder,
        )

        def body(i: Var, a: Var, b: Var) -> Sequence[Var]:
            one = ops.constant(i.builder, 1, dtypes.i32)
            mixed = ops.multiply(ops.tanh(a), b)
            return ops.add(i, one), ops.subtract(mixed, a), a if turns % 2 else b

        return ops.while_([counter, x, y], condition, build_region(types, body, like=x.builder))[1]


def region_of(x: Var, function: Callable[[Var], Var]) -> Region:
    """A branch that computes `function` of a value from outside."""
    builder = Builder()
    return builder.region((), [function(builder.var(x.value))])


def fits(value: Var, x: Var) -> bool:
    """Whether `value` broadcasts to the last axes of `x`."""
    if value.rank >= x.rank:
        return False
    return value.shape == x.shape[x.rank - value.rank :]
