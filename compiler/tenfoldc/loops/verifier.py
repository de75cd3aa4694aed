"""The rules of the loop IR, checked: what a pass must leave intact.

Indices have one i64 per axis of their buffer, types agree, and nothing is used outside the loop that binds it or
before the statement that does.  What the turns of a parallel loop write is private to a turn, or its place is computed
from the turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import VerificationError
from tenfoldc.loops.ir import (
    COMPARISONS,
    Apply,
    Axis,
    Barrier,
    Buffer,
    Call,
    Carry,
    Combine,
    Constant,
    Expr,
    For,
    If,
    Kernel,
    Launch,
    Load,
    Local,
    Mode,
    MultiplyChain,
    MultiplyPanels,
    MultiplyStrip,
    MultiplyTiles,
    Prefetch,
    Primitive,
    Program,
    ReadTape,
    RequestMatrixUnit,
    Statement,
    Store,
    StreamCopy,
    TileFactor,
    TransposeTile,
    While,
    WriteTape,
)
from tenfoldc.loops.matrix_unit import TILE_LINES, TILE_WORDS
from tenfoldc.loops.traversal import expressions, loaded, owners, roots_of, shared_buffers, stored, walk_statements

_FREE_TYPES = frozenset({Primitive.CONVERT, Primitive.BITCAST, Primitive.SELECT})
"""Primitives whose operands' types differ from each other or from the result's."""

_FREE_RESULTS = COMPARISONS | _FREE_TYPES


def verify_program(program: Program) -> None:
    """Raise `VerificationError` where `program` breaks a rule of the loop IR."""
    known = {*program.parameters, *program.results, *program.temporaries, *program.constants, *program.tapes}
    writable = {*program.results, *program.temporaries, *program.tapes}
    for kernel in program.kernels:
        verifier = _Verifier(kernel)
        own = {*kernel.scratch, *shared_buffers(kernel.body)}
        for buffer in loaded(kernel.body):
            verifier.require(buffer.storage in known | own, f"{buffer.name} is no buffer of the program")
        for buffer in stored(kernel.body):
            owned = buffer.storage in writable | own
            verifier.require(owned, f"{buffer.name} is written, but is neither result nor temporary nor scratch")
        verifier.block(kernel.body, frozenset())
    for parameter, result in program.donated:
        same = program.parameters[parameter].shape == program.results[result].shape
        if not same or program.parameters[parameter].dtype != program.results[result].dtype:
            raise VerificationError(f"{program.name}: parameter {parameter} cannot be result {result}, types differ")


class _Verifier:
    """Checks one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            raise VerificationError(f"{self._kernel.name}: {what}", where=self._kernel.location)

    def block(self, statements: Sequence[Statement], bound: frozenset[Axis | Local]) -> frozenset[Axis | Local]:
        """Check statements in order; gives what is bound after them."""
        for statement in statements:
            bound = self._statement(statement, bound)
        return bound

    def _statement(self, statement: Statement, bound: frozenset[Axis | Local]) -> frozenset[Axis | Local]:
        match statement:
            case For():
                self._index((statement.extent,), bound, "an extent")
                if statement.mode is Mode.PARALLEL:
                    self.require(not statement.carries, f"the parallel loop over {statement.axis.name} has carries")
                    self._turns_are_apart(statement)
                for buffer in statement.private:
                    self.require(buffer in self._kernel.scratch, f"{buffer.name} is private, but is no scratch memory")
                return self._loop(statement.body, statement.carries, bound, bound | {statement.axis})
            case While():
                inner = bound | {carry.value for carry in statement.carries}
                self._expression(statement.condition, inner)
                self.require(statement.condition.dtype.is_bool, "a condition is not bool")
                return self._loop(statement.body, statement.carries, bound, bound)
            case If():
                self._expression(statement.condition, bound)
                self.require(statement.condition.dtype.is_bool, "a condition is not bool")
                self.block(statement.then, bound)
                self.block(statement.otherwise, bound)
            case Store():
                self._access(statement.buffer, statement.index, bound)
                self._expression(statement.value, bound)
                self._same(statement.value.dtype, statement.buffer.dtype, f"a store to {statement.buffer.name}")
            case Prefetch():
                self._access(statement.buffer, statement.index, bound)
            case MultiplyPanels():
                self._panels(statement, bound)
            case RequestMatrixUnit():
                granted = statement.granted
                self.require(granted.dtype.is_bool and granted.shape == (1,), f"{granted.name} is not one bool")
            case MultiplyStrip():
                self._strip(statement, bound)
            case TransposeTile():
                self._index(roots_of(statement), bound, "a tile's place")
                self._same(statement.source.dtype, statement.target.dtype, f"the tile {statement.source.name}")
                for buffer in (statement.source, statement.target):
                    self.require(len(buffer.shape) == 1, f"{buffer.name}, which holds a tile, has more than one axis")
            case StreamCopy():
                self._index(roots_of(statement), bound, "a copy's place")
                self._same(statement.source.dtype, statement.target.dtype, f"the copy {statement.source.name}")
                for buffer in (statement.source, statement.target):
                    self.require(len(buffer.shape) == 1, f"{buffer.name}, which is streamed, has more than one axis")
            case WriteTape() | ReadTape():
                self._index((statement.place,), bound, "a place on a tape")
            case Launch():
                self._index((statement.blocks,), bound, "a number of blocks")
                self.block(statement.body, bound | {statement.block, statement.thread})
            case Combine():
                return self._combine(statement, bound)
            case Barrier():
                pass
            case MultiplyTiles():
                self._tiles(statement, bound)
            case MultiplyChain():
                self._chain(statement, bound)
        return bound

    def _turns_are_apart(self, loop: For) -> None:
        """Whether a parallel loop may be one: places that are read from memory, or folded, are not looked into."""
        private = owners(loop.private)
        for buffer, place in _written_places(loop.body):
            if buffer.storage not in private and 0 not in buffer.shape and not _is_one(loop.extent):
                parts = expressions(place)
                is_apart = any(part is loop.axis or isinstance(part, Local | Load) for part in parts)
                what = f"all turns of the parallel loop over {loop.axis.name} write one place of {buffer.name}"
                self.require(is_apart, what)

    def _combine(self, combine: Combine, bound: frozenset[Axis | Local]) -> frozenset[Axis | Local]:
        self.require(combine.threads.bit_count() == 1, f"{combine.threads} threads combine, which is no power of two")
        for value, result, lhs, rhs, combined in zip(
            combine.values, combine.results, combine.lhs, combine.rhs, combine.combined, strict=True
        ):
            self._expression(value, bound)
            self._expression(combined, bound | {*combine.lhs, *combine.rhs})
            for dtype in (result.dtype, lhs.dtype, rhs.dtype, combined.dtype):
                self._same(dtype, value.dtype, f"the combination {result.name}")
        return bound | {*combine.results}

    def _tiles(self, tiles: MultiplyTiles, bound: frozenset[Axis | Local]) -> None:
        self.require({tiles.block, tiles.thread} <= bound, "the tiles of a product are those of no launch")
        bound |= {tiles.tile}
        self._index((tiles.first_row, tiles.first_column, tiles.first_slice), bound, "a tile's place")
        for factor in (tiles.lhs, tiles.rhs):
            self._factor(factor, tiles.tiling.multiplier.factor(tiles.value.dtype), bound)
        self.block(tiles.body, bound | {tiles.row, tiles.column, tiles.value})

    def _factor(self, factor: TileFactor, dtype: DType, bound: frozenset[Axis | Local]) -> None:
        inside = bound | {factor.line, factor.position, factor.channel}
        self._expression(factor.element, inside)
        self._same(factor.element.dtype, dtype, "a factor")
        if factor.inside is not None:
            self._expression(factor.inside, inside)
            self.require(factor.inside.dtype.is_bool, "a condition is not bool")

    def _chain(self, chain: MultiplyChain, bound: frozenset[Axis | Local]) -> None:
        self.require(chain.thread in bound, "a chain of products is that of no launch")
        self._index((chain.first_row, chain.first, chain.end), bound, "the place of a chain of products")
        for factor in chain.factors:
            self._factor(factor, chain.tiling.multiplier.factor(dtypes.f32), bound)
        rows: frozenset[Axis | Local] = bound | {chain.row}
        for each in chain.passes:
            wide, current = rows | {chain.column, *(product.value for product in each.products)}, frozenset[Local]()
            before = {fold.value for fold in each.folds}
            for fold in each.folds:
                self._expression(fold.init, rows)
                self._expression(fold.element, wide | current)
                self._expression(fold.combined, rows | {fold.lhs, fold.rhs})
                self._expression(fold.next, rows | current | before | {fold.part})
                for dtype in (fold.element.dtype, fold.neutral.dtype, fold.combined.dtype, fold.next.dtype):
                    self._same(dtype, fold.result.dtype, f"the fold {fold.result.name}")
                current |= {fold.current}
            for row_sum in each.sums:
                for element in row_sum.elements:
                    self._expression(element, wide | current)
                    self._same(element.dtype, dtypes.f32, "an element of a sum")
                if row_sum.factor is not None:
                    self._expression(row_sum.factor, rows | current | before)
            rows |= {fold.result for fold in each.folds}
            for row_sum in each.sums:
                self._expression(row_sum.finished, rows | {row_sum.total})
                self.block(row_sum.body, bound | {chain.row, row_sum.feature, row_sum.value})
        self.block(chain.body, rows)

    def _loop(
        self,
        body: Sequence[Statement],
        carries: Sequence[Carry],
        bound: frozenset[Axis | Local],
        inside: frozenset[Axis | Local],
    ) -> frozenset[Axis | Local]:
        for carry in carries:
            self._expression(carry.init, bound)
            for dtype in (carry.init.dtype, carry.next.dtype, carry.result.dtype):
                self._same(dtype, carry.value.dtype, f"the carry {carry.value.name}")
        after = self.block(body, inside | {carry.value for carry in carries})
        for carry in carries:
            self._expression(carry.next, after)
        return bound | {carry.result for carry in carries}

    def _panels(self, tile: MultiplyPanels, bound: frozenset[Axis | Local]) -> None:
        places = (tile.row, tile.column, tile.lhs_panel, tile.rhs_panel, tile.depth, tile.lhs_first, tile.rhs_first)
        self._index(places, bound, "a panel's place")
        self.require(len(tile.target.shape) == 2, f"{tile.target.name}, the target of panels, is not two-dimensional")
        self.require(tile.packed is None or len(tile.rhs.shape) == 2, f"{tile.rhs.name} is packed already")
        for panels in (tile.lhs, tile.rhs, *([] if tile.packed is None else [tile.packed])):
            self._same(panels.dtype, tile.target.dtype, f"the panels {panels.name}")

    def _strip(self, strip: MultiplyStrip, bound: frozenset[Axis | Local]) -> None:
        self._index(roots_of(strip), bound, "a strip's place")
        self.require(len(strip.target.shape) == 2, f"{strip.target.name}, the target of tiles, is not two-dimensional")
        self._same(strip.target.dtype, dtypes.f32, f"the sums {strip.target.name}")
        for panels, tail in ((strip.lhs, (TILE_LINES, TILE_WORDS)), (strip.rhs, (2, TILE_WORDS, TILE_WORDS))):
            self.require(panels.shape[3:] == tail, f"the panels {panels.name} are not made of tiles")
            self._same(panels.dtype, dtypes.u32, f"the panels {panels.name}")

    def _expression(self, root: Expr, bound: frozenset[Axis | Local]) -> None:
        for expression in expressions((root,)):
            match expression:
                case Axis() | Local():
                    self.require(expression in bound, f"{expression.name} is used where it is not bound")
                case Load():
                    self._shape(expression.buffer, expression.index)
                case Apply():
                    self._apply(expression)
                case Call():
                    wanted = [parameter.dtype for parameter in expression.function.parameters]
                    given = [operand.dtype for operand in expression.operands]
                    self.require(given == wanted, f"{expression.function.name} takes {wanted}, given {given}")
                case Constant():
                    pass

    def _apply(self, expression: Apply) -> None:
        name, operands = expression.primitive.value, expression.operands
        if expression.primitive not in _FREE_TYPES:
            halves = any(operand.dtype.is_half for operand in operands)
            self.require(not halves, f"{name} of floats of 16 bits, which have no arithmetic")
        if expression.primitive not in _FREE_TYPES:
            for operand in operands:
                self._same(operand.dtype, operands[0].dtype, f"an operand of {name}")
        if expression.primitive is Primitive.SELECT:
            self.require(operands[0].dtype.is_bool, "the condition of a select is not bool")
            self._same(operands[1].dtype, operands[2].dtype, "a choice of select")
        if expression.primitive in COMPARISONS:
            self.require(expression.dtype.is_bool, f"{name} does not give bool")
        elif expression.primitive not in _FREE_RESULTS and operands:
            integer_result = expression.primitive in (Primitive.POPCOUNT, Primitive.COUNT_LEADING_ZEROS)
            self.require(
                integer_result or expression.dtype == operands[0].dtype,
                f"{name} of {operands[0].dtype} gives another type",
            )

    def _access(self, buffer: Buffer, index: Sequence[Expr], bound: frozenset[Axis | Local]) -> None:
        self._shape(buffer, index)
        self._index(index, bound, f"an index of {buffer.name}")

    def _shape(self, buffer: Buffer, index: Sequence[Expr]) -> None:
        self.require(
            len(index) == len(buffer.shape), f"{buffer.name} has {len(buffer.shape)} axes, its index {len(index)}"
        )
        for position in index:
            self._same(position.dtype, dtypes.i64, f"an index of {buffer.name}")

    def _index(self, roots: Sequence[Expr], bound: frozenset[Axis | Local], what: str) -> None:
        for root in roots:
            self._expression(root, bound)
            self._same(root.dtype, dtypes.i64, what)

    def _same(self, given: DType, wanted: DType, what: str) -> None:
        self.require(given == wanted, f"{what} is {given}, not {wanted}")


def _is_one(extent: Expr) -> bool:
    return isinstance(extent, Constant) and extent.value == 1


def _written_places(statements: Sequence[Statement]) -> Iterator[tuple[Buffer, Sequence[Expr]]]:
    """What `statements` write, each with what the place there is computed from."""
    for statement in walk_statements(statements):
        match statement:
            case Store():
                yield statement.buffer, statement.index
            case MultiplyPanels():
                yield statement.target, (statement.row, statement.column)
                if statement.packed is not None:
                    yield statement.packed, ()
            case MultiplyStrip():
                yield statement.target, (statement.row, statement.column)
            case TransposeTile() | StreamCopy():
                yield statement.target, (statement.target_first,)
            case RequestMatrixUnit():
                yield statement.granted, ()
            case WriteTape():
                yield statement.tape, ()
            case ReadTape():
                yield statement.target, ()
            case _:
                pass
