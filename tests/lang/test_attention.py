"""Attention as programs write it, in many forms: computed block of rows by block, right to the last row and column."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold import tree as pytree
from tenfold.program import dense_array
from tenfoldc.allocate import allocate
from tenfoldc.fuse import fuse
from tenfoldc.interpret import interpret
from tenfoldc.ir.groups import GroupKind, Plan
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import Allocation, Axis, Buffer, For, If, Local, MultiplyPanels, Program, Statement
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.lower import cpu_rules, lower
from tenfoldc.schedule import schedule
from tenfoldc.simplify import simplify
from tenfoldc.target import host

Function = Callable[..., Any]
Array = np.ndarray[Any, Any]

LENGTH, DEPTH = 96, 16


def normal(*shape: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def heads(length: int = LENGTH, depth: int = DEPTH, dtype: str = "float32", keys: int | None = None) -> list[Array]:
    """q, k and v of two sequences with three heads."""
    lengths = (length, keys or length, keys or length)
    return [normal(2, 3, size, depth, dtype=dtype) + 0.1 * place for place, size in enumerate(lengths)]


def causal(scores: Any) -> Any:
    rows, columns = (tn.arange(size) for size in scores.shape[-2:])
    return tn.where(columns[None, :] <= rows[:, None], scores, -math.inf)


def later_filled(scores: Any) -> Any:
    """The causal mask the other way round, in 32-bit numbers, and with the row itself left out but for the first."""
    row, column = (tn.arange(LENGTH, dtype=tn.i32).reshape(shape) for shape in ((LENGTH, 1), (1, LENGTH)))
    return tn.where((column > row - 1) & (column > 0), -math.inf, scores)


def attention(change: Function = lambda scores: scores, then: Function = lambda weights: weights) -> Function:
    """softmax(change(q k^T)) v, the weights changed by `then`; further arguments go to both."""

    def compute(q: Any, k: Any, v: Any, *more: Any) -> Any:
        return then(tn.softmax(change(q @ k.mT, *more), dim=-1)) @ v

    return compute


def one_head(q: Any, k: Any, v: Any) -> Any:
    return tn.softmax(q @ k.mT / 4, dim=-1) @ v


def heads_last(q: Any, k: Any, v: Any) -> Any:
    """Heads beside the depth, as projections leave them."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return (tn.softmax(q @ k.mT, dim=-1) @ v).transpose(1, 2)


def shared_keys(q: Any, k: Any, v: Any) -> Any:
    """Groups of heads that have their keys in common."""
    return tn.einsum("bhgqs,bhsd->bhgqd", tn.softmax(tn.einsum("bhgqd,bhsd->bhgqs", q, k), dim=-1), v)


def transposed_scores(q: Any, k: Any, v: Any) -> Any:
    return (v.mT @ tn.softmax(k @ q.mT, dim=-2)).mT


def unsafe(q: Any, k: Any, v: Any) -> Any:
    """No maximum subtracted, the sum divided by afterwards."""
    grown = tn.exp(q @ k.mT / 10)
    return (grown @ v) / tn.sum(grown, dim=-1, keepdim=True)


FORMS: dict[str, tuple[Function, list[Array]]] = {
    "plain": (attention(), heads()),
    "scaled after": (attention(lambda s: s * 0.25), heads()),
    "scaled before": (tn.scaled_dot_product_attention, heads()),
    "causal": (attention(causal), heads()),
    "causal and scaled": (attention(lambda s: causal(s / 4)), heads()),
    "causal, fewer queries": (attention(causal), heads(64, keys=LENGTH)),
    "later keys filled": (attention(later_filled), heads()),
    "added mask": (attention(lambda s, m: s + m), [*heads(), normal(LENGTH, LENGTH)]),
    "a mask for each head": (attention(lambda s, m: s + m), [*heads(), normal(3, 1, LENGTH)]),
    "keys left out": (attention(lambda s, m: tn.where(m > 0, s, -math.inf)), [*heads(), normal(2, 1, 1, LENGTH)]),
    "bounded scores": (attention(lambda s: 3 * tn.tanh(s / 3)), heads()),
    "weights left out": (attention(then=lambda w: w * (w > 0.005) / 0.9), heads()),
    "one head": (one_head, [x[0, 0] for x in heads()]),
    "many axes": (attention(), [normal(2, 1, 2, 2, LENGTH, 8) for _ in range(3)]),
    "ragged": (attention(causal), heads(101, 24)),
    "a long ragged row": (attention(causal), [x[0, :1] for x in heads(513, 24)]),
    "f64": (attention(causal), heads(dtype="float64")),
    "one query": (attention(), heads(1, keys=LENGTH)),
    "short": (attention(causal), heads(37, 24)),
    "heads last": (heads_last, [normal(2, LENGTH, 3, DEPTH) for _ in range(3)]),
    "keys in common": (shared_keys, [normal(2, 2, 3, LENGTH, DEPTH), *(normal(2, 2, LENGTH, DEPTH) for _ in "kv")]),
    "transposed scores": (transposed_scores, heads()),
    "unsafe": (unsafe, heads()),
}

