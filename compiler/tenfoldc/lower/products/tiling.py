"""How a product of matrices is cut up for a matrix unit, and whether it is worth going there.

A panel of the lhs or rhs is 32 lines, a step of the depth 32 factors (`MultiplyStrip`).  Blocks are as in `blocking`:
one of the lhs, all parts of its numbers, stays in the second cache while the panels of a block of the rhs pass.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.matrix_unit import TILE_DEPTH, TILE_LINES, TILE_WORDS, part_products
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.products.blocking import balanced
from tenfoldc.lower.products.parts import parts_of
from tenfoldc.lower.products.product import Operand, Product
from tenfoldc.target import Target

_DEPTH = 512
"""Of a block: sums of so many products begin at zero, so that few are added to a large one."""
_LHS_BLOCK_BYTES = 512 * 1024
_RHS_BLOCK_BYTES = 4 * 1024 * 1024
_PART_BYTES = 2

# Multiply-adds, and what is packed and handed on, in cycles of one core: measured on Sapphire Rapids at 256 and 512.
_TILE_RATE = 410.0
_VECTOR_RATE = 1.7
"""A lane: two units, of which 0.85 is used."""
_PER_PART_PACKED = 0.25
_PER_SUM = 0.25
_GAIN = 1.1
"""Tiles are taken where they are expected to be so many times as fast."""


@frozen
class Parts:
    """How many bf16 add up to a number of each operand."""

    lhs: int
    rhs: int

    @property
    def are_exact(self) -> bool:
        """Whether numbers are bf16 as they are: there is nothing to check."""
        return self.lhs == self.rhs == 1


@frozen
class Tiling:
    """Sizes of the blocks, all multiples of 32."""

    mc: int
    nc: int
    kc: int


def tile_parts(ctx: LoweringContext, product: Product, target: Target) -> Parts | None:
    """The parts that factors are cut into for the matrix unit; None where the product is not for it."""
    in_order = product.positions == 1 or product.channels % TILE_WORDS == 0
    if not target.has_tiles or product.dtype != dtypes.f32 or product.is_highest or not in_order:
        return None
    parts = Parts(*(_parts_of(ctx, operand) for operand in (product.lhs, product.rhs)))
    return parts if _pays(product, parts, target) else None


def tiling(product: Product, parts: Parts) -> Tiling:
    """How to cut `product`, whose sizes are all at least 1."""
    kc = balanced(product.depth, _DEPTH, TILE_DEPTH)
    rows, columns = (
        max(TILE_LINES, size // (kc * _PART_BYTES * count) // TILE_LINES * TILE_LINES)
        for size, count in ((_LHS_BLOCK_BYTES, parts.lhs), (_RHS_BLOCK_BYTES, parts.rhs))
    )
    return Tiling(balanced(product.rows, rows, TILE_LINES), balanced(product.columns, columns, TILE_LINES), kc)


def _parts_of(ctx: LoweringContext, operand: Operand) -> int:
    element = operand.read(*(ctx.axis("probe") for _ in range(4)))
    return parts_of(scalar.convert(element, dtypes.f32))


def _pays(product: Product, parts: Parts, target: Target) -> bool:
    """Whether the tiles that cover a product take less time than vectors do for its multiply-adds alone."""
    rows, columns, depth = product.rows, product.columns, product.depth
    steps = [
        -(-size // width) * width for size, width in ((rows, TILE_LINES), (columns, TILE_LINES), (depth, TILE_DEPTH))
    ]
    covered = steps[0] * steps[1] * steps[2] * len(part_products(parts.lhs, parts.rhs))
    packed = (rows * parts.lhs + columns * parts.rhs) * depth
    tiles = covered / _TILE_RATE + packed * _PER_PART_PACKED + rows * columns * _PER_SUM
    lanes = target.vector_bytes // product.dtype.itemsize
    return tiles * _GAIN < rows * columns * depth / (lanes * _VECTOR_RATE)
