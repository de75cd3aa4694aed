"""How the copy engine of sm_90 finds a factor of a product: memory as a tensor, of which it brings boxes.

a[b, i, k] of [8, 512, 1024]   →   axes k, i, b; boxes of 64 depths, 128 lines, 1
"""

from __future__ import annotations

from tenfold_rt.frozen import frozen
from tenfoldc.loops.index_algebra import Affine, IndexAlgebra
from tenfoldc.loops.ir import Apply, Axis, Buffer, Expr, Load, MultiplyTiles, TileFactor
from tenfoldc.loops.traversal import expressions

RUN_BYTES = 128
"""Bytes of neighbours that a box has: its first axis.  Boxes are swizzled, so that the runs of eight meet all banks."""

_MOST_AXES = 5
_ALIGNMENT = 16


@frozen
class FactorMap:
    """A factor as a tensor with axes from the innermost; strides are in elements, that of the first axis being 1.

    The first two axes are depths and lines, in this order where `along_depth`, else lines and depths; the index along
    each of the others is one of `outer`, in terms of the tile.
    """

    buffer: Buffer
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    outer: tuple[Expr, ...]
    along_depth: bool
    boxes: int
    """Boxes that make up a slice; they follow each other along the lines."""


def factor_map(factor: TileFactor, lines: int, depth: int, tile_lines: int, tile: Axis, tiles: int) -> FactorMap | None:
    """The map of a factor of so many lines and depths, for slices of `tile_lines` lines; None where it has none.

    There is one where the factor is memory whose lines and depths each lie one distance apart, the one 1, all others
    multiples of 16 bytes.
    """
    load = factor.element
    if not isinstance(load, Load) or factor.inside is not None:
        return None
    algebra = IndexAlgebra()
    for axis, extent in ((factor.line, lines), (factor.channel, depth), (factor.position, 1), (tile, tiles)):
        algebra.declare(axis, extent)
    form = algebra.offset(load.index, load.buffer.shape)
    own, first = (factor.channel, factor.line) if factor.along_depth else (factor.line, factor.channel)
    extents = {factor.channel: depth, factor.line: lines}
    outer = _outer(form, (own, first), algebra)
    step = form.coefficient(own) if extents[own] > 1 else 1
    distance = form.coefficient(first) if extents[first] > 1 else extents[own]
    if outer is None or step != 1 or len(outer) + 2 > _MOST_AXES:
        return None
    size = load.dtype.itemsize
    strides = (distance, *(stride for _, _, stride in outer))
    if any(stride <= 0 or stride * size % _ALIGNMENT for stride in strides) or form.constant * size % _ALIGNMENT:
        return None
    run = RUN_BYTES // size
    box = (run, tile_lines) if factor.along_depth else (run, run)
    return FactorMap(
        load.buffer,
        form.constant,
        (extents[own], extents[first], *(extent for _, extent, _ in outer)),
        (1, *strides),
        (*box, *(1 for _ in outer)),
        tuple(index for index, _, _ in outer),
        factor.along_depth,
        1 if factor.along_depth else tile_lines // run,
    )


def factor_maps(statement: MultiplyTiles) -> tuple[FactorMap, FactorMap]:
    """The maps of both factors of a product whose slices the copy engine brings."""
    assert statement.positions == 1
    found: list[FactorMap] = []
    sizes = (
        (statement.lhs, statement.rows, statement.tiling.rows),
        (statement.rhs, statement.columns, statement.tiling.columns),
    )
    for factor, lines, tile_lines in sizes:
        own = factor_map(factor, lines, statement.channels, tile_lines, statement.tile, statement.tiles)
        assert own is not None
        found.append(own)
    return found[0], found[1]


def _outer(form: Affine, inner: tuple[Axis, Axis], algebra: IndexAlgebra) -> list[tuple[Expr, int, int]] | None:
    """The other axes, with index, extent and stride; None where the inner ones are found in anything but themselves."""
    found: list[tuple[Expr, int, int]] = []
    for atom, coefficient in form.terms:
        if atom in inner:
            continue
        if isinstance(atom, Apply) and any(each in inner for each in expressions((atom,))):
            return None
        low, high = algebra.range_of(Affine(((atom, 1),), 0))
        if low != 0 or high >= 1 << 32:
            return None
        found.append((atom, high + 1, coefficient))
    return found
