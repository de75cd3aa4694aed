"""Which rule lowers which operation that is neither elementwise nor a reduction nor control flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from tenfoldc.ir.core import Operation
from tenfoldc.loops.ir import Statement
from tenfoldc.lower.context import LoweringContext, LoweringRule
from tenfoldc.lower.contraction import lower_dot_general
from tenfoldc.lower.convolution import lower_convolution
from tenfoldc.ops.contraction import DOT_GENERAL
from tenfoldc.ops.convolution import CONVOLUTION
from tenfoldc.target import Target

TargetRule: TypeAlias = Callable[[Operation, LoweringContext, Target], Sequence[Statement]]


def lowering_rules(target: Target) -> Mapping[str, LoweringRule]:
    """Lowering rules by op name."""

    def for_target(rule: TargetRule) -> LoweringRule:
        return lambda operation, ctx: rule(operation, ctx, target)

    return {
        DOT_GENERAL.name: for_target(lower_dot_general),
        CONVOLUTION.name: for_target(lower_convolution),
    }
