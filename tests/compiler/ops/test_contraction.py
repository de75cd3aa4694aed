"""Products of tensors."""

from __future__ import annotations

import numpy as np
import pytest
from checking import apply_once, assert_same, check_derivatives, check_op, check_reference, evaluate

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.op import Site
from tenfoldc.ir.types import Symbol, TensorType

# Operand shapes, batching axes, contracting axes, and the same as an einsum.
CASES = [
    ((), (), ((), ()), ((), ()), ",->"),
    ((3,), (3,), ((), ()), ((0,), (0,)), "k,k->"),
    ((3,), (5,), ((), ()), ((), ()), "i,j->ij"),
    ((2, 3), (3, 5), ((), ()), ((1,), (0,)), "ik,kj->ij"),
    ((3, 2), (5, 3), ((), ()), ((0,), (1,)), "ki,jk->ij"),
    ((2, 0), (0, 5), ((), ()), ((1,), (0,)), "ik,kj->ij"),
    ((0, 3), (3, 5), ((), ()), ((1,), (0,)), "ik,kj->ij"),
    ((7, 2, 3), (7, 3, 5), ((0,), (0,)), ((2,), (1,)), "bik,bkj->bij"),
    ((2, 7, 3), (5, 3, 7), ((1,), (2,)), ((2,), (1,)), "ibk,jkb->bij"),
    ((2, 3, 5), (5, 7, 3), ((), ()), ((1, 2), (2, 0)), "ikl,ljk->ij"),
    ((2, 3, 4, 5), (5, 3, 2, 6), ((1, 0), (1, 2)), ((3,), (0,)), "cbik,kbcj->bcij"),
    ((2, 3, 4, 5), (4, 2, 3, 6, 1), ((0,), (1,)), ((2,), (0,)), "bikl,kbjmn->biljmn"),
    ((1, 2, 1), (1, 1), ((), ()), ((2,), (1,)), "ijk,lk->ijl"),
]


def product(batching, contracting, **more):
    return lambda x, y: ops.dot_general(
        x,
        y,
        lhs_batching=batching[0],
        rhs_batching=batching[1],
        lhs_contracting=contracting[0],
        rhs_contracting=contracting[1],
        **more,
    )


matmul = product(((), ()), ((1,), (0,)))


def matrices(lhs, rhs, dtype=dtypes.f32):
    builder = Builder()
    return builder.parameter(TensorType(dtype, lhs)), builder.parameter(TensorType(dtype, rhs))


@pytest.mark.parametrize(("lhs", "rhs", "batching", "contracting", "einsum"), CASES)
def test_dot_general(lhs, rhs, batching, contracting, einsum, rng):
    x, y = rng.standard_normal(lhs), rng.standard_normal(rhs)
    check_op(product(batching, contracting), [x, y], np.asarray(np.einsum(einsum, x, y)), rng=rng)


def test_random_products(rng):
    for _ in range(25):
        sizes = {letter: int(rng.integers(1, 5)) for letter in "abcdefgh"}
        batch, summed, rows, columns = "ab"[: rng.integers(3)], "cd"[: rng.integers(3)], "ef", "gh"
        lhs = "".join(rng.permutation(list(batch + summed + rows)))
        rhs = "".join(rng.permutation(list(batch + summed + columns)))
        free = [letter for side in (lhs, rhs) for letter in side if letter in rows + columns]
        x, y = (rng.standard_normal([sizes[letter] for letter in side]) for side in (lhs, rhs))
        axes = [[[side.index(letter) for letter in letters] for side in (lhs, rhs)] for letters in (batch, summed)]
        expected = np.einsum(f"{lhs},{rhs}->{batch}{''.join(free)}", x, y)
        check_op(product(*axes), [x, y], expected, rng=rng)


def test_bools_are_joined_by_and_and_or():
    x, y = np.eye(300, dtype=bool), np.ones((300, 2), dtype=bool)
    x[1] = True
    y[0] = False
    expected = np.ones((300, 2), dtype=bool)
    expected[0] = False
    check_reference(apply_once(matmul, [x, y]), expected)


def test_integers_wrap():
    x = np.full((1, 3), 100, np.int8)
    assert_same(evaluate(matmul, x, x.T)[0], np.array([[48]], np.int8))


def test_f32_is_rounded_once(rng):
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 1000), (1000, 3)))
    expected = (x.astype(np.float64) @ y.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(evaluate(matmul, x, y)[0], expected)


def test_products_with_infinity_are_nan_without_warning():
    x, y = np.array([[np.inf, 1.0]]), np.array([[0.0], [1.0]])
    assert np.isnan(evaluate(matmul, x, y)[0]).all()


def test_accumulating_in_a_wider_dtype(rng):
    x, y = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((3, 5), (5, 2)))
    build = product(((), ()), ((1,), (0,)), result_dtype=dtypes.i32)
    check_op(build, [x, y], x.astype(np.int32) @ y.astype(np.int32), rng=rng)


def test_cotangents_of_a_wider_result_have_the_operands_dtype(rng):
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 5), (5, 2)))
    build = product(((), ()), ((1,), (0,)), result_dtype=dtypes.f64)
    check_derivatives(apply_once(build, [x, y]), rng)
    lhs, rhs = matrices((3, 5), (5, 2))
    operation = build(lhs, rhs).builder.operations[-1]
    result = lhs.builder.var(operation.results[0])
    site = Site((lhs, rhs), operation.attributes, (), (result,))
    assert [cotangent.type for cotangent in operation.op.vjp_rule(site, [result])] == [lhs.type, rhs.type]


def test_dot_general_carries_symbols():
    n = Symbol("n")
    assert matmul(*matrices((n, 4), (4, 5))).shape == (n, 5)
    assert matmul(*matrices((3, n), (n, 5))).shape == (3, 5)


def test_sizes_that_differ_are_named():
    with pytest.raises(ShapeError, match=r"contracting sizes differ, 784 \(lhs, axis 1\) and 512 \(rhs, axis 0\)"):
        matmul(*matrices((32, 784), (512, 10)))


def test_dtypes_that_differ_are_named():
    x, _ = matrices((2, 3), ())
    with pytest.raises(DTypeError, match=r"f32 \(lhs\) and i32 \(rhs\)"):
        matmul(x, x.builder.parameter(TensorType(dtypes.i32, (3, 2))))


def test_an_axis_used_twice_is_refused():
    with pytest.raises(ArgumentError, match="twice"):
        product(((0,), (0,)), ((0,), (1,)))(*matrices((3, 3), (3, 3)))


def test_an_unknown_precision_is_refused():
    with pytest.raises(ArgumentError, match="no precision BEST"):
        product(((), ()), ((1,), (0,)), precision="best")(*matrices((2, 3), (3, 2)))


def test_a_narrower_result_is_refused():
    with pytest.raises(DTypeError, match="does not accumulate in f32"):
        product(((), ()), ((1,), (0,)), result_dtype=dtypes.f32)(*matrices((2, 3), (3, 2), dtypes.f64))
