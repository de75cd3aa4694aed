"""Forward mode: a region and tangents of its arguments in, its results and their tangents out."""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Region, Value
from tenfoldc.transform.replay import Replay, no_rule


def jvp(
    builder: Builder, region: Region, primals: Sequence[Var], tangents: Sequence[Var | None]
) -> tuple[tuple[Var, ...], tuple[Var | None, ...]]:
    """Emit `region` at `primals` together with its derivative along `tangents`.

    A tangent has its primal's type; None is zero.  Returns the results and their tangents.  `UnsupportedError`
    names an op that has no derivative rule.
    """
    replay = Replay(builder, region, primals)
    known: dict[Value, Var] = {
        parameter: tangent
        for parameter, tangent in zip(region.parameters, tangents, strict=True)
        if tangent is not None
    }
    for operation in region.operations:
        with builder.at(operation.location):
            site = replay.repeat(operation)
            incoming = [known.get(operand) for operand in operation.operands]
            if all(tangent is None for tangent in incoming):
                continue
            if not any(result.type.dtype.is_float for result in operation.results):
                continue
            if operation.op.jvp_rule is None:
                raise no_rule(operation, "forward derivative")
            for result, tangent in zip(operation.results, operation.op.jvp_rule(site, incoming), strict=True):
                if tangent is not None:
                    known[result] = tangent
    return tuple(replay.var(result) for result in region.results), tuple(map(known.get, region.results))
