"""Branches: `cond` and `switch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tenfold.control.regions import (
    Leaves,
    Traced,
    converted,
    index_scalar,
    predicate,
    require_same_tree,
    require_same_type,
    trace,
)
from tenfold.higher_order import higher_order_function
from tenfold.tracing import TensorLike, current, here
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError
from tenfoldc import ops
from tenfoldc.ir.types import TensorType


@higher_order_function
def cond(pred: TensorLike, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
    """`true_fn(*operands)` where the bool scalar `pred` holds, else `false_fn(*operands)`; only one of them runs.

    Both give the same structure of tensors of the same shapes and dtypes; a Python number takes the dtype of its
    counterpart.  `ArgumentError`, `ShapeError` or `DTypeError` say where they differ.
    """
    test = predicate("cond", pred)
    branches = _agreeing("cond", ["true_fn", "false_fn"], [true_fn, false_fn], operands)
    results = ops.if_(test, *(branch.region for branch in branches))
    return branches[0].results.results(results)


@higher_order_function
def switch(index: TensorLike, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`; an `index` (integer scalar) out of range is taken to be the nearest in range.

    All branches give the same structure of tensors of the same shapes and dtypes, as for `cond`.
    """
    if not branches:
        raise ArgumentError("switch: there are no branches", where=here())
    traced = _agreeing("switch", [f"branch {number}" for number in range(len(branches))], branches, operands)
    number = index_scalar(index)
    builder = current().builder
    last = TensorType(dtypes.i64)
    clamped = ops.clamp(ops.full(builder, last, 0), number, ops.full(builder, last, len(branches) - 1))
    results = ops.case(ops.convert(clamped, dtypes.i32), [branch.region for branch in traced])
    return traced[0].results.results(results)


def _agreeing(
    name: str, labels: Sequence[str], functions: Sequence[Callable[..., Any]], operands: Sequence[Any]
) -> list[Traced]:
    """The branches as regions that give the same types."""
    traced = [trace(_without_parameters(function, operands), ()) for function in functions]
    for label, branch in zip(labels, traced, strict=True):
        require_same_tree(name, label, branch.results.tree, labels[0], traced[0].results.tree)
    wanted = [_decisive(leaves) for leaves in zip(*(_typed(branch.results) for branch in traced), strict=True)]
    agreeing = [converted(branch, wanted) for branch in traced]
    leaf_names = traced[0].results.names("result")
    for label, branch in zip(labels, agreeing, strict=True):
        for leaf, given, type_ in zip(leaf_names, branch.results.types, agreeing[0].results.types, strict=True):
            require_same_type(name, f"{leaf} of {label}", given, f"that of {labels[0]}", type_)
    return agreeing


def _without_parameters(function: Callable[..., Any], operands: Sequence[Any]) -> Callable[..., object]:
    return lambda *_: function(*operands)


def _typed(leaves: Leaves) -> list[tuple[TensorType, bool]]:
    return list(zip(leaves.types, leaves.weak, strict=True))


def _decisive(leaves: Sequence[tuple[TensorType, bool]]) -> TensorType:
    """The type that a place of the results has: that of a tensor, or where all are Python numbers, of the widest."""
    for type_, weak in leaves:
        if not weak:
            return type_
    return max((type_ for type_, _ in leaves), key=lambda type_: (type_.dtype.is_float, type_.dtype.bits))
