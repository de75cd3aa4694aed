"""Loops, branches, carries and scopes, compiled and run."""

import re
import time

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.loops import math, scalar
from tenfoldc.loops.ir import (
    Apply,
    Axis,
    Buffer,
    Carry,
    Constant,
    For,
    Function,
    If,
    Kernel,
    Load,
    Local,
    Mode,
    Primitive,
    Program,
    Store,
    While,
)
from tenfoldc.loops.scalar import constant, index
from tenfoldc.target import named

i, j = Axis("i"), Axis("j")


def one_kernel(parameters, results, body, *, scratch=(), constants=None, donated=()):
    kernel = Kernel("test", tuple(body), tuple(scratch))
    return Program("f", tuple(parameters), tuple(results), (), constants or {}, (kernel,), donated)


def total(axis, extent, term, dtype=dtypes.f32):
    """A loop that sums `term` over `axis`, and the local that holds its result."""
    value, result = Local("total", dtype), Local("sum", dtype)
    added = Apply(Primitive.ADD, (value, term), dtype, reassociate=True)
    return For(axis, extent, (), (Carry(value, constant(0, dtype), added, result),)), result


@pytest.mark.parametrize("size", [0, 1, 7, 100])
def test_a_carry_sums_a_row(load_program, size):
    x, y = Buffer("x", dtypes.f32, (3, size)), Buffer("y", dtypes.f32, (3,))
    loop, result = total(j, index(size), Load(x, (i, j)))
    run = load_program(one_kernel([x], [y], [For(i, index(3), (loop, Store(y, (i,), result)))]))
    data = np.arange(3 * size, dtype=np.float32).reshape(3, size)
    np.testing.assert_array_equal(run(data)[0], data.sum(1))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_an_extent_known_at_run_time(load_program, count):
    n, x, y = Buffer("n", dtypes.i64, ()), Buffer("x", dtypes.f32, (5,)), Buffer("y", dtypes.f32, ())
    loop, result = total(i, Load(n, ()), Load(x, (i,)))
    run = load_program(one_kernel([n, x], [y], [loop, Store(y, (), result)]))
    data = np.arange(1, 6, dtype=np.float32)
    assert run(np.array(count), data)[0] == data[:count].sum()


def test_two_carries_see_each_other_as_of_the_turn_before(load_program):
    y = Buffer("y", dtypes.i64, (2,))
    a, b, last_a, last_b = (Local(name, dtypes.i64) for name in ("a", "b", "last_a", "last_b"))
    carries = (Carry(a, index(0), b, last_a), Carry(b, index(1), scalar.add(a, b), last_b))
    body = [For(i, index(10), (), carries), Store(y, (index(0),), last_a), Store(y, (index(1),), last_b)]
    assert load_program(one_kernel([], [y], body))()[0].tolist() == [55, 89]


