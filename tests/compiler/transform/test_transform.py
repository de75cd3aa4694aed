"""Derivatives and batching of whole regions, checked through the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.errors import UnsupportedError
from tenfoldc import ops
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Location, Region
from tenfoldc.ir.types import TensorType
from tenfoldc.transform import jvp, vjp, vmap

Array = NDArray[Any]
Body = Callable[..., Sequence[Var]]


def types_of(arrays: Sequence[Array]) -> list[TensorType]:
    return [TensorType(dtypes.from_numpy(array.dtype), array.shape) for array in arrays]


def gradient(body: Body, arrays: Sequence[Array], wrt: Sequence[int]) -> Region:
    """A region from arguments to the gradients of the body's first result, a scalar."""

    def build(*arguments: Var) -> list[Var]:
        region = build_region(types_of(arrays), body)
        results, pullback = vjp(arguments[0].builder, region, arguments, wrt)
        cotangents = [ops.ones_like(results[0]), *[None] * (len(results) - 1)]
        return [
            ops.zeros_like(arguments[i]) if cotangent is None else cotangent
            for i, cotangent in zip(wrt, pullback(cotangents), strict=True)
        ]

    return build_region(types_of(arrays), build)


def as_body(region: Region) -> Body:
    return lambda *arguments: arguments[0].builder.inline(region, arguments)


def tanh_of_product(x: Var, w: Var) -> list[Var]:
    product = ops.dot_general(x, w, lhs_contracting=[1], rhs_contracting=[0])
    return [ops.reduce_sum(ops.multiply(ops.tanh(product), product), [0, 1])]


@pytest.fixture
def arrays() -> list[Array]:
    rng = np.random.default_rng(7)
    return [rng.standard_normal((3, 4)), rng.standard_normal((4, 2))]


def directional(region: Region, arrays: Sequence[Array], tangents: Sequence[Array], step: float = 1e-6) -> Array:
    """The derivative of the region's first result along `tangents`, by central differences."""
    ahead = interpret_region(region, [a + step * t for a, t in zip(arrays, tangents, strict=True)])[0]
    behind = interpret_region(region, [a - step * t for a, t in zip(arrays, tangents, strict=True)])[0]
    return (ahead - behind) / (2 * step)


def test_reverse_mode_equals_finite_differences(arrays: list[Array]) -> None:
    region = build_region(types_of(arrays), tanh_of_product)
    tangents = [np.random.default_rng(1).standard_normal(a.shape) for a in arrays]
    gradients = interpret_region(gradient(tanh_of_product, arrays, [0, 1]), arrays)
    along = sum(np.vdot(g, t) for g, t in zip(gradients, tangents, strict=True))
    np.testing.assert_allclose(along, directional(region, arrays, tangents), rtol=1e-7)


def test_forward_mode_equals_finite_differences(arrays: list[Array]) -> None:
    region = build_region(types_of(arrays), tanh_of_product)
    tangents = [np.random.default_rng(2).standard_normal(a.shape) for a in arrays]

    def pushed(*arguments: Var) -> list[Var]:
        _, (tangent,) = jvp(arguments[0].builder, region, arguments[:2], arguments[2:])
        assert tangent is not None
        return [tangent]

    (result,) = interpret_region(build_region(types_of([*arrays, *tangents]), pushed), [*arrays, *tangents])
    np.testing.assert_allclose(result, directional(region, arrays, tangents), rtol=1e-7)


def test_a_gradient_can_be_differentiated_again(arrays: list[Array]) -> None:
    first = gradient(tanh_of_product, arrays, [0])

    def norm_of_gradient(*arguments: Var) -> list[Var]:
        (result,) = as_body(first)(*arguments)
        return [ops.reduce_sum(ops.multiply(result, result), [0, 1])]

    second = interpret_region(gradient(norm_of_gradient, arrays, [0, 1]), arrays)
    tangents = [np.random.default_rng(3).standard_normal(a.shape) for a in arrays]
    along = sum(np.vdot(g, t) for g, t in zip(second, tangents, strict=True))
    region = build_region(types_of(arrays), norm_of_gradient)
    np.testing.assert_allclose(along, directional(region, arrays, tangents), rtol=1e-6)


def test_batching_equals_a_loop(arrays: list[Array]) -> None:
    region = build_region(types_of(arrays), tanh_of_product)
    batch = np.random.default_rng(4).standard_normal((5, 3, 4))

    def mapped(*arguments: Var) -> list[Var]:
        results, flags = vmap(arguments[0].builder, region, arguments, [True, False], 5)
        assert flags == (True,)
        return list(results)

    (result,) = interpret_region(build_region(types_of([batch, arrays[1]]), mapped), [batch, arrays[1]])
    expected = [interpret_region(region, [x, arrays[1]])[0] for x in batch]
    np.testing.assert_allclose(result, np.stack(expected), rtol=1e-12)


def test_batched_gradient_equals_gradient_of_each(arrays: list[Array]) -> None:
    region = gradient(tanh_of_product, arrays, [1])
    batch = np.random.default_rng(5).standard_normal((6, 3, 4))

    def mapped(*arguments: Var) -> list[Var]:
        return list(vmap(arguments[0].builder, region, arguments, [True, False], 6)[0])

    (result,) = interpret_region(build_region(types_of([batch, arrays[1]]), mapped), [batch, arrays[1]])
    expected = [interpret_region(region, [x, arrays[1]])[0] for x in batch]
    np.testing.assert_allclose(result, np.stack(expected), rtol=1e-12)


def test_a_value_used_twice_receives_both_cotangents() -> None:
    arrays = [np.array([2.0, 3.0])]

    def square_plus_itself(x: Var) -> list[Var]:
        return [ops.reduce_sum(ops.add(ops.multiply(x, x), x), [0])]

    (result,) = interpret_region(gradient(square_plus_itself, arrays, [0]), arrays)
    np.testing.assert_array_equal(result, [5.0, 7.0])


def test_an_integer_path_carries_no_derivative() -> None:
    arrays = [np.array([1.5, 2.5])]

    def through_integers(x: Var) -> list[Var]:
        rounded = ops.convert(ops.convert(x, dtypes.i32), dtypes.f64)
        return [ops.reduce_sum(ops.multiply(rounded, x), [0])]

    (result,) = interpret_region(gradient(through_integers, arrays, [0]), arrays)
    np.testing.assert_array_equal(result, [1.0, 2.0])


def test_an_op_without_a_rule_is_named_with_its_line() -> None:
    types = [TensorType(dtypes.f64, (3,))]
    builder = Builder()
    builder.location = Location("model.py", 12)
    x = builder.parameter(types[0])

    def multiply_all(total: Var, each: Var) -> list[Var]:
        return [ops.multiply(ops.sine(total), each)]

    (result,) = ops.reduce([x], [ops.constant(builder, 1.0, dtypes.f64)], [0], multiply_all)
    region = builder.region([x], [result])
    outer = Builder()
    argument = outer.parameter(types[0])
    _, pullback = vjp(outer, region, [argument], [0])
    with pytest.raises(UnsupportedError, match=r"reduce: .*model\.py:12"):
        pullback([ops.constant(outer, 1.0, dtypes.f64)])
