"""Reverse mode: a region in, its results and a pullback from their cotangents to the arguments' out.

The region is repeated once, forward; the pullback walks it backward, asking each op's record for the cotangents
of its operands and adding up what reaches a value from several uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Region
from tenfoldc.transform import custom, vjp_control
from tenfoldc.transform.activity import dependent, has_tangent
from tenfoldc.transform.replay import Replay
from tenfoldc.transform.reverse import Cotangents, Reverse

Pullback: TypeAlias = Callable[[Sequence[Var | None]], tuple[Var | None, ...]]
"""From one cotangent per result (None is zero) to one per differentiated argument (None is zero)."""


RULES = vjp_control.RULES | custom.VJP_RULES


def vjp(
    builder: Builder, region: Region, arguments: Sequence[Var], wrt: Sequence[int]
) -> tuple[tuple[Var, ...], Pullback]:
    """Emit `region` at `arguments`; give its results and the pullback to the arguments numbered in `wrt`.

    The pullback emits into `builder` too, so it must be called while that is being filled.  `UnsupportedError`,
    raised by the pullback, names an op that has no derivative rule.
    """
    sources = [region.parameters[i] for i in wrt]
    active = dependent(region, sources, has_tangent)
    reverse = Reverse(Replay.of(builder, region, arguments), active, RULES, {})
    reverse.forward(region)

    def pullback(cotangents: Sequence[Var | None]) -> tuple[Var | None, ...]:
        found = Cotangents(builder, reverse)
        found.add(zip(region.results, cotangents, strict=True))
        reverse.pull(found)
        return tuple(found.get(source) for source in sources)

    return tuple(reverse.replay.vars(region.results)), pullback