@pytest.mark.parametrize("start", [1, 27, 97])
def test_while_runs_until_its_condition_fails(load_program, start):
    x, y = Buffer("x", dtypes.i64, ()), Buffer("y", dtypes.i64, ())
    n, steps = Local("n", dtypes.i64), Local("steps", dtypes.i64)
    is_odd = scalar.equal(scalar.rem(n, index(2)), index(1))
    collatz = scalar.select(is_odd, scalar.add(scalar.mul(n, index(3)), index(1)), scalar.div(n, index(2)))
    result = Local("result", dtypes.i64)
    carries = (
        Carry(n, Load(x, ()), collatz, Local("last", dtypes.i64)),
        Carry(steps, index(0), scalar.add(steps, index(1)), result),
    )
    loop = While(carries, scalar.greater(n, index(1)), ())
    run = load_program(one_kernel([x], [y], [loop, Store(y, (), result)]))
    expected, value = 0, start
    while value > 1:
        value, expected = (3 * value + 1 if value % 2 else value // 2), expected + 1
    assert run(np.array(start))[0] == expected


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("has_else", [False, True])
def test_if_takes_one_branch(load_program, flag, has_else):
    p, y = Buffer("p", dtypes.bool_, ()), Buffer("y", dtypes.i32, ())
    store = [Store(y, (), constant(value, dtypes.i32)) for value in (1, 2, 3)]
    body = [store[0], If(Load(p, ()), (store[1],), (store[2],) if has_else else ())]
    expected = 2 if flag else (3 if has_else else 1)
    assert load_program(one_kernel([p], [y], body))(np.array(flag))[0] == expected


def test_what_a_branch_computes_is_computed_again_after_it(load_program):
    p, x, y = Buffer("p", dtypes.bool_, ()), Buffer("x", dtypes.f32, ()), Buffer("y", dtypes.f32, (2,))
    square = scalar.mul(Load(x, ()), Load(x, ()))
    body = [If(Load(p, ()), (Store(y, (index(0),), square),)), Store(y, (index(1),), square)]
    run = load_program(one_kernel([p, x], [y], body))
    assert run(np.array(False), np.array(3, np.float32))[0][1] == 9


def test_an_expression_used_twice_is_computed_once(load_program):
    x, y = Buffer("x", dtypes.f32, (8,)), Buffer("y", dtypes.f32, (8,))
    root = scalar.apply(Primitive.SQRT, Load(x, (i,)))
    loop = For(i, index(8), (Store(y, (i,), scalar.add(root, root)),))
    text = load_program(one_kernel([x], [y], [loop])).text
    assert text.count("llvm.sqrt") == 1


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_computes_the_same(load_program, mode):
    x, y = Buffer("x", dtypes.f64, (4, 3)), Buffer("y", dtypes.f64, (3, 4))
    inner = For(j, index(3), (Store(y, (j, i), Load(x, (i, j))),), mode=mode)
    data = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(load_program(one_kernel([x], [y], [For(i, index(4), (inner,))]))(data)[0], data.T)


def test_a_scalar_function_is_shared_and_inlined(load_program):
    a = Local("a", dtypes.f32)
    cube = Function("cube.f32", (a,), scalar.mul(scalar.mul(a, a), a))
    twice = Function("twice.f32", (a,), scalar.add(scalar.call(cube, a), scalar.call(cube, a)))
    x, y = Buffer("x", dtypes.f32, (9,)), Buffer("y", dtypes.f32, (9,))
    value = scalar.add(scalar.call(twice, Load(x, (i,))), scalar.call(cube, Load(x, (i,))))
    run = load_program(one_kernel([x], [y], [For(i, index(9), (Store(y, (i,), value),))]))
    data = np.arange(9, dtype=np.float32)
    np.testing.assert_array_equal(run(data)[0], 3 * data**3)
    assert run.text.count("define internal float") == 2
    assert "cube" not in run.compiled.assembly()


@pytest.mark.parametrize("size", [10, 10_000])
def test_constants_are_read_whether_in_the_text_or_beside_it(load_program, size):
    table = np.arange(size, dtype=np.int32) ** 2
    c, y = Buffer("table", dtypes.i32, (size,)), Buffer("y", dtypes.i32, (size,))
    program = one_kernel([], [y], [For(i, index(size), (Store(y, (i,), Load(c, (i,))),))], constants={c: table})
    run = load_program(program)
    np.testing.assert_array_equal(run()[0], table)
    assert bool(run.external_data) == (size > 1024)


def in_place_program(size):
    x, y, w = Buffer("x", dtypes.f32, (size,)), Buffer("y", dtypes.f32, (size,)), Buffer("w", dtypes.f32, (size,))
    updated = scalar.add(Load(x, (i,)), Load(w, (i,)))
    loop = For(i, index(size), (Store(y, (i,), updated),), mode=Mode.VECTOR)
    return one_kernel([x, w], [y], [loop], donated=((0, 0),))


def test_a_donated_parameter_may_be_the_result(load_program):
    run = load_program(in_place_program(1003))
    data, step = np.arange(1003, dtype=np.float32), np.ones(1003, np.float32)
    np.testing.assert_array_equal(run(data, step)[0], data + 1)
    run.into([data], data, step)
    np.testing.assert_array_equal(data, np.arange(1003) + 1)


def test_an_update_in_place_is_written_once_and_vectorised(load_program):
    compiled = load_program(in_place_program(1024)).compiled
    assert compiled.optimised_text().count("fadd <") == compiled.optimised_text().count("fadd")
    body = compiled.assembly()
    assert "ymm" in body or "zmm" in body or "q0" in body


def test_vectors_are_spilled_to_an_aligned_stack(load_program):
    x, y = Buffer("x", dtypes.f32, (1024,)), Buffer("y", dtypes.f32, (1024,))
    loop = For(i, index(1024), (Store(y, (i,), math.erf(Load(x, (i,)))),), mode=Mode.VECTOR)
    body = load_program(one_kernel([x], [y], [loop]), named("x86-64-v3")).compiled.assembly()
    assert re.search(r"ymm\d+, [\d-]*\(%rsp\)", body)
    assert "andq\t$-32, %rsp" in body
    assert not re.search(r"vmovup[sd]\t(%ymm\d+, )?[\d-]*\(%rsp\)", body)


def test_a_view_has_the_memory_of_its_base(load_program):
    x, y = Buffer("x", dtypes.f32, (2, 6)), Buffer("y", dtypes.f32, (12,))
    view = Buffer("view", dtypes.f32, (12,), base=x)
    run = load_program(one_kernel([x], [y], [For(i, index(12), (Store(y, (i,), Load(view, (i,))),))]))
    data = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_array_equal(run(data)[0], data.ravel())


def test_scratch_memory_carries_values_between_loops(load_program):
    x, y, t = (Buffer(name, dtypes.i16, (33,)) for name in "xyt")
    fill = For(i, index(33), (Store(t, (i,), scalar.add(Load(x, (i,)), constant(1, dtypes.i16))),))
    turn = For(j, index(33), (Store(y, (j,), Load(t, (scalar.sub(index(32), j),))),))
    data = np.arange(33, dtype=np.int16)
    np.testing.assert_array_equal(
        load_program(one_kernel([x], [y], [fill, turn], scratch=[t]))(data)[0], data[::-1] + 1
    )


def test_an_index_split_and_put_together_is_whole_again(load_program):
    x, y = Buffer("x", dtypes.f32, (6, 5, 4)), Buffer("y", dtypes.f32, (120,))
    rest = scalar.div(i, index(4))
    parts = (scalar.div(rest, index(5)), scalar.rem(rest, index(5)), scalar.rem(i, index(4)))
    run = load_program(one_kernel([x], [y], [For(i, index(120), (Store(y, (i,), Load(x, parts)),))]))
    data = np.arange(120, dtype=np.float32).reshape(6, 5, 4)
    np.testing.assert_array_equal(run(data)[0], data.ravel())
    assert "sdiv" not in run.compiled.optimised_text()


def test_thousands_of_operations_compile_in_linear_time(load_program):
    def seconds(count):
        x, y = Buffer("x", dtypes.f32, (100,)), Buffer("y", dtypes.f32, (100,))
        value = Load(x, (i,))
        for number in range(count):
            value = scalar.fma(value, Load(x, (i,)), Constant(0.5 + number, dtypes.f32))
        start = time.process_time()
        load_program(one_kernel([x], [y], [For(i, index(100), (Store(y, (i,), value),), mode=Mode.VECTOR)]))
        return time.process_time() - start

    assert seconds(2000) < 3
