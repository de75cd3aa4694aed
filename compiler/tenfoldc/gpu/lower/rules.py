"""The lowering rules of GPUs."""

from __future__ import annotations

from tenfoldc.gpu.lower.cholesky import lower_cholesky
from tenfoldc.gpu.lower.lu import lower_lu
from tenfoldc.gpu.lower.nest import lower_nest
from tenfoldc.gpu.lower.products import lower_convolution, lower_dot_general
from tenfoldc.gpu.lower.row_blocks import lower_row_blocks
from tenfoldc.gpu.lower.scatter import lower_scatter
from tenfoldc.gpu.lower.sort import lower_sort, lower_top_k
from tenfoldc.gpu.lower.triangular_solve import lower_triangular_solve
from tenfoldc.gpu.lower.windows import lower_reduce_window, lower_select_and_scatter
from tenfoldc.ir.groups import Group, RowBlocks
from tenfoldc.lower.context import LoweringRule
from tenfoldc.lower.rules import Lowered, Rules, TargetRule, cpu_rules
from tenfoldc.lower.storage import Storage
from tenfoldc.ops.contraction import DOT_GENERAL
from tenfoldc.ops.convolution import CONVOLUTION
from tenfoldc.ops.linear_algebra import CHOLESKY, TRIANGULAR_SOLVE
from tenfoldc.ops.lu import LU
from tenfoldc.ops.scatter import SCATTER
from tenfoldc.ops.sort import SORT, TOP_K
from tenfoldc.ops.window import REDUCE_WINDOW, SELECT_AND_SCATTER
from tenfoldc.target import Target


def gpu_rules(target: Target) -> Rules:
    """The rules for a GPU; operations that have none of their own are lowered to loops as for a CPU."""

    def for_target(rule: TargetRule) -> LoweringRule:
        return lambda operation, ctx: rule(operation, ctx, target)

    operations = {
        **cpu_rules(target).operations,
        DOT_GENERAL.name: for_target(lower_dot_general),
        CONVOLUTION.name: for_target(lower_convolution),
        CHOLESKY.name: lower_cholesky,
        LU.name: lower_lu,
        TRIANGULAR_SOLVE.name: lower_triangular_solve,
        REDUCE_WINDOW.name: lower_reduce_window,
        SELECT_AND_SCATTER.name: lower_select_and_scatter,
        SCATTER.name: lower_scatter,
        SORT.name: lower_sort,
        TOP_K.name: lower_top_k,
    }

    def row_blocks(group: Group, blocks: RowBlocks, storage: Storage) -> Lowered:
        return lower_row_blocks(group, blocks, storage, target, operations)

    return Rules(lower_nest, row_blocks, operations)
