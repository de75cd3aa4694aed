"""How much memory programs take: what is counted, and that the workspace is as small as lifetimes allow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from loop_programs import allocated, dense, f32, function, layer_norm, softmax

from tenfoldc import ops
from tenfoldc.allocate import Usage, usage
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Function


def used(source: Function) -> Usage:
    return usage(*allocated(source))


def test_arguments_results_and_constants_are_counted() -> None:
    def shifted(x: Var) -> Var:
        return ops.add(x, ops.constant(x.builder, np.arange(100, dtype=np.float32)))

    use = used(function([f32(100)], shifted))
    assert (use.parameters, use.results, use.constants, use.workspace) == (400, 400, 400, 0)
    assert use.peak == 1200


def test_a_donated_result_takes_no_memory() -> None:
    use = used(function([f32(100), f32(100)], lambda p, g: [ops.subtract(p, g)], [(0, 0)]))
    assert (use.results, use.peak) == (0, 800)


def deep(x: Var, w: Var, b: Var) -> Var:
    for _ in range(8):
        x = ops.tanh(dense(x, w, b))
    return x


def attention(q: Var, k: Var, v: Var) -> Var:
    scores = softmax(ops.dot_general(q, k, lhs_contracting=[1], rhs_contracting=[1]))
    return ops.dot_general(scores, v, lhs_contracting=[1], rhs_contracting=[0])


def normed(x: Var, scale: Var, shift: Var) -> Var:
    return layer_norm(ops.reverse(layer_norm(x, scale, shift), [0]), scale, shift)


PROGRAMS: dict[str, tuple[Callable[..., Var], list[tuple[int, ...]]]] = {
    "deep": (deep, [(128, 128), (128, 128), (128,)]),
    "attention": (attention, [(64, 32)] * 3),
    "normed": (normed, [(64, 96), (96,), (96,)]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_workspace_is_no_larger_than_what_is_live(name: str) -> None:
    compute, shapes = PROGRAMS[name]
    use = used(function([f32(*shape) for shape in shapes], compute))
    assert use.workspace == use.live


def test_a_chain_of_layers_keeps_two_of_them() -> None:
    use = used(function([f32(*shape) for shape in PROGRAMS["deep"][1]], deep))
    layer = 128 * 128 * 4
    assert use.workspace - use.per_thread <= 4 * layer
