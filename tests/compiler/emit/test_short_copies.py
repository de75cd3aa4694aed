"""Short copies are moves of registers, and loops of many stores are not unrolled."""

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.emit.program import emit_program
from tenfoldc.emit.short_copies import short_copy
from tenfoldc.emit.unrolling import stays_loop
from tenfoldc.loops.ir import Allocation, Axis, Buffer, Constant, For, If, Kernel, Load, Mode, Program, Store, While
from tenfoldc.loops.scalar import add, constant, equal, index, mul, neg
from tenfoldc.target import named


def one_kernel(parameters, results, body):
    return Program("f", tuple(parameters), tuple(results), (), {}, (Kernel("test", tuple(body), ()),), ())


i, j, k = Axis("i"), Axis("j"), Axis("k")
source, target = Buffer("x", dtypes.f32, (8, 40)), Buffer("y", dtypes.f32, (8, 40))


def row_copy(value, *, extent=8, mode=Mode.VECTOR, to=target, at=None):
    column = add(mul(i, index(2)), j)
    return For(j, index(extent), (Store(to, at or (i, column), value),), mode=mode)


def moves(loop):
    copy = short_copy(loop)
    return None if copy is None else list(copy.pieces)


@pytest.mark.parametrize("mode", [Mode.VECTOR, Mode.UNROLLED])
def test_a_copy_is_moves_of_powers_of_two(mode):
    assert moves(row_copy(Load(source, (i, add(j, i))), mode=mode)) == [(0, 8)]
    assert moves(row_copy(Load(source, (i, j)), extent=15, mode=mode)) == [(0, 8), (8, 4), (12, 2), (14, 1)]
    assert moves(row_copy(Load(source, (i, j)), extent=1, mode=mode)) == [(0, 1)]


def test_doubles_fill_registers_sooner():
    x, y = Buffer("x", dtypes.f64, (64,)), Buffer("y", dtypes.f64, (64,))
    assert moves(row_copy(Load(x, (j,)), to=y, at=(j,))) == [(0, 4), (4, 4)]
    assert moves(row_copy(Load(x, (j,)), extent=9, to=y, at=(j,))) is None


@pytest.mark.parametrize(
    "loop",
    [
        row_copy(Load(source, (j, i))),  # elements far apart
        row_copy(Load(source, (i, mul(j, index(2))))),
        row_copy(Load(source, (i, neg(j)))),
        row_copy(Load(source, (i, add(j, j)))),
        row_copy(Load(source, (i, i))),  # one element, as often as there are others
        row_copy(Load(source, (i, j)), at=(j, i)),
        row_copy(Load(target, (i, j))),  # what is read may have been written
        row_copy(neg(Load(source, (i, j)))),  # more than a copy
        row_copy(Load(source, (i, j)), extent=17),  # long
        row_copy(Load(source, (i, j)), extent=0),
        row_copy(Load(source, (i, j)), mode=Mode.SERIAL),
    ],
)
def test_what_is_no_short_copy(loop):
    assert short_copy(loop) is None


DTYPES = [dtypes.f32, dtypes.f64, dtypes.i8, dtypes.u8, dtypes.i64, dtypes.bf16, dtypes.f16, dtypes.bool_]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("extent", [1, 2, 3, 7, 8])
def test_rows_are_copied_exactly(load_program, dtype, extent, rng):
    x, y = Buffer("x", dtype, (5, 11)), Buffer("y", dtype, (5, 8))
    first = add(j, index(2))
    rows = For(i, index(5), (row_copy(Load(x, (i, first)), extent=extent, to=y, at=(i, j)),))
    data = rng.integers(0, 2, (5, 11)).astype(dtype.numpy)
    clear = For(i, index(5), (For(k, index(8), (Store(y, (i, k), Constant(0, dtype)),)),))
    result = load_program(one_kernel([x], [y], [clear, rows]))(data)[0]
    np.testing.assert_array_equal(result[:, :extent], data[:, 2 : 2 + extent])
    assert not result[:, extent:].any()


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64, dtypes.i32, dtypes.bf16], ids=str)
def test_rows_are_filled_with_a_number(load_program, dtype):
    y = Buffer("y", dtype, (6, 7))
    fill = row_copy(constant(3, dtype), extent=7, to=y, at=(i, j))
    result = load_program(one_kernel([], [y], [For(i, index(6), (fill,))]))()[0]
    np.testing.assert_array_equal(result.astype(np.float64), np.full((6, 7), 3.0))


def test_a_copy_is_no_loop_in_the_text():
    x, y = Buffer("x", dtypes.f32, (64, 8)), Buffer("y", dtypes.f32, (64, 16))
    program = one_kernel([x], [y], [For(i, index(64), (row_copy(Load(x, (i, j)), to=y, at=(i, j)),))])
    text = emit_program(program, Allocation({}, 0), named("x86-64-v3")).text
    assert text.count("load <8 x float>") == text.count("store <8 x float>") == 1
    assert text.count("phi i64") == 1


def stores(count):
    return tuple(Store(target, (index(0), index(n)), constant(0, dtypes.f32)) for n in range(count))


def test_a_loop_of_many_stores_stays_one():
    assert stays_loop(For(i, index(4), stores(16)))
    assert not stays_loop(For(i, index(4), stores(15)))
    inner = For(k, index(4), stores(4))
    assert stays_loop(For(i, index(4), (inner,)))
    assert stays_loop(For(i, index(4), (If(equal(i, index(0)), stores(8), stores(8)),)))
    copies = tuple(row_copy(Load(source, (i, j))) for _ in range(15))
    assert not stays_loop(For(i, index(4), copies))


def test_a_turn_of_a_vector_is_several_of_its_loop():
    assert not stays_loop(For(i, index(16), stores(16), mode=Mode.VECTOR))


def test_a_loop_around_a_long_one_stays_one():
    assert stays_loop(For(i, index(4), (For(k, index(128), stores(1)),)))
    assert stays_loop(For(i, index(4), (For(k, Load(Buffer("n", dtypes.i64, ()), ()), stores(1)),)))
    assert stays_loop(For(i, index(4), (While((), equal(i, index(0)), ()),)))
