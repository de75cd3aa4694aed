"""Rules for results that nothing, or one element, or no element is summed into."""

from __future__ import annotations

import numpy as np

from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Operation
from tenfoldc.ir.op import Kind
from tenfoldc.ops.contraction import DotGeneralAttributes
from tenfoldc.ops.reducer import Reducer
from tenfoldc.ops.reduction import ReduceAttributes
from tenfoldc.simplify.matching import Match, Table, is_static

REDUCTION = Table()


def empty_result(operation: Operation, builder: Builder) -> Var | None:
    """A constant for an operation, other than one of control flow, whose only result has no elements."""
    type_ = operation.results[0].type
    if operation.op is ops.CONSTANT or operation.op.kind is Kind.CONTROL or 0 not in type_.shape:
        return None
    return ops.constant(builder, np.zeros(type_.sizes, type_.dtype.numpy)) if is_static(type_) else None


@REDUCTION.rule(ops.REDUCE)
def reduce_of_nothing(match: Match[ReduceAttributes]) -> Var | None:
    """No element: the initial value."""
    if any(match.operand.shape[axis] == 0 for axis in match.attributes.dimensions):
        return ops.broadcast_in_dim(match.operands[1], match.type.shape, ())
    return None


@REDUCTION.rule(ops.REDUCE)
def reduce_of_single_elements(match: Match[ReduceAttributes]) -> Var | None:
    """Along axes of size 1, or none: each element combined with the initial value."""
    if any(match.operand.shape[axis] != 1 for axis in match.attributes.dimensions):
        return None
    reducer = ops.recognise(match.operation.regions[0])
    if reducer is None or reducer in (Reducer.ARGMAX, Reducer.ARGMIN):
        return None
    init = ops.broadcast_in_dim(match.operands[1], match.type.shape, ())
    (combined,) = ops.body_of(reducer)(init, ops.reshape(match.operand, match.type.shape))
    return combined


@REDUCTION.rule(ops.DOT_GENERAL)
def dot_general_without_terms(match: Match[DotGeneralAttributes]) -> Var | None:
    """Sums of no products are 0."""
    axes = match.attributes.dot_dimension_numbers.lhs_contracting_dimensions
    if any(match.operand.shape[axis] == 0 for axis in axes):
        return ops.zeros_like(Var(match.operation.results[0], match.builder))
    return None
