"""What the stages of row blocks compute at one row and column, as expressions of products' values and of folded rows.

All that lies between two contractions is one expression, whatever groups it was in: nothing is kept per row and column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.products.factors import unscaled
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import AxisMap, Group, Role, RowBlocks, Stage
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Axis, Expr, Local
from tenfoldc.loops.traversal import expressions
from tenfoldc.lower.elements import Elements
from tenfoldc.lower.folding import accumulate, has_neutral
from tenfoldc.lower.products.product import delinearise
from tenfoldc.lower.storage import Storage
from tenfoldc.ops.contraction import DotDimensionNumbers, DotGeneralAttributes


class NoChainError(Exception):
    """Row blocks are nothing that a chain of products computes."""


@frozen(eq=False)
class Fold:
    """A reduction along the columns: `element` of a row and column, `result` for the row."""

    operation: Operation
    element: Expr
    init: Expr
    result: Local


@frozen(eq=False)
class Sum:
    """A contraction along columns or rows: of `element` of a row and column with operand `other`."""

    stage: Stage
    element: Expr
    other: int


class ChainElements:
    """The expressions of one group of row blocks, in terms of `at`, the place along each axis of its space.

    `NoChainError` where there are values per row and column that memory is to hold, folds along other axes than the
    columns, or products of other elements than f32.
    """

    def __init__(self, group: Group, blocks: RowBlocks, storage: Storage) -> None:
        self.group, self.blocks, self.storage = group, blocks, storage
        self.algebra = IndexAlgebra()
        self._names = 0
        self.at: list[Expr] = [scalar.index(0) if extent == 1 else self.axis("at", extent) for extent in blocks.extents]
        anchors = {stage.group.anchor for stage in blocks.stages}
        self.elements = Elements(storage, self.algebra, [each for each in group.operations if each not in anchors])
        self.products: dict[Local, Stage] = {}
        self.folds: list[Fold] = []
        self.sums: list[Sum] = []
        for stage in blocks.stages:
            self._stage(stage)
        self.row_results = [
            (value, self.elements.read(value, self._index(blocks.places[value])))
            for stage in blocks.stages
            if stage.role is Role.NEST
            for value in stage.group.results
            if value in group.results
        ]

    @property
    def row(self) -> Axis:
        """The index along the rows."""
        return self._long(self.blocks.row)

    @property
    def column(self) -> Axis:
        """The index along the columns."""
        return self._long(self.blocks.column)

    def _long(self, number: int) -> Axis:
        axis = self.at[number]
        if not isinstance(axis, Axis):
            raise NoChainError
        return axis

    def axis(self, name: str, extent: int) -> Axis:
        """A new index."""
        self._names += 1
        return self.algebra.declare(Axis(f"{name}{self._names}"), extent)

    def _index(self, axes: AxisMap) -> list[Expr]:
        return [scalar.index(0) if axis is None else self.at[axis] for axis in axes]

    # Stages

    def _stage(self, stage: Stage) -> None:
        blocks, written = self.blocks, self.group.results
        if any(blocks.is_wide(blocks.places[value]) for value in stage.group.results if value in written):
            raise NoChainError
        if stage.role is Role.NEST:
            self._nest(stage)
            return
        anchor = anchor_of(stage)
        if any(value.type.dtype != dtypes.f32 for value in (*anchor.operands, *anchor.results)):
            raise NoChainError
        if stage.role is Role.SPREAD:
            value = Local("product", dtypes.f32)
            self.products[value] = stage
            product = self.scaled(stage, 1, self.scaled(stage, 0, value))
            self.elements.let(anchor.results[0], self._index(stage.axes[2]), product)
            return
        (wide,) = [number for number in (0, 1) if blocks.is_wide(stage.axes[number])]
        element = self.elements.read(anchor.operands[wide], self._index(stage.axes[wide]))
        self.sums.append(Sum(stage, element, 1 - wide))
        after = [each for each in stage.group.operations if each is not anchor and not self._is_before(each, stage)]
        own = {value for each in stage.group.operations for value in each.results}
        if any(value in blocks.places for each in after for value in each.operands if value not in own):
            raise NoChainError

    def _is_before(self, operation: Operation, stage: Stage) -> bool:
        """Whether the contraction of a stage depends on an operation of its group."""
        needed = set(anchor_of(stage).operands)
        for each in reversed(stage.group.operations):
            if needed.intersection(each.results):
                needed.update(each.operands)
        return bool(needed.intersection(operation.results))

    def _nest(self, stage: Stage) -> None:
        group, (loops,) = stage.group, stage.axes
        if any(axis is None and group.extents[loop] > 1 for loop, axis in enumerate(loops)):
            raise NoChainError

        def along(axes: AxisMap) -> AxisMap:
            return tuple(None if loop is None else loops[loop] for loop in axes)

        for operation in group.operations:
            if operation not in group.operand_maps:
                continue
            place = along(group.operand_maps[operation])
            (result, *more) = operation.results
            own = along(group.maps[result][0])
            if more or not has_neutral(operation) or self.blocks.column not in place or self.blocks.column in own:
                raise NoChainError
            element = self.elements.read(operation.operands[0], self._index(place))
            init = self.elements.read(operation.operands[1], ())
            local = Local("folded", result.type.dtype)
            self.folds.append(Fold(operation, element, init, local))
            self.elements.let(result, self._index(own), local)

    # Factors and results

    def operand(self, stage: Stage, number: int, at: Mapping[int, Expr], line: Expr, channel: Expr) -> Expr:
        """An element of an operand of a contraction, without a constant by which all of them are `scaled`.

        `line` is where it is along free axes that are no axes of the space, `channel` the same of contracting ones.
        """
        sizes, axes = anchor_of(stage).operands[number].type.sizes, stage.axes[number]
        free, contracting = self.own_axes(stage, number)
        index = [scalar.index(0) if axis is None else at.get(axis, self.at[axis]) for axis in axes]
        for own, place in ((free, line), (contracting, channel)):
            for axis, part in zip(own, delinearise(place, [sizes[axis] for axis in own]), strict=True):
                index[axis] = part
        return unscaled(self.elements.read(anchor_of(stage).operands[number], index))[0]

    def scaled(self, stage: Stage, number: int, total: Expr) -> Expr:
        """A sum of products of elements of an operand, times the constant that these are without."""
        operand = anchor_of(stage).operands[number]
        index = [self.axis("anywhere", size) for size in operand.type.sizes]
        _, scale = unscaled(self.elements.read(operand, index))
        return total if scale is None else scalar.mul(total, scale)

    def own_axes(self, stage: Stage, number: int) -> tuple[list[int], list[int]]:
        """The free and the contracting axes of an operand that are no axes of the space."""
        numbers, axes = numbers_of(stage), stage.axes[number]
        batching = (numbers.lhs_batching_dimensions, numbers.rhs_batching_dimensions)[number]
        contracting = (numbers.lhs_contracting_dimensions, numbers.rhs_contracting_dimensions)[number]
        none = [axis for axis, own in enumerate(axes) if own is None and axis not in batching]
        return [axis for axis in none if axis not in contracting], [axis for axis in contracting if axis in none]

    def size(self, stage: Stage, number: int, axes: list[int]) -> int:
        """How many places there are along some axes of an operand."""
        return math.prod(anchor_of(stage).operands[number].type.sizes[axis] for axis in axes)

    def result_index(self, stage: Stage, feature: Expr) -> list[Expr]:
        """Where a sum's result is, at a place along the axes that are none of the space."""
        axes, sizes = stage.axes[2], anchor_of(stage).results[0].type.sizes
        own = [axis for axis, along in enumerate(axes) if along is None]
        index = self._index(axes)
        for axis, part in zip(own, delinearise(feature, [sizes[axis] for axis in own]), strict=True):
            index[axis] = part
        return index

    def products_in(self, root: Expr) -> list[Local]:
        """The products that an expression depends on."""
        used = set(expressions((root,)))
        return [value for value in self.products if value in used]

    def combined(self, fold: Fold, lhs: Expr, rhs: Expr) -> Expr:
        """Two values of a fold as one."""
        return accumulate(self.elements, fold.operation, [lhs], [rhs])[0]

    def row_index(self, value: Value) -> list[Expr]:
        """Where a value with one element per row has it."""
        return self._index(self.blocks.places[value])


def anchor_of(stage: Stage) -> Operation:
    """The contraction of a stage."""
    assert stage.group.anchor is not None
    return stage.group.anchor


def numbers_of(stage: Stage) -> DotDimensionNumbers:
    """How the axes of a stage's contraction are paired."""
    attributes = anchor_of(stage).attributes
    assert isinstance(attributes, DotGeneralAttributes)
    return attributes.dot_dimension_numbers
