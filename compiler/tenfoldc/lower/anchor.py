"""Groups around one operation: the context that the lowering rule of its kind is given."""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.dtypes import DType
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import Group
from tenfoldc.loops import scalar
from tenfoldc.loops.execute import is_reproducible_value
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Axis, Buffer, Expr, Load, Statement
from tenfoldc.loops.traversal import expressions
from tenfoldc.lower.elements import Elements
from tenfoldc.lower.storage import Storage


class AnchorContext:
    """The surroundings of a group's anchor (`tenfoldc.lower.context.LoweringContext`)."""

    def __init__(self, group: Group, anchor: Operation, storage: Storage, algebra: IndexAlgebra | None = None) -> None:
        self.scratch_buffers: list[Buffer] = []
        self._group = group
        self._anchor = anchor
        self._storage = storage
        self._algebra = IndexAlgebra() if algebra is None else algebra
        fused = [operation for operation in group.operations if operation is not anchor]
        self._elements = Elements(storage, self._algebra, fused)
        self._axes = 0

    def read(self, operand: int, index: Sequence[Expr]) -> Expr:
        """The element of an operand at `index`."""
        return self._elements.read(self._anchor.operands[operand], index)

    def buffer(self, operand: int) -> Buffer:
        """The operand's memory."""
        return self._storage.buffer(self._anchor.operands[operand])

    def result(self, number: int = 0) -> Buffer:
        """The memory of a result; scratch memory where only what follows from the result is kept."""
        value = self._anchor.results[number]
        if value in self._group.results:
            return self._storage.result(value)
        if value not in self._storage.buffers:
            self._storage.buffers[value] = self.scratch("result", value.type.dtype, value.type.sizes)
        return self._storage.buffers[value]

    @property
    def has_epilogue(self) -> bool:
        """Whether other values than the anchor's results are written."""
        return any(value not in self._anchor.results for value in self._group.results)

    def write(self, index: Sequence[Expr], value: Expr, number: int = 0) -> Sequence[Statement]:
        """Stores of everything that the group makes of one element of a result."""
        result = self._anchor.results[number]
        if not self.has_epilogue:
            return [self._elements.store(self.result(number), index, value)]
        fused = [operation for operation in self._group.operations if operation is not self._anchor]
        elements = Elements(self._storage, self._algebra, fused)
        sizes = result.type.sizes
        # Readers say 0 along axes of size 1, whatever the rule calls the index there.
        elements.let(
            result, [scalar.index(0) if size == 1 else at for at, size in zip(index, sizes, strict=True)], value
        )
        long_axes = [position for position, size in zip(index, sizes, strict=True) if size != 1]
        for operation in fused:
            for own in operation.results:
                for axes in self._group.maps.get(own, ()):
                    elements.read(own, [scalar.index(0) if axis is None else long_axes[axis] for axis in axes])
        return [self._store(elements, own, long_axes) for own in self._group.results]

    def _store(self, elements: Elements, value: Value, long_axes: Sequence[Expr]) -> Statement:
        axes = self._group.maps[value][0]
        index = [scalar.index(0) if axis is None else long_axes[axis] for axis in axes]
        return elements.store(self._storage.result(value), index, elements.read(value, index))

    def region(self, number: int, arguments: Sequence[Expr]) -> tuple[Expr, ...]:
        """The results of one of the anchor's scalar regions."""
        return self._elements.region(self._anchor.regions[number], arguments)

    def axis(self, name: str, extent: int | None = None) -> Axis:
        """A loop index with a name not used before in this kernel."""
        self._axes += 1
        return self._algebra.declare(Axis(f"{name}{self._axes}"), extent)

    def scratch(self, name: str, dtype: DType, shape: Sequence[int]) -> Buffer:
        """Memory that lives while the kernel runs."""
        buffer = Buffer(f"{name}{len(self.scratch_buffers)}", dtype, tuple(shape))
        self.scratch_buffers.append(buffer)
        return buffer

    def pays_ahead(self, element: Expr, size: int) -> bool:
        """Whether `size` bytes of elements such as `element` are better made while compiling."""
        if not is_reproducible_value(element):
            return False
        read = {e.buffer.storage for e in expressions((element,)) if isinstance(e, Load)}
        return self._storage.pays_ahead(read, size)
