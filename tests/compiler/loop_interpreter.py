"""Loop IR run in plain Python: every statement as its definition says, every access checked.

    run(statements, memory)

executes statements on `memory`, which holds a `Cells` for every buffer that owns memory.  A load or store outside a
buffer, a load of an element that nothing was stored to, and a name that is not bound are errors.  An expression
used twice within one scope is computed once, when it is first needed, as back ends do.  The turns of a parallel loop
run in reverse, and each begins with nothing in the loop's private memory.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import (
    Apply,
    Axis,
    Buffer,
    Call,
    Carry,
    Constant,
    Expr,
    For,
    If,
    Load,
    Local,
    Mode,
    MultiplyPanels,
    MultiplyStrip,
    Prefetch,
    Primitive,
    ReadTape,
    RequestMatrixUnit,
    Statement,
    Store,
    StreamCopy,
    TransposeTile,
    While,
    WriteTape,
)
from tenfoldc.loops.matrix_unit import part_products

Scope = dict[Expr, Any]


@dataclass
class Cells:
    """The memory of one buffer, flat, and which elements hold a value."""

    values: NDArray[Any]
    written: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.written = np.zeros(self.values.shape, np.bool_)

    @classmethod
    def empty(cls, buffer: Buffer) -> Cells:
        return cls(np.zeros(int(np.prod(buffer.shape)), buffer.dtype.numpy))

    @classmethod
    def holding(cls, array: NDArray[Any]) -> Cells:
        cells = cls(np.array(array).reshape(-1))
        cells.written[:] = True
        return cells


Memory = dict[Buffer, Cells]


def run(statements: Sequence[Statement], memory: Memory) -> None:
    """Execute `statements`."""
    _Interpreter(memory).block(statements, [{}])


def _truncating_quotient(x: int, y: int) -> int:
    quotient = abs(x) // abs(y)
    return quotient if (x < 0) == (y < 0) else -quotient


_ON_INDICES: dict[Primitive, Callable[[int, int], int | bool]] = {
    Primitive.ADD: operator.add,
    Primitive.SUB: operator.sub,
    Primitive.MUL: operator.mul,
    Primitive.DIV: _truncating_quotient,
    Primitive.REM: lambda x, y: x - y * _truncating_quotient(x, y),
    Primitive.MAX: max,
    Primitive.MIN: min,
    Primitive.EQ: operator.eq,
    Primitive.NE: operator.ne,
    Primitive.LT: operator.lt,
    Primitive.LE: operator.le,
    Primitive.GT: operator.gt,
    Primitive.GE: operator.ge,
}


class _Interpreter:
    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.templates: dict[Expr, tuple[Apply | Call, tuple[Local, ...]]] = {}
        self.tapes: dict[Buffer, list[NDArray[Any]]] = {}

    # Statements

    def block(self, statements: Sequence[Statement], scopes: list[Scope]) -> None:
        for statement in statements:
            match statement:
                case Store():
                    self.store(
                        statement.buffer, self.index(statement.index, scopes), self.value(statement.value, scopes)
                    )
                case For():
                    self.loop(statement, scopes)
                case While():
                    self.repeat(statement, scopes)
                case If():
                    taken = self.value(statement.condition, scopes)
                    self.block(statement.then if taken else statement.otherwise, [*scopes, {}])
                case Prefetch():
                    self.index(statement.index, scopes)
                case MultiplyPanels():
                    self.multiply_panels(statement, scopes)
                case RequestMatrixUnit():
                    self.store(statement.granted, (0,), True)
                case MultiplyStrip():
                    self.multiply_strip(statement, scopes)
                case TransposeTile():
                    self.transpose_tile(statement, scopes)
                case StreamCopy():
                    self.stream_copy(statement, scopes)
                case WriteTape():
                    self.write_tape(statement, scopes)
                case ReadTape():
                    self.read_tape(statement, scopes)

    def write_tape(self, statement: WriteTape, scopes: list[Scope]) -> None:
        elements = self.tapes.setdefault(statement.tape, [])
        (place,) = self.index((statement.place,), scopes)
        source = self.memory[statement.source.storage]
        assert source.written.all(), f"{statement.source.name} is taped before it is written"
        elements[place : place + 1] = [source.values.copy()]

    def read_tape(self, statement: ReadTape, scopes: list[Scope]) -> None:
        (place,) = self.index((statement.place,), scopes)
        target = self.memory[statement.target.storage]
        target.values[:] = self.tapes[statement.tape][place]
        target.written[:] = True

    def loop(self, statement: For, scopes: list[Scope]) -> None:
        carried = [self.value(carry.init, scopes) for carry in statement.carries]
        turns = range(int(self.value(statement.extent, scopes)))
        for turn in reversed(turns) if statement.mode is Mode.PARALLEL else turns:
            for buffer in statement.private:
                self.memory[buffer].written[:] = False
            inner = [*scopes, {statement.axis: turn, **_named(statement.carries, carried)}]
            self.block(statement.body, inner)
            carried = [self.value(carry.next, inner) for carry in statement.carries]
        scopes[-1].update({carry.result: value for carry, value in zip(statement.carries, carried, strict=True)})

    def repeat(self, statement: While, scopes: list[Scope]) -> None:
        carried = [self.value(carry.init, scopes) for carry in statement.carries]
        while True:
            inner = [*scopes, _named(statement.carries, carried)]
            if not self.value(statement.condition, inner):
                break
            self.block(statement.body, inner)
            carried = [self.value(carry.next, inner) for carry in statement.carries]
        scopes[-1].update({carry.result: value for carry, value in zip(statement.carries, carried, strict=True)})

    def multiply_panels(self, statement: MultiplyPanels, scopes: list[Scope]) -> None:
        positions = (statement.row, statement.column, statement.lhs_panel, statement.rhs_panel, statement.depth)
        row, column, lhs_panel, rhs_panel, depth = self.index(positions, scopes)
        lhs_first, rhs_first = self.index((statement.lhs_first, statement.rhs_first), scopes)
        in_place = len(statement.lhs.shape) == 2, len(statement.rhs.shape) == 2
        if statement.packed is not None:
            for k, j in itertools.product(range(depth), range(statement.packed.shape[-1])):
                inside = j < statement.columns
                value = self.load(statement.rhs, (rhs_first + k, rhs_panel + j)) if inside else 0
                self.store(statement.packed, (0, k, j), value)
        for i in range(statement.rows):
            for j in range(statement.columns):
                target = (row + i, column + j)
                total = self.load(statement.target, target) if statement.accumulate else 0
                for k in range(depth):
                    left = (lhs_panel + i, lhs_first + k) if in_place[0] else (lhs_panel, lhs_first + k, i)
                    right = (rhs_first + k, rhs_panel + j) if in_place[1] else (rhs_panel, rhs_first + k, j)
                    total = total + self.load(statement.lhs, left) * self.load(statement.rhs, right)
                self.store(statement.target, target, total)

    def multiply_strip(self, strip: MultiplyStrip, scopes: list[Scope]) -> None:
        places = (strip.row, strip.column, strip.lhs_panel, strip.rhs_panel, strip.steps, strip.rows)
        row, column, lhs_panel, rhs_panel, steps, rows = self.index(places, scopes)

        def factor(panels: Buffer, index: tuple[int, ...], k: int) -> Any:
            word = int(self.load(panels, index))
            bits = word & 0xFFFF0000 if k % 32 >= 16 else word << 16 & 0xFFFF0000
            return np.uint32(bits).view(np.float32).astype(np.float64)

        for i, j in itertools.product(range(rows), range(strip.columns)):
            total = self.load(strip.target, (row + i, column + j)) if strip.accumulate else 0
            for step, (p, q), k in itertools.product(
                range(steps), part_products(strip.lhs.shape[2], strip.rhs.shape[2]), range(32)
            ):
                x = factor(strip.lhs, (lhs_panel + i // 32, step, p, i % 32, k % 16), k)
                y = factor(strip.rhs, (rhs_panel, step, q, j // 16, k % 16, j % 16), k)
                total = total + x * y
            self.store(strip.target, (row + i, column + j), total)

    def transpose_tile(self, tile: TransposeTile, scopes: list[Scope]) -> None:
        places = (tile.target_first, tile.source_first, tile.rows, tile.columns)
        target, source, rows, columns = self.index(places, scopes)
        for i, j in itertools.product(range(rows), range(columns)):
            element = self.load(tile.source, (source + j * tile.source_stride + i,))
            self.store(tile.target, (target + i * tile.target_stride + j,), element)

    def stream_copy(self, copy: StreamCopy, scopes: list[Scope]) -> None:
        first, count = self.index((copy.target_first, copy.count), scopes)
        for i in range(count):
            self.store(copy.target, (first + i,), self.load(copy.source, (i,)))

    # Memory

    def store(self, buffer: Buffer, index: tuple[int, ...], value: Any) -> None:
        cells, at = self.memory[buffer.storage], _offset(buffer, index)
        cells.values[at], cells.written[at] = value, True

    def load(self, buffer: Buffer, index: tuple[int, ...]) -> Any:
        cells, at = self.memory[buffer.storage], _offset(buffer, index)
        if not cells.written[at]:
            raise IndexError(f"{buffer.name}{list(index)} is read before it is written")
        return cells.values[at]

    # Expressions

    def index(self, index: Sequence[Expr], scopes: list[Scope]) -> tuple[int, ...]:
        return tuple(int(self.value(position, scopes)) for position in index)

    def value(self, expr: Expr, scopes: list[Scope]) -> Any:
        if isinstance(expr, Constant):
            return expr.value if expr.dtype == dtypes.i64 else expr.dtype.numpy.type(expr.value)
        for scope in reversed(scopes):
            if expr in scope:
                return scope[expr]
        result = scopes[-1][expr] = self.compute(expr, scopes)
        return result

    def compute(self, expr: Expr, scopes: list[Scope]) -> Any:
        match expr:
            case Load():
                loaded = self.load(expr.buffer, self.index(expr.index, scopes))
                return int(loaded) if expr.dtype == dtypes.i64 else loaded
            case Apply() | Call():
                return self.apply(expr, [self.value(operand, scopes) for operand in expr.operands])
            case Axis() | Local() | Constant():
                raise NameError(f"{expr} is not bound here")

    def apply(self, expr: Apply | Call, operands: list[Any]) -> Any:
        if isinstance(expr, Apply):
            if expr.primitive is Primitive.SELECT:
                return operands[1] if operands[0] else operands[2]
            on_indices = _ON_INDICES.get(expr.primitive)
            if on_indices is not None and expr.operands[0].dtype == dtypes.i64:
                return on_indices(*operands)
        arrays = [
            np.asarray(value, operand.dtype.numpy) for value, operand in zip(operands, expr.operands, strict=True)
        ]
        template, names = self.template(expr)
        result = evaluate(template, dict(zip(names, arrays, strict=True)))[()]
        return int(result) if expr.dtype == dtypes.i64 else result

    def template(self, expr: Apply | Call) -> tuple[Apply | Call, tuple[Local, ...]]:
        """`expr` over names in place of its operands."""
        if expr not in self.templates:
            names = tuple(Local("operand", operand.dtype) for operand in expr.operands)
            named = Apply(expr.primitive, names, expr.dtype) if isinstance(expr, Apply) else Call(expr.function, names)
            self.templates[expr] = named, names
        return self.templates[expr]


def _named(carries: Sequence[Carry], values: Sequence[Any]) -> Scope:
    return {carry.value: value for carry, value in zip(carries, values, strict=True)}


def _offset(buffer: Buffer, index: tuple[int, ...]) -> int:
    inside = len(index) == len(buffer.shape) and all(
        0 <= at < size for at, size in zip(index, buffer.shape, strict=True)
    )
    if not inside:
        raise IndexError(f"{buffer.name}{list(index)} is outside {list(buffer.shape)}")
    offset = 0
    for at, size in zip(index, buffer.shape, strict=True):
        offset = offset * size + at
    return offset
