"""One turn of a loop over short rows as straight code: what is stored, in order, and the lines of memory it touches.

What a row stores and reads again is handed on as a value; loops over its elements are written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import Affine, IndexAlgebra
from tenfoldc.loops.ir import (
    Apply,
    Buffer,
    Call,
    Constant,
    Expr,
    For,
    Function,
    Load,
    Local,
    Mode,
    Store,
)
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import all_expressions, expressions, roots_of
from tenfoldc.schedule.folds import fold_of, in_pairs

_LONGEST = 20
"""Elements up to which a row is short: longer ones fill vectors by themselves, and are folded across lanes once."""
_LONGEST_FOLD = 12
"""The same for rows of which there are folds of few operations alone: what is gained is only how lanes are folded."""
_MOST_OPERATIONS = 1500
"""Operations up to which a row becomes straight code."""
_ABREAST = 4
"""Elements by which a loop may walk through memory: LLVM shuffles such vectors out of whole ones."""
_REGISTER_LANE = 16
"""Bytes of a line from which it is worth being transposed, some of them at a time."""


Access = TypeVar("Access", Load, Store)


class NotStraightError(Exception):
    """A loop is none over short rows, or what its turns do to memory cannot be told apart."""


@frozen
class Lines:
    """A line of `count` elements for each row: that of row i begins at the offset `first` + i * `stride`."""

    storage: Buffer
    first: Affine
    stride: int
    count: int


class StraightRow:
    """A turn of `rows`; raises `NotStraightError` where there is no such code of at most so many `operations`."""

    def __init__(self, rows: For, operations: int) -> None:
        if not _is_short(rows, min(operations, _MOST_OPERATIONS)):
            raise NotStraightError
        self._rows = rows
        self._algebra = IndexAlgebra()
        self._algebra.declare(rows.axis, None)
        self._written: dict[tuple[Buffer, Affine], Expr] = {}
        self._read: set[Buffer] = set()
        self.stores: list[Store] = []
        for store in _written_out(rows):
            self._take(store)

    def lines(self, nodes: Iterable[Access]) -> dict[Lines, list[tuple[Access, int]]]:
        """The accesses that walk across memory from row to row: lines, and the elements of them that there are."""
        groups: dict[tuple[Buffer, tuple[tuple[Expr, int], ...], int], list[tuple[Access, int]]] = {}
        for node in nodes:
            terms, constant, stride = self._place(node)
            if stride > _ABREAST:
                groups.setdefault((node.buffer.storage, terms, stride), []).append((node, constant))
        found: dict[Lines, list[tuple[Access, int]]] = {}
        for (storage, terms, stride), group in groups.items():
            least = min(constant for _, constant in group)
            count = max(constant for _, constant in group) - least + 1
            if count * storage.dtype.itemsize >= _REGISTER_LANE:
                lines = Lines(storage, Affine(terms, least), stride, count)
                found[lines] = [(node, constant - least) for node, constant in group]
        return found

    def first(self, lines: Lines, row: Expr) -> Expr:
        """The offset of the line of a row."""
        start = self._algebra.expression(lines.first)
        return self._algebra.simplify(scalar.add(start, scalar.mul(row, scalar.index(lines.stride))))

    def drop(self, buffers: set[Buffer]) -> None:
        """Leave out what is stored to `buffers`, which nobody reads."""
        self.stores = [store for store in self.stores if store.buffer.storage not in buffers]

    def loads(self) -> list[Load]:
        """All that is read."""
        return [e for e in all_expressions(self.stores) if isinstance(e, Load)]

    def _take(self, store: Store) -> None:
        """Add a store whose value reads nothing that the row has written."""
        known: dict[Expr, Expr] = {}
        buffers = {buffer for buffer, _ in self._written}
        for load in (e for e in expressions(roots_of(store)) if isinstance(e, Load)):
            if load.buffer.storage in buffers:
                value = self._written.get((load.buffer.storage, self._offset(load)))
                if value is None:
                    raise NotStraightError
                known[load] = value
            else:
                self._read.add(load.buffer.storage)
        (new,) = BufferReplacer({}, known).statements((store,)) if known else (store,)
        assert isinstance(new, Store)
        if new.buffer.storage in self._read:
            raise NotStraightError
        self._written[new.buffer.storage, self._offset(new)] = new.value
        self.stores.append(new)

    def _offset(self, node: Load | Store) -> Affine:
        return self._algebra.offset(node.index, node.buffer.shape)

    def _place(self, node: Load | Store) -> tuple[tuple[tuple[Expr, int], ...], int, int]:
        """The offset of an access without the index of the row, its constant apart, and the stride from row to row.

        Raises `NotStraightError` where rows may write to one place, or where a place depends on data.
        """
        offset, axis = self._offset(node), self._rows.axis
        stride = offset.coefficient(axis)
        terms = tuple(term for term in offset.terms if term[0] is not axis)
        if stride < isinstance(node, Store) or any(e is axis for e in expressions(atom for atom, _ in terms)):
            raise NotStraightError
        return terms, offset.constant, stride


def _is_short(rows: For, operations: int) -> bool:
    """Whether a turn of `rows` is stores and loops over few elements, and at most so many `operations` in all."""
    counts = _Operations()
    total, lengths, are_folds = 0, [0], True
    for statement in rows.body:
        if isinstance(statement, Store):
            total += counts.of(roots_of(statement))
            continue
        if not isinstance(statement, For) or not isinstance(statement.extent, Constant):
            return False
        if statement.mode is not Mode.SERIAL or not all(isinstance(inner, Store) for inner in statement.body):
            return False
        lengths.append(int(statement.extent.value))
        own = counts.of(e for s in (statement, *statement.body) for e in roots_of(s))
        total += lengths[-1] * own
        are_folds &= _is_plain_fold(statement)
    return 1 < max(lengths) <= (_LONGEST_FOLD if are_folds else _LONGEST) and total <= operations


def _is_plain_fold(loop: For) -> bool:
    """Whether `loop` does nothing but fold elements, in any order, without functions."""
    if loop.body or any(fold_of(carry) is None for carry in loop.carries):
        return False
    return not any(isinstance(expression, Call) for expression in all_expressions((loop,)))


class _Operations:
    """Counts of operations; those of scalar functions are counted once."""

    def __init__(self) -> None:
        self._functions: dict[Function, int] = {}

    def of(self, roots: Iterable[Expr]) -> int:
        """How many operations and loads `roots` take."""
        return sum(self._own(expression) for expression in expressions(roots))

    def _own(self, expression: Expr) -> int:
        if not isinstance(expression, Call):
            return isinstance(expression, Apply | Load)
        function = expression.function
        if function not in self._functions:
            self._functions[function] = self.of((function.body,))
        return self._functions[function]


def _written_out(rows: For) -> Iterator[Store]:
    """The stores of a turn of `rows`, with its loops written out."""
    results: dict[Expr, Expr] = {}
    for outer in rows.body:
        (statement,) = BufferReplacer({}, results).statements((outer,)) if results else (outer,)
        if isinstance(statement, Store):
            yield statement
        elif isinstance(statement, For):
            yield from _turns(statement, results)


def _turns(loop: For, results: dict[Expr, Expr]) -> Iterator[Store]:
    """The stores of all turns of a loop; what it carries to its end goes into `results`."""
    assert isinstance(loop.extent, Constant)
    elements = [None if fold is None else fold[1] for fold in map(fold_of, loop.carries)]
    if _uses_carries(loop, elements):
        elements = [None for _ in elements]
    carried = [[carry.init] for carry in loop.carries]
    for turn in range(int(loop.extent.value)):
        chained = {c.value: v[0] for c, v, e in zip(loop.carries, carried, elements, strict=True) if e is None}
        replacer = BufferReplacer({}, {loop.axis: scalar.index(turn), **chained})
        for store in replacer.statements(loop.body):
            assert isinstance(store, Store)
            yield store
        for values, carry, element in zip(carried, loop.carries, elements, strict=True):
            if element is None:
                values[0] = replacer.expression(carry.next)
            else:
                values.append(replacer.expression(element))
    for carry, values in zip(loop.carries, carried, strict=True):
        results[carry.result] = values[0] if len(values) == 1 else in_pairs(carry.next, values)


def _uses_carries(loop: For, elements: Iterable[Expr | None]) -> bool:
    """Whether what is stored or folded depends on what earlier turns have folded."""
    carried = {carry.value for carry in loop.carries}
    roots = [element for element in elements if element is not None]
    roots += [root for statement in loop.body for root in roots_of(statement)]
    return any(isinstance(e, Local) and e in carried for e in expressions(roots))
