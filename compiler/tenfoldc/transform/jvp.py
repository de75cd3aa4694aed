"""Forward mode: a region and tangents of its arguments in, its results and their tangents out."""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Region
from tenfoldc.transform import custom, jvp_control
from tenfoldc.transform.activity import dependent, has_tangent
from tenfoldc.transform.forward import Forward
from tenfoldc.transform.replay import Replay

RULES = jvp_control.RULES | custom.JVP_RULES


def jvp(
    builder: Builder, region: Region, primals: Sequence[Var], tangents: Sequence[Var | None]
) -> tuple[tuple[Var, ...], tuple[Var | None, ...]]:
    """Emit `region` at `primals` together with its derivative along `tangents`.

    A tangent has its primal's type; None is zero.  Returns the results and their tangents.  `UnsupportedError`
    names an op that has no derivative rule.
    """
    known = {p: t.value for p, t in zip(region.parameters, tangents, strict=True) if t is not None}
    active = dependent(region, known, has_tangent)
    forward = Forward(Replay.of(builder, region, primals), known, active, RULES)
    forward.repeat(region)
    return tuple(forward.replay.vars(region.results)), tuple(map(forward.tangent, region.results))
