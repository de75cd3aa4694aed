"""Reverse mode: a region in, its results and a pullback from their cotangents to the arguments' out.

The region is repeated once, forward; the pullback walks it backward, asking each op's record for the cotangents
of its operands and adding up what reaches a value from several uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Region
from tenfoldc.transform import custom, vjp_control
from tenfoldc.transform.activity import dependent, has_tangent
from tenfoldc.transform.replay import Replay
from tenfoldc.transform.reverse import Cotangents, Reverse


class Pullback(Protocol):
    """From one cotangent per result (None is zero) to one per differentiated argument (None is zero).

    It emits into the builder that the function's values are in, or into one of a region within that.
    """

    def __call__(
        self, cotangents: Sequence[Var | None], builder: Builder | None = None, /
    ) -> tuple[Var | None, ...]: ...


RULES = vjp_control.RULES | custom.VJP_RULES


def vjp(
    builder: Builder, region: Region, arguments: Sequence[Var], wrt: Sequence[int]
) -> tuple[tuple[Var, ...], Pullback]:
    """Emit `region` at `arguments`; give its results and the pullback to the arguments numbered in `wrt`.

    The pullback must be called while `builder` is being filled.  `UnsupportedError`, raised by the pullback, names an
    op that has no derivative rule.
    """
    sources = [region.parameters[i] for i in wrt]
    active = dependent(region, sources, has_tangent)
    reverse = Reverse(Replay.of(builder, region, arguments), active, RULES, {})
    reverse.forward(region)

    def pullback(cotangents: Sequence[Var | None], inner: Builder | None = None, /) -> tuple[Var | None, ...]:
        found = Cotangents(builder if inner is None else inner, reverse)
        found.add(zip(region.results, cotangents, strict=True))
        reverse.pull(found)
        return tuple(found.get(source) for source in sources)

    return tuple(reverse.replay.vars(region.results)), pullback