DOWN_COLUMNS = {"transposed scores"}
"""Forms whose softmax does not run along memory: the scores are computed at once."""

FEW_SCORES = {"one query", "short"}
"""Forms whose scores are no more than what they are computed from."""

QUICK = {"causal", "a long ragged row", "keys in common", "weights left out"}
"""Forms whose gradients are always tested."""


def gradient(function: Function) -> Function:
    def loss(*arguments: Any) -> Any:
        return tn.sum(function(*arguments) ** 2)

    return tn.grad(loss, argnums=(0, 1, 2))


def interpreted(function: Function, *arguments: Any) -> list[Array]:
    lowered = tn.compile(function).lower(*arguments)
    (name,) = lowered.module.entries
    return interpret(lowered.module, [dense_array(x, "x") for x in arguments], name)


def check(function: Function, arguments: list[Array]) -> None:
    results, _ = pytree.flatten(tn.compile(function)(*arguments))
    tolerance = 1e-12 if arguments[0].dtype == np.float64 else 1e-5
    for ours, expected in zip(results, interpreted(function, *arguments), strict=True):
        np.testing.assert_allclose(np.asarray(ours), expected, rtol=tolerance, atol=tolerance * 10)


def planned(function: Function, *arguments: Any) -> tuple[Plan, Program, Allocation]:
    module = tn.compile(function).lower(*arguments).module
    (name,) = module.entries
    simple = simplify(module, name)
    plan = fuse(simple)
    program = schedule(lower(simple, plan, cpu_rules(host())), host())
    return plan, program, allocate(program)


def buffers_of(program: Program) -> list[Buffer]:
    return [*program.temporaries, *(buffer for kernel in program.kernels for buffer in kernel.scratch)]


def multiplications(statements: Sequence[Statement], at: Mapping[Axis | Local, Array]) -> int:
    """How many multiplications the tiles in `statements` do."""
    total = 0
    for statement in statements:
        match statement:
            case For() if any(isinstance(inner, MultiplyPanels) for inner in walk_statements([statement])):
                for turn in range(int(evaluate(statement.extent, at))):
                    total += multiplications(statement.body, {**at, statement.axis: np.asarray(turn)})
            case If():
                taken = statement.then if evaluate(statement.condition, at) else statement.otherwise
                total += multiplications(taken, at)
            case MultiplyPanels():
                total += statement.rows * statement.columns * int(evaluate(statement.depth, at))
            case _:
                pass
    return total


def work(function: Function) -> int:
    """Multiplications of attention, or its gradient, over one head of 384 rows."""
    _, program, _ = planned(function, *(x[:1, :1] for x in heads(384)))
    return sum(multiplications(kernel.body, {}) for kernel in program.kernels)


@pytest.mark.parametrize("name", FORMS)
def test_attention_is_right_in_every_form(name: str) -> None:
    check(*FORMS[name])


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in FORMS])
def test_the_gradient_of_attention_is_right_in_every_form(name: str) -> None:
    function, arguments = FORMS[name]
    check(gradient(function), arguments)


