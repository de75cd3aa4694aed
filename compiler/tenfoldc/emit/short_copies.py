"""Short loops that copy adjoining elements, or fill them with one number, as moves of whole registers.

    vector j in 8:                     →   load <8 x float>, store <8 x float>
        panel[i * 16 + j] = x[k, j]

LLVM would find as much, after it has made a vector loop of each, unrolled that, and thrown the loop away: packing is
made of dozens of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.emit.accesses import Terms, element_terms
from tenfoldc.emit.expressions import ExpressionText
from tenfoldc.emit.scalar_types import literal, memory_type
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Axis, Buffer, Constant, Expr, For, Load, Mode, Primitive, Store
from tenfoldc.loops.traversal import expressions

_REGISTER_BYTES = 32
_MOST_BYTES = 2 * _REGISTER_BYTES


@frozen
class ShortCopy:
    """`count` elements from where `source` tells on, or all of them that number, to where `target` tells."""

    buffer: Buffer
    target: Terms
    source: tuple[Buffer, Terms] | Constant
    count: int

    @property
    def pieces(self) -> Sequence[tuple[int, int]]:
        """Where the moves begin, and of how many elements they are: powers of two, the longest first."""
        found: list[tuple[int, int]] = []
        first = 0
        while first < self.count:
            size = min(
                1 << ((self.count - first).bit_length() - 1), max(1, _REGISTER_BYTES // self.buffer.dtype.itemsize)
            )
            found.append((first, size))
            first += size
        return found


def short_copy(loop: For) -> ShortCopy | None:
    """What `loop` does if that is a short copy."""
    if loop.mode not in (Mode.VECTOR, Mode.UNROLLED) or loop.carries or len(loop.body) != 1:
        return None
    store, extent = loop.body[0], loop.extent
    if not (isinstance(store, Store) and isinstance(extent, Constant) and extent.value > 0):
        return None
    count = int(extent.value)
    if count * store.buffer.dtype.itemsize > _MOST_BYTES:
        return None
    target = _first_of_row(element_terms(store.buffer, store.index), loop.axis)
    if target is None:
        return None
    match store.value:
        case Constant() as number if not number.dtype.is_bool:
            return ShortCopy(store.buffer, target, number, count)
        case Load(buffer=buffer) as load if buffer.storage is not store.buffer.storage:
            source = _first_of_row(element_terms(buffer, load.index), loop.axis)
            return None if source is None else ShortCopy(store.buffer, target, (buffer, source), count)
        case _:
            return None


def write_short_copy(text: ExpressionText, copy: ShortCopy) -> None:
    """Write the moves."""
    dtype = copy.buffer.dtype
    align = dtype.itemsize
    for first, count in copy.pieces:
        kind = memory_type(dtype) if count == 1 else f"<{count} x {memory_type(dtype)}>"
        if isinstance(copy.source, Constant):
            number = literal(copy.source.value, dtype)
            moved = number if count == 1 else f"splat ({memory_type(dtype)} {number})"
        else:
            buffer, terms = copy.source
            address = text.place(buffer, [*terms, (scalar.index(first), 1)])
            moved = text.text.fresh(f"load {kind}, ptr {address}, align {align}{text.access}")
        address = text.place(copy.buffer, [*copy.target, (scalar.index(first), 1)])
        text.text.effect(f"store {kind} {moved}, ptr {address}, align {align}{text.access}")


def _first_of_row(terms: Terms, axis: Axis) -> Terms | None:
    """The place of the first of elements that adjoin along `axis`; None if they do not."""
    first: list[tuple[Expr, int]] = []
    step = 0
    for index, stride in terms:
        if axis not in expressions([index]):
            first.append((index, stride))
            continue
        rest = _without(index, axis)
        if rest is None:
            return None
        first.append((rest, stride))
        step += stride
    return first if step == 1 else None


def _without(index: Expr, axis: Axis) -> Expr | None:
    """An index less `axis`, if that is added to it once."""
    if index is axis:
        return scalar.index(0)
    if not (isinstance(index, Apply) and index.primitive is Primitive.ADD):
        return None
    left, right = index.operands
    holding: Sequence[bool] = [axis in expressions([operand]) for operand in (left, right)]
    if all(holding):
        return None
    rest = _without(left if holding[0] else right, axis)
    return None if rest is None else scalar.add(rest, right if holding[0] else left)
