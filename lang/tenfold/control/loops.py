"""Loops: `while_loop` and `fori_loop`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tenfold import tree as pytree
from tenfold.control.regions import (
    Leaves,
    index_scalar,
    predicate,
    require_same_tree,
    require_same_type,
    trace,
)
from tenfold.higher_order import higher_order_function
from tenfold.promotion import convert
from tenfold.tracing import TensorLike, current, here, lift, wrap
from tenfold.tree import Tree
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.ir.core import Region
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction


@higher_order_function
def while_loop(cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any) -> Any:
    """Repeat `carry = body_fn(carry)`, at first `init`, while `cond_fn(carry)` holds; gives the last carry.

    `cond_fn` gives one bool, `body_fn` a carry of the same structure, shapes and dtypes.  Reverse-mode derivatives
    keep what each turn needs on a tape that grows with the number of turns.
    """
    carry = Leaves.of(init)

    def body(tensors: Sequence[Any]) -> tuple[object, object]:
        return body_fn(pytree.unflatten(carry.tree, tensors)), None

    def condition(tensors: Sequence[Any]) -> object:
        return wrap(predicate("while_loop", cond_fn(pytree.unflatten(carry.tree, tensors))))

    if not carry.values:
        raise ArgumentError("while_loop: the carry holds no tensor", where=here(), mend="carry what the turns change")
    loop = settled("while_loop", carry, body)
    test = trace(condition, [value.type for value in loop.values])
    return carry.results(ops.while_(loop.values, test.region, loop.body))


@higher_order_function
def fori_loop(lower: TensorLike, upper: TensorLike, body_fn: Callable[[Any, Any], Any], init: Any) -> Any:
    """`carry = body_fn(i, carry)` for i (i64) from `lower` to `upper` - 1; gives the last carry.

    `lower` and `upper` are Python's integers or integer scalars.
    """
    carry = Leaves.of(init)

    def body(tensors: Sequence[Any]) -> tuple[object, object]:
        return body_fn(tensors[0], pytree.unflatten(carry.tree, tensors[1:])), None

    index = TensorType(dtypes.i64)
    loop = settled("fori_loop", carry, body, before=[index])
    first, values = index_scalar(lower), loop.values
    counted = _counting(loop.body)
    if isinstance(lower, int) and isinstance(upper, int):
        results = ops.scan([first, *values], [], counted, turns=max(0, upper - lower))
    else:
        last = index_scalar(upper)

        def is_below(turn: Var, *_: Var) -> list[Var]:
            return [ops.compare(turn, turn.builder.var(last.value), Direction.LT)]

        types = [index, *(value.type for value in values)]
        results = ops.while_([first, *values], build_region(types, is_below, like=current().builder), counted)
    return carry.results(results[1:])


def _counting(body: Region) -> Region:
    """`body`, which takes an index before the carry, giving the next index too."""

    def build(turn: Var, *values: Var) -> list[Var]:
        return [ops.add(turn, ops.ones_like(turn)), *turn.builder.inline(body, [turn, *values])]

    return build_region([parameter.type for parameter in body.parameters], build, like=current().builder)


@frozen
class Settled:
    """A loop whose types are settled: the carry as it begins, and the body, which gives the next carry and then the
    leaves of `extra`."""

    values: list[Var]
    body: Region
    extra: Tree


def settled(
    name: str,
    carry: Leaves,
    body: Callable[[Sequence[Any]], tuple[object, object]],
    before: Sequence[TensorType] = (),
    after: Sequence[TensorType] = (),
) -> Settled:
    """The types of a loop whose body takes values of the types `before`, the carry, and values of the types `after`,
    and gives the next carry and whatever else.

    Parts of the carry that begin as Python numbers take the dtypes that the body gives them.
    """
    values = list(carry.values)
    while True:
        types = [value.type for value in values]
        traced = trace(body, [*before, *types, *after], types)
        following, extra = traced.results.tree.children
        require_same_tree(name, "the body", following, "the carry is", carry.tree)
        given = traced.results.types[: len(values)]
        yielding = [
            number
            for number, (value, type_) in enumerate(zip(values, given, strict=True))
            if carry.weak[number] and type_.rank == 0 and _is_wider(type_, value.type)
        ]
        if not yielding:
            break
        for number in yielding:
            begun = carry.number(number)
            dtype = given[number].dtype
            values[number] = convert(values[number], dtype) if begun is None else lift(begun, dtype)
    for label, type_, value in zip(carry.names("the carry"), given, values, strict=True):
        require_same_type(name, f"{label} after a turn", type_, "before it", value.type)
    return Settled(values, traced.region, extra)


def _is_wider(type_: TensorType, than: TensorType) -> bool:
    return (type_.dtype.is_float, type_.dtype.bits) > (than.dtype.is_float, than.dtype.bits)
