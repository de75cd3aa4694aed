"""Checkpoints, and programs whose derivatives the user gives, in both modes, batched, and simplified."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from test_control_transforms import Body, difference, gradient, pushed, run, scalar_of, types_of

from tenfold_rt.errors import UnsupportedError
from tenfoldc import ops
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.ir.core import DeferredRegions, Function, Module, walk
from tenfoldc.ops.custom import CustomAttributes
from tenfoldc.simplify import simplify
from tenfoldc.transform import vmap

ARRAYS = [np.array([0.3, -0.7, 1.1]), np.array([0.9, 0.2, 0.4])]
TANGENTS = [np.array([1.0, -0.5, 0.25]), np.array([0.5, 0.75, -1.0])]


def wave(x: Var, y: Var) -> list[Var]:
    return [ops.multiply(ops.sine(ops.multiply(x, y)), ops.exponential(x))]


def checkpointed(body: Body) -> Body:
    def build(*arguments: Var) -> Sequence[Var]:
        region = build_region([a.type for a in arguments], body, like=arguments[0].builder)
        return ops.checkpoint(arguments, region, arguments[0].builder)

    return build


def twice(body: Body) -> Body:
    """A checkpoint within a checkpoint, which uses a value from around it."""

    def build(x: Var, y: Var) -> Sequence[Var]:
        def inner(a: Var) -> Sequence[Var]:
            return checkpointed(body)(a, a.builder.var(y.value))

        region = build_region([x.type], inner, like=x.builder)
        return ops.checkpoint([x], region, x.builder)

    return build


def doubled_sine(with_rule: bool) -> Body:
    """sin(x) y, whose rule says that the derivative is twice what it is."""

    def program(x: Var, y: Var) -> list[Var]:
        return [ops.multiply(ops.sine(x), y)]

    def rule(x: Var, y: Var, dx: Var, dy: Var) -> list[Var]:
        slope = ops.add(ops.multiply(ops.multiply(ops.cosine(x), y), dx), ops.multiply(ops.sine(x), dy))
        return [*program(x, y), ops.add(slope, slope)]

    def build(x: Var, y: Var) -> Sequence[Var]:
        attributes = CustomAttributes(DeferredRegions(lambda: (build_region([x.type] * 4, rule),)))
        return ops.CUSTOM_JVP.apply(x, y, attributes=attributes, regions=[build_region([x.type] * 2, program)])

    return build if with_rule else program


def halved_product(x: Var, y: Var) -> Sequence[Var]:
    """x y, whose rule halves the cotangents."""

    def there(a: Var, b: Var) -> list[Var]:
        return [ops.multiply(a, b), a, b]

    def back(a: Var, b: Var, cotangent: Var) -> list[Var]:
        half = ops.multiply(cotangent, ops.full_like(cotangent, 0.5))
        return [ops.multiply(half, b), ops.multiply(half, a)]

    rules = build_region([x.type] * 2, there), build_region([x.type] * 3, back)
    program = build_region([x.type] * 2, lambda a, b: [ops.multiply(a, b)])
    return ops.CUSTOM_VJP.apply(x, y, attributes=CustomAttributes(DeferredRegions(lambda: rules)), regions=[program])


@pytest.mark.parametrize("body", [checkpointed(wave), twice(wave)], ids=["once", "nested"])
def test_a_checkpoint_changes_no_derivative(body: Body) -> None:
    types = types_of(ARRAYS)
    for derive in (lambda b: b, lambda b: gradient(b, types), lambda b: gradient(gradient(b, types), types)):
        for found, expected in zip(run(derive(body), ARRAYS), run(derive(wave), ARRAYS), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    for found, expected in zip(
        run(pushed(body, types), [*ARRAYS, *TANGENTS]), run(pushed(wave, types), [*ARRAYS, *TANGENTS]), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def count(body: Body, record: object) -> int:
    """How often a record's op is in the program that gives a value and its gradient, once that is simplified."""

    def value_and_gradient(*arguments: Var) -> list[Var]:
        return [*body(*arguments), *gradient(body, types_of(ARRAYS))(*arguments)]

    region = build_region(types_of(ARRAYS), value_and_gradient)
    function = simplify(Module({"main": Function("main", region)}), "main")
    return sum(operation.op is record for operation in walk(function.body))


def test_a_checkpoint_computes_again_what_it_does_not_keep() -> None:
    assert count(wave, ops.EXPONENTIAL) == 1
    assert count(checkpointed(wave), ops.EXPONENTIAL) == 2
    assert count(checkpointed(wave), ops.CHECKPOINT) == 0
    assert count(checkpointed(wave), ops.OPTIMIZATION_BARRIER) == 0


def test_a_rule_for_forward_mode_serves_both_modes() -> None:
    types = types_of(ARRAYS)
    with_rule, without = doubled_sine(True), doubled_sine(False)
    (pushed_with,) = run(pushed(with_rule, types), [*ARRAYS, *TANGENTS])
    (pushed_without,) = run(pushed(without, types), [*ARRAYS, *TANGENTS])
    np.testing.assert_allclose(pushed_with, 2 * pushed_without, rtol=1e-14)
    plain_gradients = run(gradient(without, types), ARRAYS)
    for found, plain in zip(run(gradient(with_rule, types), ARRAYS), plain_gradients, strict=True):
        np.testing.assert_allclose(found, 2 * plain, rtol=1e-14)


def test_a_rule_for_reverse_mode_is_used() -> None:
    found = run(gradient(halved_product, types_of(ARRAYS)), ARRAYS)
    np.testing.assert_allclose(found, [ARRAYS[1] / 2, ARRAYS[0] / 2], rtol=1e-15)


def test_a_rule_for_reverse_mode_has_no_forward_mode() -> None:
    with pytest.raises(UnsupportedError, match="custom_jvp"):
        run(pushed(halved_product, types_of(ARRAYS)), [*ARRAYS, *TANGENTS])


@pytest.mark.parametrize("body", [checkpointed(wave), doubled_sine(True), halved_product])
@pytest.mark.parametrize("derive", [lambda body, types: body, gradient], ids=["program", "gradient"])
def test_batches_of_them_are_loops(body: Body, derive: Callable[..., Body]) -> None:
    lanes = np.random.default_rng(3).uniform(-1, 1, (4, 3))
    types = types_of([lanes[0], ARRAYS[1]])
    region = build_region(types, derive(body, types))

    def mapped(*arguments: Var) -> list[Var]:
        results, flags = vmap(arguments[0].builder, region, arguments, [True, False], 4)
        return [r if flag else ops.add_batch_axis(r, 4) for r, flag in zip(results, flags, strict=True)]

    for number, found in enumerate(run(mapped, [lanes, ARRAYS[1]])):
        expected = [interpret_region(region, [lane, ARRAYS[1]])[number] for lane in lanes]
        np.testing.assert_allclose(found, np.stack(expected), rtol=1e-13)


def test_second_derivatives_pass_through_a_rule() -> None:
    types = types_of(ARRAYS)
    first = gradient(doubled_sine(True), types)
    found = run(pushed(first, types), [*ARRAYS, *TANGENTS])
    for actual, expected in zip(found, difference(first, ARRAYS, TANGENTS), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
    (value,) = run(scalar_of(doubled_sine(True)), ARRAYS)
    assert np.isfinite(value)
