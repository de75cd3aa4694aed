"""How each kind of group is lowered: nests, row blocks, and operations that have a rule of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation
from tenfoldc.ir.groups import Group, RowBlocks
from tenfoldc.loops.ir import Buffer, Statement
from tenfoldc.lower.context import LoweringContext, LoweringRule
from tenfoldc.lower.convolutions.convolution import lower_convolution
from tenfoldc.lower.copying import lower_concatenate
from tenfoldc.lower.linear_algebra.cholesky import lower_cholesky
from tenfoldc.lower.linear_algebra.lu import lower_lu
from tenfoldc.lower.linear_algebra.triangular_solve import lower_triangular_solve
from tenfoldc.lower.nest_loops import lower_nest
from tenfoldc.lower.products.contraction import lower_dot_general
from tenfoldc.lower.row_blocks.kernel import lower_row_blocks
from tenfoldc.lower.scatter import lower_scatter
from tenfoldc.lower.sort import lower_sort
from tenfoldc.lower.storage import Storage
from tenfoldc.lower.top_k import lower_top_k
from tenfoldc.lower.window import lower_reduce_window, lower_select_and_scatter
from tenfoldc.ops.contraction import DOT_GENERAL
from tenfoldc.ops.convolution import CONVOLUTION
from tenfoldc.ops.linear_algebra import CHOLESKY, TRIANGULAR_SOLVE
from tenfoldc.ops.lu import LU
from tenfoldc.ops.movement import CONCATENATE
from tenfoldc.ops.scatter import SCATTER
from tenfoldc.ops.sort import SORT, TOP_K
from tenfoldc.ops.window import REDUCE_WINDOW, SELECT_AND_SCATTER
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

TargetRule: TypeAlias = Callable[[Operation, LoweringContext, Target], Sequence[Statement]]

Lowered: TypeAlias = tuple[Sequence[Statement], Sequence[Buffer]]
"""Statements, and the scratch memory that they use."""


@frozen
class Rules:
    """What a target does with nests, with row blocks, and by name with operations neither elementwise nor control."""

    nest: Callable[[Group, Storage], Lowered]
    row_blocks: Callable[[Group, RowBlocks, Storage], Lowered]
    operations: Mapping[str, LoweringRule]
    decisions: Decisions = field(default_factory=Decisions)


def cpu_rules(target: Target, decisions: Decisions | None = None) -> Rules:
    """The rules for a CPU; they take note of their `decisions`."""
    made = Decisions() if decisions is None else decisions

    def row_blocks(group: Group, blocks: RowBlocks, storage: Storage) -> Lowered:
        return lower_row_blocks(group, blocks, storage, target, made)

    def for_target(rule: TargetRule) -> LoweringRule:
        return lambda operation, ctx: rule(operation, ctx, target)

    operations: dict[str, LoweringRule] = {
        DOT_GENERAL.name: lambda operation, ctx: lower_dot_general(operation, ctx, target, made),
        CHOLESKY.name: for_target(lower_cholesky),
        LU.name: for_target(lower_lu),
        TRIANGULAR_SOLVE.name: for_target(lower_triangular_solve),
        CONCATENATE.name: lower_concatenate,
        CONVOLUTION.name: lambda operation, ctx: lower_convolution(operation, ctx, target, made),
        REDUCE_WINDOW.name: lower_reduce_window,
        SELECT_AND_SCATTER.name: lower_select_and_scatter,
        SCATTER.name: lower_scatter,
        SORT.name: lower_sort,
        TOP_K.name: lower_top_k,
    }
    return Rules(lower_nest, row_blocks, operations, made)
