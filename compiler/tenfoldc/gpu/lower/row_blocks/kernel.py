"""The rule for row blocks: a chain of products where they are one, else their stages, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

from tenfoldc.gpu.lower.nest import lower_nest
from tenfoldc.gpu.lower.row_blocks.elements import ChainElements, NoChainError
from tenfoldc.gpu.lower.row_blocks.launches import chain_launches
from tenfoldc.ir.groups import Group, Role, RowBlocks
from tenfoldc.loops.ir import Buffer, Statement
from tenfoldc.lower.anchor import AnchorContext
from tenfoldc.lower.context import LoweringRule
from tenfoldc.lower.rules import Lowered
from tenfoldc.lower.storage import Storage
from tenfoldc.target import Target


def lower_row_blocks(
    group: Group, blocks: RowBlocks, storage: Storage, target: Target, operations: Mapping[str, LoweringRule]
) -> Lowered:
    """The launches of a group of row blocks; `operations` are the rules for its contractions by themselves."""
    for value in group.results:
        storage.result(value)
    try:
        return chain_launches(ChainElements(group, blocks, storage), target)
    except NoChainError:
        return _stages(blocks, storage, operations)


def _stages(blocks: RowBlocks, storage: Storage, operations: Mapping[str, LoweringRule]) -> Lowered:
    """Each stage by itself; what they hand to each other goes through memory."""
    statements: list[Statement] = []
    scratch: list[Buffer] = []
    for stage in blocks.stages:
        for value in stage.group.results:
            storage.result(value)
        if stage.role is Role.NEST:
            own, memory = lower_nest(stage.group, storage)
        else:
            anchor = stage.group.anchor
            assert anchor is not None
            context = AnchorContext(stage.group, anchor, storage)
            own, memory = operations[anchor.op.name](anchor, context), context.scratch_buffers
        statements += own
        scratch += memory
    return statements, scratch