@pytest.mark.parametrize("name", sorted(set(FORMS) - FEW_SCORES - DOWN_COLUMNS))
@pytest.mark.parametrize("change", [lambda f: f, gradient], ids=["forward", "gradient"])
def test_scores_exist_for_some_rows_at_a_time_only(name: str, change: Function) -> None:
    function, arguments = FORMS[name]
    plan, program, _ = planned(change(function), *arguments)
    assert sum(group.kind is GroupKind.ROW_BLOCKS for group in plan.groups) == 1
    if name == "keys in common" and change is gradient:
        pytest.skip("the gradient of keys that heads have in common sums over heads and rows at once")
    assert all(math.prod(buffer.shape) < arguments[0].size * 4 for buffer in buffers_of(program))


def test_scores_that_are_few_are_computed_at_once() -> None:
    for name in FEW_SCORES | DOWN_COLUMNS:
        plan, _, _ = planned(*FORMS[name][:1], *FORMS[name][1])
        assert all(group.kind is not GroupKind.ROW_BLOCKS for group in plan.groups)


def test_memory_grows_with_the_length_not_its_square() -> None:
    sizes = [planned(gradient(attention()), *heads(length))[2].workspace_bytes for length in (256, 1024)]
    assert sizes[1] < 6 * sizes[0]


def test_what_the_causal_mask_leaves_out_is_not_computed() -> None:
    assert work(attention(causal)) < 0.66 * work(attention())
    assert work(gradient(attention(causal))) < 0.66 * work(gradient(attention()))
    assert work(attention(lambda s: causal(s) + 1)) < 0.66 * work(attention())


def test_columns_whose_mask_is_no_neutral_number_are_computed() -> None:
    def low(scores: Any) -> Any:
        return tn.where(causal(scores) == scores, scores, -1e30)

    assert work(attention(low)) == work(attention())


def test_a_query_that_sees_no_key_gives_nan_as_softmax_does() -> None:
    q, k, v = heads()
    mask = np.ones((LENGTH, 1), np.float32)
    mask[3] = 0
    function = attention(lambda s, m: tn.where(m > 0, causal(s), -math.inf))
    result = np.asarray(tn.compile(function)(q, k, v, mask))
    assert np.isnan(result[:, :, 3]).all()
    assert not np.isnan(np.delete(result, 3, axis=2)).any()


def test_weights_that_are_wanted_too_are_written() -> None:
    def both(q: Any, k: Any, v: Any) -> Any:
        weights = tn.softmax(causal(q @ k.mT), dim=-1)
        return weights @ v, weights, tn.sum(weights, dim=-2)

    check(both, heads())


def test_gradients_far_from_the_forward_pass_compute_the_scores_again() -> None:
    def loss(q: Any, k: Any, v: Any) -> Any:
        mixed = attention(causal)(q, k, v)
        return tn.sum((mixed - tn.mean(mixed)) ** 3)

    function = tn.grad(loss, argnums=(0, 1, 2))
    plan, program, _ = planned(function, *heads())
    assert sum(group.kind is GroupKind.ROW_BLOCKS for group in plan.groups) == 2
    assert all(buffer.shape[-2:] != (LENGTH, LENGTH) for buffer in buffers_of(program))
    check(function, heads())


def test_results_are_the_same_bits_for_any_number_of_threads() -> None:
    for function in (attention(causal), gradient(attention(causal))):
        compiled = tn.compile(function)
        outcomes: list[list[bytes]] = []
        for count in (1, 2, 3):
            with tn.threads(count):
                leaves, _ = pytree.flatten(compiled(*heads(200)))
            outcomes.append([np.asarray(leaf).tobytes() for leaf in leaves])
        assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize(("length", "depth"), [(150, 8), (133, 4), (200, 1)])
def test_all_rows_of_blocks_are_computed_where_products_have_tiles_of_their_own(length: int, depth: int) -> None:
    q, k, v = heads(length, depth)
    scores = np.exp(q.astype("float64") @ k.swapaxes(-1, -2))
    expected = scores / scores.sum(-1, keepdims=True) @ v
    np.testing.assert_allclose(np.asarray(tn.compile(attention())(q, k, v)), expected, rtol=2e-5, atol=2e-5)
