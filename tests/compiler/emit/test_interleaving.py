"""How many turns of a vector loop run side by side, by what one turn computes."""

import pytest

from tenfold_rt import dtypes
from tenfoldc.emit.interleaving import interleave_count, lane_count
from tenfoldc.loops import math
from tenfoldc.loops.ir import Axis, Buffer, Carry, For, Load, Local, Mode, Store
from tenfoldc.loops.scalar import add, constant, convert, fma, index, mul

i = Axis("i")
source, target = Buffer("x", dtypes.f32, (4096,)), Buffer("y", dtypes.f32, (4096,))
element = Load(source, (i,))


def chain(length):
    value = element
    for _ in range(length):
        value = fma(value, value, element)
    return value


def chains(count, length):
    total = chain(length)
    for _ in range(count - 1):
        total = add(total, chain(length))
    return total


def vector_loop(value, extent=4096):
    return For(i, index(extent), (Store(target, (i,), value),), mode=Mode.VECTOR)


def test_llvm_chooses_for_a_short_body():
    assert interleave_count(vector_loop(mul(element, element))) is None


@pytest.mark.parametrize("value", [chain(20), math.tanh(element), math.exp(math.exp(element))])
def test_four_turns_of_one_long_chain(value):
    assert interleave_count(vector_loop(value)) == 4


def test_two_turns_of_many_chains():
    assert interleave_count(vector_loop(chains(6, 10))) == 2


def test_two_turns_of_a_short_loop():
    assert interleave_count(vector_loop(chain(20), extent=37)) == 2
    unknown = For(i, Load(Buffer("n", dtypes.i64, ()), ()), vector_loop(chain(20)).body, mode=Mode.VECTOR)
    assert interleave_count(unknown) == 2


def test_what_a_carry_computes_counts():
    total, result = Local("total", dtypes.f32), Local("sum", dtypes.f32)
    carry = Carry(total, constant(0, dtypes.f32), add(total, math.exp(element)), result)
    assert interleave_count(For(i, index(4096), (), (carry,), Mode.VECTOR)) == 4


def test_thousands_of_operations_are_counted_without_recursion():
    assert interleave_count(vector_loop(chain(5000))) == 4


def test_a_wide_result_does_not_make_vectors_of_a_long_body_short():
    def into(dtype, value):
        return For(i, index(4096), (Store(Buffer("z", dtype, (4096,)), (i,), convert(value, dtype)),), mode=Mode.VECTOR)

    assert lane_count(into(dtypes.f64, chain(20)), 32) == 8
    assert lane_count(into(dtypes.f64, chain(3)), 32) is None
    assert lane_count(into(dtypes.f32, chain(20)), 32) is None
    assert lane_count(into(dtypes.f64, mul(*[convert(chain(8), dtypes.f64)] * 2)), 32) is None
