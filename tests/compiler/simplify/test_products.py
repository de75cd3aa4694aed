"""Small products that share an operand, and shallow ones that are added up, become one."""

from __future__ import annotations

import numpy as np
from simplifying import Body, module_of, ops_of, simplified

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType


def product(x: Var, w: Var) -> Var:
    return ops.dot_general(x, w, lhs_contracting=(1,), rhs_contracting=(0,))


def outer(x: Var, y: Var) -> Var:
    """Contracted along the rows of both, as in the gradient of a weight."""
    return ops.dot_general(x, y, lhs_contracting=(0,), rhs_contracting=(0,))


def step(x: Var, number: int) -> Var:
    """Matrix `number` of a stack."""
    return ops.reshape(ops.slice_(x, (number, 0, 0), (number + 1, *x.sizes[1:])), x.sizes[1:])


def ops_left(shapes: list[tuple[int, ...]], body: Body) -> list[str]:
    """The ops after simplification, which leaves the numbers as they were, up to rounding."""
    module = module_of([TensorType(dtypes.f64, shape) for shape in shapes], body)
    after = simplified(module)
    rng = np.random.default_rng(5)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    for expected, given in zip(interpret(module, arrays), interpret(after, arrays), strict=True):
        np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-12)
    return ops_of(after)


def test_products_of_neighbouring_parts_are_one_product_whatever_their_order() -> None:
    def body(x: Var, w: Var) -> list[Var]:
        return [product(step(x, number), w) for number in (2, 0, 1)]

    assert ops_left([(3, 4, 5), (5, 6)], body) == ["reshape", "dot_general", "slice", "slice", "slice"]


def test_the_parts_may_be_of_the_rhs() -> None:
    def body(x: Var, w: Var) -> list[Var]:
        return [product(x, ops.slice_(w, (0, number), (5, number + 3))) for number in (0, 3)]

    assert ops_left([(4, 5), (5, 6)], body) == ["dot_general", "slice", "slice"]


def test_parts_with_a_gap_between_them_are_multiplied_one_by_one() -> None:
    def body(x: Var, w: Var) -> list[Var]:
        return [product(step(x, number), w) for number in (0, 2)]

    assert ops_left([(3, 4, 5), (5, 6)], body).count("dot_general") == 2


def test_large_parts_are_multiplied_one_by_one() -> None:
    def body(x: Var, w: Var) -> list[Var]:
        return [product(ops.slice_(x, (first, 0), (first + 300, 2)), w) for first in (0, 300)]

    assert ops_left([(600, 2), (2, 2)], body).count("dot_general") == 2


def test_a_sum_of_shallow_products_is_one_deep_product() -> None:
    shapes = [(4, 9), (4, 8)] * 3

    def body(*factors: Var) -> Var:
        terms = [outer(x, y) for x, y in zip(factors[::2], factors[1::2], strict=True)]
        return ops.add(terms[0], ops.add(terms[1], terms[2]))

    assert ops_left(shapes, body) == ["concatenate", "concatenate", "dot_general"]


def test_what_else_is_added_stays() -> None:
    def body(x: Var, y: Var, z: Var) -> Var:
        return ops.add(ops.add(outer(x, y), z), outer(y, x))

    assert ops_left([(4, 9), (4, 9), (9, 9)], body) == ["concatenate", "concatenate", "dot_general", "add"]


def test_parts_of_one_array_are_not_copied_side_by_side() -> None:
    """The gradients come in the order of the last step first; another sum over them follows the same order."""

    def body(x: Var, *others: Var) -> list[Var]:
        gradients, states = others[:3], others[3:]
        weights = [outer(gradient, step(x, 2 - number)) for number, gradient in enumerate(gradients)]
        inner = [outer(gradient, state) for gradient, state in zip(gradients, states, strict=True)]
        return [ops.add(ops.add(terms[0], terms[1]), terms[2]) for terms in (inner, weights)]

    left = ops_left([(3, 4, 7), *[(4, 9)] * 3, *[(4, 8)] * 3], body)
    assert sorted(left) == ["concatenate", "concatenate", "dot_general", "dot_general", "reshape"]


def test_deep_products_are_added_as_they_are() -> None:
    def body(x: Var, y: Var) -> Var:
        return ops.add(outer(x, y), outer(y, x))

    assert ops_left([(300, 9), (300, 9)], body).count("dot_general") == 2


def test_a_product_that_is_used_elsewhere_is_left_alone() -> None:
    def body(x: Var, y: Var) -> list[Var]:
        first = outer(x, y)
        return [ops.add(first, outer(y, x)), first]

    assert ops_left([(4, 9), (4, 9)], body).count("dot_general") == 2
