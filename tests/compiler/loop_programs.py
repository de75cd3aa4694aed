"""Functions built and lowered in one line, and the formulas that many tests lower."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.allocate import allocate
from tenfoldc.fuse import fuse
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Function
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Allocation, Buffer, Kernel, Program
from tenfoldc.loops.verifier import verify_program
from tenfoldc.lower import cpu_rules, lower
from tenfoldc.schedule import schedule
from tenfoldc.target import host


def f32(*shape: int) -> TensorType:
    return TensorType(dtypes.f32, shape)


def i32(*shape: int) -> TensorType:
    return TensorType(dtypes.i32, shape)


def function(
    types: Sequence[TensorType],
    compute: Callable[..., Var | Sequence[Var]],
    donated: Sequence[tuple[int, int]] = (),
) -> Function:
    """A function with parameters of `types` that returns what `compute` makes of them."""
    builder = Builder()
    parameters = [builder.parameter(type_) for type_ in types]
    results = compute(*parameters)
    region = builder.region(parameters, [results] if isinstance(results, Var) else results)
    return Function("main", region, donated=tuple(donated))


def lowered(source: Function) -> Program:
    """`source` as scheduled loops, verified after both stages."""
    program = lower(source, fuse(source), cpu_rules(host()))
    verify_program(program)
    program = schedule(program, host())
    verify_program(program)
    return program


def allocated(source: Function) -> tuple[Program, Allocation]:
    program = lowered(source)
    return program, allocate(program)


def names_of(program: Program) -> list[str]:
    """The kernels' names.  Tests assert on these: a kernel itself prints without end."""
    return [kernel.name for kernel in program.kernels]


def scratch_of(program: Program) -> list[Buffer]:
    return [buffer for kernel in program.kernels for buffer in kernel.scratch]


def kernel_named(program: Program, word: str) -> Kernel:
    """The only kernel whose name holds `word`."""
    (kernel,) = [kernel for kernel in program.kernels if word in kernel.name]
    return kernel


def along_rows(value: Var, x: Var) -> Var:
    """A value per row repeated over the last axis of `x`."""
    return ops.broadcast_in_dim(value, x.shape, range(x.rank - 1))


def softmax(x: Var) -> Var:
    """Over the last axis."""
    largest = ops.reduce_max(x, [x.rank - 1])
    exponentials = ops.exponential(ops.subtract(x, along_rows(largest, x)))
    return ops.divide(exponentials, along_rows(ops.reduce_sum(exponentials, [x.rank - 1]), x))


def layer_norm(x: Var, scale: Var, shift: Var) -> Var:
    """Over the last axis, with a scale and a shift per column."""

    def mean(y: Var) -> Var:
        total = ops.reduce_sum(y, [y.rank - 1])
        return ops.multiply(total, ops.full_like(total, 1 / y.sizes[-1]))

    centred = ops.subtract(x, along_rows(mean(x), x))
    variance = mean(ops.square(centred))
    factor = ops.rsqrt(ops.add(variance, ops.full_like(variance, 1e-5)))
    columns = [ops.broadcast_in_dim(y, x.shape, [x.rank - 1]) for y in (scale, shift)]
    return ops.add(ops.multiply(ops.multiply(centred, along_rows(factor, x)), columns[0]), columns[1])


def dense(x: Var, weights: Var, bias: Var) -> Var:
    """x @ weights + bias, of matrices."""
    product = ops.dot_general(x, weights, lhs_contracting=[1], rhs_contracting=[0])
    return ops.add(product, ops.broadcast_in_dim(bias, product.shape, [1]))
