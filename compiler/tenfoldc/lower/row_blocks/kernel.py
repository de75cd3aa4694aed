"""The kernel of a group of row blocks: loops over the outer axes and the blocks, around all stages."""

from __future__ import annotations

import math

from tenfoldc.ir.groups import Group, Role, RowBlocks
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, For, Statement
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.blocking import blocking
from tenfoldc.lower.row_blocks.block import Block, rows_per_block
from tenfoldc.lower.row_blocks.masking import live_columns
from tenfoldc.lower.row_blocks.nest import BlockNest
from tenfoldc.lower.row_blocks.product import BlockProduct
from tenfoldc.lower.storage import Storage
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions


def lower_row_blocks(
    group: Group, blocks: RowBlocks, storage: Storage, target: Target, decisions: Decisions
) -> tuple[list[Statement], list[Buffer]]:
    """The statements of the kernel and the scratch memory that they use.

    Rows that are added up make a block wait for the one before; else all blocks are independent.
    """
    for value in group.results:
        storage.result(value)
    written = frozenset(group.results)
    size = rows_per_block(blocks, written, _row_multiple(blocks, target), decisions)
    block = Block(blocks, written, storage, size)
    with storage.windowed(block.windows):
        block.live = live_columns(block, written)
        statements = _statements(block, target)
    return statements, block.scratch


def _statements(block: Block, target: Target) -> list[Statement]:
    blocks = block.blocks
    products = {s: BlockProduct(block, s, target) for s in blocks.stages if s.role is not Role.NEST}
    fixed = [product.fixed.buffer for product in products.values() if product.fixed is not None]
    before = [statement for product in products.values() for statement in product.prepare()]
    stages = [
        statement
        for stage in blocks.stages
        for statement in (products[stage].run() if stage in products else BlockNest(block, stage).build())
    ]
    after = [statement for product in products.values() for statement in product.finish()]
    adds_up = any(stage.role is Role.ACCUMULATE for stage in blocks.stages)
    moving = [buffer for buffer in block.scratch if buffer not in fixed]
    count = scalar.index(block.count)
    loop = For(block.number, count, tuple(stages)) if adds_up else turns(block.number, count, stages, moving)
    return [turns(block.outer, scalar.index(_outer(blocks)), [*before, loop, *after], block.scratch)]


def _outer(blocks: RowBlocks) -> int:
    return math.prod(blocks.extents[: blocks.row])


def _row_multiple(blocks: RowBlocks, target: Target) -> int:
    """Rows that fill the register tiles of the products."""
    anchors = [stage.group.anchor for stage in blocks.stages if stage.group.anchor is not None]
    dtype = anchors[0].results[0].type.dtype
    columns = blocks.extents[blocks.column]
    return blocking(target, 1 << 20, columns, columns, dtype).mr
