"""Lowering rules run alone: an operation whose operands and results are all in memory.

    assert_lowered(build, arrays, rule)

builds a program with `build(*vars)`, lowers its last operation with `rule`, and executes the statements on what
reaches that operation: the results are those of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from loop_interpreter import Cells, Memory, run
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.types import TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Expr, Kernel, Load, Primitive, Program, Statement, Store
from tenfoldc.lower.context import LoweringRule

Array = NDArray[Any]
LoadProgram = Callable[[Program], Callable[..., list[Array]]]


class PlainContext:
    """Operands are read from memory and results written to memory.

    With `epilogue`, what is written is negated on the way into buffers of its own (`outputs`), as a fused consumer
    would do, and `result` is scratch memory.
    """

    def __init__(self, operation: Operation, *, epilogue: bool = False) -> None:
        self.operation = operation
        self.has_epilogue = epilogue
        self.operands = [_buffer("operand", n, value) for n, value in enumerate(operation.operands)]
        self.results = [_buffer("result", n, value) for n, value in enumerate(operation.results)]
        self.outputs = self.results
        self.scratches: list[Buffer] = []
        if epilogue:
            self.outputs = [_buffer("output", n, value) for n, value in enumerate(operation.results)]
            self.scratches.extend(self.results)

    def read(self, operand: int, index: Sequence[Expr]) -> Expr:
        return Load(self.operands[operand], tuple(index))

    def buffer(self, operand: int) -> Buffer:
        return self.operands[operand]

    def result(self, number: int = 0) -> Buffer:
        return self.results[number]

    def write(self, index: Sequence[Expr], value: Expr, number: int = 0) -> Sequence[Statement]:
        if self.has_epilogue:
            value = scalar.apply(Primitive.NOT if value.dtype.is_bool else Primitive.NEG, value)
        return [Store(self.outputs[number], tuple(index), value)]

    def pays_ahead(self, element: Expr, size: int) -> bool:
        return False

    def region(self, number: int, arguments: Sequence[Expr]) -> tuple[Expr, ...]:
        region = self.operation.regions[number]
        known: dict[Value, Expr] = dict(zip(region.parameters, arguments, strict=True))
        for operation in region.operations:
            element = operation.op.element
            assert element is not None
            (result,) = operation.results
            types = [operand.type for operand in operation.operands]
            operands = [known[operand] for operand in operation.operands]
            known[result] = element(
                operation.attributes, types, result.type, (), lambda n, _, operands=operands: operands[n]
            )
        return tuple(known[result] for result in region.results)

    def axis(self, name: str, extent: int | None = None) -> Axis:
        return Axis(name)

    def scratch(self, name: str, dtype: DType, shape: Sequence[int]) -> Buffer:
        self.scratches.append(Buffer(name, dtype, tuple(shape)))
        return self.scratches[-1]


def _buffer(kind: str, number: int, value: Value) -> Buffer:
    return Buffer(f"{kind}{number}", value.type.dtype, value.type.sizes)


class Lowering:
    """The last operation of the program that `build` makes, lowered with `rule`, and the arrays around it."""

    def __init__(
        self,
        build: Callable[..., Var | Sequence[Var]],
        arrays: Sequence[Array],
        rule: LoweringRule,
        *,
        epilogue: bool = False,
    ) -> None:
        builder = Builder()
        parameters: list[Var] = []
        for array in arrays:
            dtype = dtypes.from_numpy(array.dtype)
            assert dtype is not None
            parameters.append(builder.parameter(TensorType(dtype, array.shape)))
        build(*parameters)
        operation = builder.operations[-1]
        wanted = [builder.var(value) for value in (*operation.operands, *operation.results)]
        values = interpret_region(builder.region(parameters, wanted), arrays)
        count = len(operation.operands)
        self.operands, self.expected = list(values[:count]), list(values[count:])
        self.context = PlainContext(operation, epilogue=epilogue)
        self.statements = tuple(rule(operation, self.context))

    def interpreted(self) -> list[Array]:
        """What the statements leave in the results, executed one by one."""
        context = self.context
        memory: Memory = {
            buffer: Cells.holding(value) for buffer, value in zip(context.operands, self.operands, strict=True)
        }
        for buffer in (*context.scratches, *context.results, *context.outputs):
            memory.setdefault(buffer, Cells.empty(buffer))
        run(self.statements, memory)
        for buffer in context.outputs:
            assert memory[buffer].written.all(), f"{buffer.name} is not filled"
        return [memory[buffer].values.reshape(buffer.shape) for buffer in context.outputs]

    def program(self) -> Program:
        """The statements as a program of one kernel."""
        context = self.context
        kernel = Kernel("lowered", self.statements, tuple(context.scratches))
        return Program("lowered", tuple(context.operands), tuple(context.outputs), (), {}, (kernel,))


def assert_lowered(
    build: Callable[..., Var | Sequence[Var]],
    arrays: Sequence[Array],
    rule: LoweringRule,
    load_program: LoadProgram | None = None,
) -> list[Array]:
    """`rule` computes what the reference computes, also where a consumer is fused; gives the reference's results.

    With `load_program` it does so as native code too.
    """
    arrays = [np.asarray(array) for array in arrays]
    lowering = Lowering(build, arrays, rule)
    _assert_close(lowering.interpreted(), lowering.expected)
    if load_program is not None:
        operands = [np.array(operand, order="C") for operand in lowering.operands]
        _assert_close(load_program(lowering.program())(*operands), lowering.expected)
    fused = Lowering(build, arrays, rule, epilogue=True).interpreted()
    _assert_close([~result if result.dtype == np.bool_ else -result for result in fused], lowering.expected)
    return lowering.expected


def _assert_close(actual: Sequence[Array], expected: Sequence[Array]) -> None:
    for result, wanted in zip(actual, expected, strict=True):
        assert result.dtype == wanted.dtype
        np.testing.assert_allclose(result, wanted, rtol=1e-12, atol=1e-12)
