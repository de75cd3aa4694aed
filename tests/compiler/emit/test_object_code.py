"""What the object code is made of: vectors of full width, no calls to libraries, for every target."""

import re
import threading

import pytest

from tenfold_rt import dtypes
from tenfold_rt.errors import RequestError, VerificationError
from tenfoldc.artifact import elf_object
from tenfoldc.emit.object_code import compile_text
from tenfoldc.emit.program import emit_program
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Allocation,
    Apply,
    Axis,
    Buffer,
    For,
    Kernel,
    Load,
    Mode,
    MultiplyPanels,
    Primitive,
    Program,
    Store,
)
from tenfoldc.loops.scalar import index
from tenfoldc.target import Target, named

ARM = Target("aarch64-unknown-linux-gnu", "generic", ("fp-armv8", "neon"))
TARGETS = [*(named(f"x86-64{level}") for level in ("", "-v2", "-v3", "-v4")), ARM]
FLOAT_UNARY = ["NEG", "ABS", "SQRT", "FLOOR", "CEIL", "TRUNC", "ROUND_EVEN"]


def every_float_primitive(dtype):
    x, y, i = Buffer("x", dtype, (1000,)), Buffer("y", dtype, (1000,)), Axis("i")
    value = Load(x, (i,))
    for name in FLOAT_UNARY:
        value = scalar.add(value, scalar.apply(Primitive[name], value))
    value = scalar.fma(value, value, scalar.maximum(value, scalar.minimum(Load(x, (i,)), value)))
    value = scalar.apply(Primitive.COPYSIGN, value, Load(x, (i,)))
    for integer in (dtypes.i8, dtypes.u32, dtypes.i64, dtypes.u64):
        whole = scalar.convert(value, integer)
        bits = scalar.add(scalar.apply(Primitive.POPCOUNT, whole), scalar.apply(Primitive.COUNT_LEADING_ZEROS, whole))
        value = scalar.add(value, scalar.convert(Apply(Primitive.MAX, (bits, whole), integer), dtype))
    kernel = Kernel("map", (For(i, index(1000), (Store(y, (i,), value),), mode=Mode.VECTOR),))
    return Program("f", (x,), (y,), (), {}, (kernel,))


def tile_program(dtype, rows, columns, mr, nr, depth=20):
    lhs, rhs = Buffer("lhs", dtype, (1, depth, mr)), Buffer("rhs", dtype, (1, depth, nr))
    target, zero = Buffer("target", dtype, (rows, columns)), index(0)
    tile = MultiplyPanels(target, zero, zero, lhs, zero, rhs, zero, index(depth), rows, columns, False)
    return Program("f", (lhs, rhs), (target,), (), {}, (Kernel("tile", (tile,)),))


def exported(program, target):
    count = 2 + len(program.parameters) + len(program.results)
    arguments = ", ".join(f"ptr %a{number}" for number in range(count))
    entry = f'define i32 @run({arguments}) {{ %s = call i32 @"f.impl"({arguments}) ret i32 %s }}'
    return compile_text(emit_program(program, Allocation({}, 0), target).text + entry, target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.triple[:7]}-{target.cpu}")
@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64], ids=repr)
def test_no_target_needs_a_library(dtype, target):
    compiled = exported(every_float_primitive(dtype), target)
    undefined = {symbol.name for symbol in elf_object.parse(compiled.object_code).symbols if symbol.undefined}
    assert undefined <= {"", "_GLOBAL_OFFSET_TABLE_", "memset", "memcpy", "memmove"}


@pytest.mark.parametrize(("level", "register"), [("x86-64", "xmm"), ("x86-64-v3", "ymm"), ("x86-64-v4", "zmm")])
def test_elementwise_loops_use_the_widest_vectors(level, register):
    x, y, i = Buffer("x", dtypes.f32, (1000,)), Buffer("y", dtypes.f32, (1000,)), Axis("i")
    loop = For(i, index(1000), (Store(y, (i,), scalar.mul(Load(x, (i,)), Load(x, (i,)))),), mode=Mode.VECTOR)
    assembly = exported(Program("f", (x,), (y,), (), {}, (Kernel("map", (loop,)),)), named(level)).assembly()
    assert re.search(rf"mulps\s.*%{register}", assembly)


@pytest.mark.parametrize(
    ("target", "rows", "columns", "instruction"),
    [
        (named("x86-64-v3"), 6, 16, r"vfmadd\w+ps\s.*%ymm"),
        (named("x86-64-v4"), 14, 32, r"vfmadd\w+ps\s.*%zmm"),
        (named("x86-64"), 4, 8, r"mulps\s.*%xmm"),
        (ARM, 8, 8, r"fmla\s+v\d+\.4s"),
    ],
    ids=["v3", "v4", "baseline", "arm"],
)
def test_a_register_tile_stays_in_registers(target, rows, columns, instruction):
    assembly = exported(tile_program(dtypes.f32, rows, columns, rows, columns), target).assembly()
    body = assembly[assembly.index("multiply.f32") :]
    assert re.search(instruction, body)
    assert not re.search(r"mm\d+.*\(%rsp\)|\(%rsp\).*mm\d+|q\d+, \[sp", body)


def test_text_that_llvm_refuses_is_a_defect_of_the_compiler():
    with pytest.raises(VerificationError, match=r"(?s)a defect of this compiler.*report"):
        compile_text("define i32 @f() { ret i64 0 }", named("x86-64"))


def test_an_unknown_target_is_named():
    with pytest.raises(RequestError, match="pdp11-dec-unix"):
        compile_text("", Target("pdp11-dec-unix", "generic", ()))


def test_threads_may_compile_at_once():
    found = [b""] * 4

    def work(number):
        found[number] = exported(every_float_primitive(dtypes.f32), named("x86-64-v3")).object_code

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found[0]) > 0
    assert set(found) == {found[0]}
