"""Which rule lowers which operation that is neither elementwise nor a reduction nor control flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from tenfoldc.ir.core import Operation
from tenfoldc.loops.ir import Statement
from tenfoldc.lower.context import LoweringContext, LoweringRule
from tenfoldc.lower.convolutions.convolution import lower_convolution
from tenfoldc.lower.copying import lower_concatenate
from tenfoldc.lower.linear_algebra.cholesky import lower_cholesky
from tenfoldc.lower.linear_algebra.triangular_solve import lower_triangular_solve
from tenfoldc.lower.products.contraction import lower_dot_general
from tenfoldc.lower.scatter import lower_scatter
from tenfoldc.lower.sort import lower_sort, lower_top_k
from tenfoldc.lower.window import lower_reduce_window, lower_select_and_scatter
from tenfoldc.ops.contraction import DOT_GENERAL
from tenfoldc.ops.convolution import CONVOLUTION
from tenfoldc.ops.linear_algebra import CHOLESKY, TRIANGULAR_SOLVE
from tenfoldc.ops.movement import CONCATENATE
from tenfoldc.ops.scatter import SCATTER
from tenfoldc.ops.sort import SORT, TOP_K
from tenfoldc.ops.window import REDUCE_WINDOW, SELECT_AND_SCATTER
from tenfoldc.target import Target

TargetRule: TypeAlias = Callable[[Operation, LoweringContext, Target], Sequence[Statement]]


def lowering_rules(target: Target) -> Mapping[str, LoweringRule]:
    """Lowering rules by op name."""

    def for_target(rule: TargetRule) -> LoweringRule:
        return lambda operation, ctx: rule(operation, ctx, target)

    return {
        DOT_GENERAL.name: for_target(lower_dot_general),
        CHOLESKY.name: for_target(lower_cholesky),
        TRIANGULAR_SOLVE.name: for_target(lower_triangular_solve),
        CONCATENATE.name: lower_concatenate,
        CONVOLUTION.name: for_target(lower_convolution),
        REDUCE_WINDOW.name: lower_reduce_window,
        SELECT_AND_SCATTER.name: lower_select_and_scatter,
        SCATTER.name: lower_scatter,
        SORT.name: lower_sort,
        TOP_K.name: lower_top_k,
    }
