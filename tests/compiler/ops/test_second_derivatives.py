"""Derivative rules are made of ops that have derivatives themselves: the gradient's jvp is its finite difference."""

from __future__ import annotations

import numpy as np
import pytest
from checking import STEP, distinct, type_of

from tenfoldc import ops
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Builder, build_region
from tenfoldc.transform.jvp import jvp
from tenfoldc.transform.vjp import vjp

CONV = ops.ConvDimensionNumbers.of((0, 1, 2), (0, 1, 2), (0, 1, 2))


def joined(x):
    return ops.concatenate([ops.slice_(x, (0, 1), (2, 5), (1, 2)), ops.reverse(ops.slice_(x, (1, 0), (3, 2)), (1,))], 0)


def padded(x):
    return ops.pad(x, ops.reduce_sum(x, (0, 1)), (1, -1), (-1, 2), (1, 0))


def depthwise(x):
    lhs, rhs = ops.reshape(x, (1, 3, 5)), ops.reshape(x, (3, 1, 5))
    return ops.convolution(lhs, rhs, CONV, padding=((2, 1),), feature_group_count=3)


def block(x):
    start = ops.constant(x.builder, 1)
    part = ops.dynamic_slice(ops.square(x), (start, start), (2, 3))
    return ops.dynamic_update_slice(x, part, (start, start))


FUNCTIONS = {
    "product": lambda x: ops.reduce_prod(x, (0, 1)),
    "product along an axis": lambda x: ops.reduce_prod(x, (1,)),
    "maximum": lambda x: ops.square(ops.reduce_max(x, (0,))),
    "product with itself": lambda x: ops.dot_general(x, x, lhs_contracting=(1,), rhs_contracting=(1,)),
    "broadcast": lambda x: ops.broadcast_in_dim(ops.square(x), (5, 2, 3), (2, 0)),
    "pad": padded,
    "slice and concatenate": joined,
    "convolution": depthwise,
    "dynamic slices": block,
}


def sum_of_squares(x):
    return ops.reduce_sum(ops.square(x), range(x.rank))


def gradient_region(function, type_):
    """From x to the gradient of the sum of squares of `function`."""
    forward = build_region([type_], lambda x: [sum_of_squares(function(x))])
    builder = Builder()
    x = builder.parameter(type_)
    (total,), pullback = vjp(builder, forward, [x], [0])
    (gradient,) = pullback([ops.ones_like(total)])
    return builder.region([x], [gradient])


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_second_derivative(function, rng):
    x = distinct(rng, (3, 5))
    x[0, 0] = 0.0
    direction = rng.standard_normal(x.shape)
    gradient = gradient_region(function, type_of(x))
    builder = Builder()
    point, along = builder.parameter(type_of(x)), builder.parameter(type_of(x))
    _, (tangent,) = jvp(builder, gradient, [point], [along])
    (actual,) = interpret_region(builder.region([point, along], [tangent]), [x, direction])
    (high,), (low,) = (interpret_region(gradient, [x + sign * STEP * direction]) for sign in (1, -1))
    np.testing.assert_allclose(actual, (high - low) / (2 * STEP), rtol=1e-5, atol=1e-5)
