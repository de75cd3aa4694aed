"""Batching: a region that maps single examples in, the same computation on a batch of them out.

A batched value carries its batch axis in front.  Values that no batched argument reaches stay single.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Region, Value
from tenfoldc.transform.replay import Replay, no_rule


def vmap(
    builder: Builder, region: Region, arguments: Sequence[Var], batched: Sequence[bool], size: int
) -> tuple[tuple[Var, ...], tuple[bool, ...]]:
    """Emit `region` over a batch of `size` examples.

    `arguments[i]` has a leading axis of `size` where `batched[i]`.  Returns the results and which of them are
    batched.  `UnsupportedError` names an op that has no batching rule.
    """
    replay = Replay(builder, region, arguments)
    carried: set[Value] = {p for p, flag in zip(region.parameters, batched, strict=True) if flag}
    for operation in region.operations:
        with builder.at(operation.location):
            flags = [operand in carried for operand in operation.operands]
            if not any(flags):
                replay.repeat(operation)
                continue
            if operation.op.batch_rule is None:
                raise no_rule(operation, "batching")
            results, result_flags = operation.op.batch_rule(replay.site(operation), flags, size)
            for value, var, flag in zip(operation.results, results, result_flags, strict=True):
                replay.define(value, var)
                if flag:
                    carried.add(value)
    return tuple(map(replay.var, region.results)), tuple(result in carried for result in region.results)
