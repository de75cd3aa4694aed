"""Values that are parts of one array, side by side: slices of it, in their own shape or another."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import TypeGuard

from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ops.slicing import SliceAttributes
from tenfoldc.simplify.matching import is_static


@frozen
class Part:
    """Rows `start` to `limit` of axis `axis` of `source`, whole along all other axes.

    The part may have another shape than the slice: then `lines_per_row` of its lines make up a row, and `rest` are
    its sizes along other axes.
    """

    source: Value
    axis: int
    start: int
    limit: int
    lines_per_row: int
    rest: tuple[int, ...]

    @property
    def key(self) -> Hashable:
        """Equal for parts that may be neighbours."""
        return self.source, self.axis, self.lines_per_row, self.rest


def part_of(value: Value, axis: int, producers: Mapping[Value, Operation]) -> Part | None:
    """What `value` is a part of, if it can be joined with its neighbours along `axis` without a copy.

    A slice has its neighbours along the axis that it cuts; in another shape, along the outermost axis, and only if
    it cuts its source along the outermost.
    """
    producer = producers.get(value)
    reshaped = producer is not None and producer.op is ops.RESHAPE
    if producer is not None and reshaped:
        producer = producers.get(producer.operands[0])
    if producer is None or producer.op is not ops.SLICE or not is_static(producer.operands[0].type):
        return None
    (source,), attributes = producer.operands, producer.attributes
    assert isinstance(attributes, SliceAttributes)
    sizes = source.type.sizes
    bounds = list(zip(attributes.start_indices, attributes.limit_indices, attributes.strides, strict=True))
    cut = [number for number, (start, limit, _) in enumerate(bounds) if (start, limit) != (0, sizes[number])]
    if any(stride != 1 for _, _, stride in bounds) or len(cut) != 1 or 0 in value.type.sizes:
        return None
    if cut != [axis] if not reshaped else (cut != [0] or axis != 0):
        return None
    start, limit, _ = bounds[cut[0]]
    assert isinstance(limit, int)
    rest = tuple(size for number, size in enumerate(value.type.sizes) if number != axis)
    lines, uneven = divmod(value.type.sizes[axis], limit - start)
    return None if uneven else Part(source, cut[0], start, limit, lines, rest)


def joined(parts: Sequence[Part], axis: int, builder: Builder) -> Var:
    """The concatenation along `axis` of parts that follow each other, as one part; `builder` knows their source."""
    first, last = parts[0], parts[-1]
    source = Var(first.source, builder)
    starts, limits = [0] * source.rank, list(source.sizes)
    starts[first.axis], limits[first.axis] = first.start, last.limit
    whole = ops.slice_(source, starts, limits)
    length = (last.limit - first.start) * first.lines_per_row
    return ops.reshape(whole, (*first.rest[:axis], length, *first.rest[axis:]))


def follow_each_other(parts: Sequence[Part | None]) -> TypeGuard[Sequence[Part]]:
    """Whether each is a part, and begins where the one before it ends."""
    if None in parts:
        return False
    known = [part for part in parts if part is not None]
    return all(first.key == second.key and first.limit == second.start for first, second in pairwise(known))
