"""Batching: a region that maps single examples in, the same computation on a batch of them out.

A batched value carries its batch axis in front; a batched tape carries it behind its turns.  Values that no batched
argument reaches stay single.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Region
from tenfoldc.transform import custom, vmap_control
from tenfoldc.transform.activity import dependent, is_anything
from tenfoldc.transform.batch import Batch
from tenfoldc.transform.replay import Replay

RULES = vmap_control.RULES | custom.VMAP_RULES


def vmap(
    builder: Builder, region: Region, arguments: Sequence[Var], batched: Sequence[bool], size: int
) -> tuple[tuple[Var, ...], tuple[bool, ...]]:
    """Emit `region` over a batch of `size` examples.

    `arguments[i]` has a leading axis of `size` where `batched[i]`.  Returns the results and which of them are
    batched.  `UnsupportedError` names an op that has no batching rule.
    """
    sources = [p for p, flag in zip(region.parameters, batched, strict=True) if flag]
    expected = dependent(region, sources, is_anything)
    batch = Batch(Replay.of(builder, region, arguments), set(sources), expected, size, RULES)
    batch.repeat(region)
    return tuple(batch.replay.vars(region.results)), tuple(result in batch.carried for result in region.results)
