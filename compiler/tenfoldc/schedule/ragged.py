"""Rows whose length is no multiple of a vector's: whole vectors all the same, the last ends where the row does.

    vector i in 21: y[i] = f(x[i])   →   lanes l in 8: y[l] = f(x[l]); y[8 + l] = f(x[8 + l]); y[13 + l] = f(x[13 + l])

The last vector repeats elements of the one before it.  To store them twice does no harm, nor does it to fold them
twice into a maximum; a sum counts them once, the other time as its neutral element.  Without this, LLVM computes
what remains of a row element by element, and an element takes as long as a vector; where elements are compared, longer,
as a processor cannot foretell the branches.  Nor does LLVM make vectors of a short fold, even one of whole vectors.

Loops may also walk through memory by two to four elements at a time, if they leave out none of them: every
vector is then shuffled out of whole vectors, or whole vectors are shuffled together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import Affine, IndexAlgebra
from tenfoldc.loops.ir import Apply, Axis, Buffer, Call, Carry, Constant, Expr, For, Load, Local, Mode, Primitive, Store
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import all_expressions, expressions
from tenfoldc.schedule.folds import IDEMPOTENT, fold_of, in_pairs

_MOST_VECTORS = 8
"""Vectors up to which a row becomes straight code."""

_MOST_OPERATIONS = 400
"""Expressions up to which it does."""

_LONG = 4096
"""Lengths from which the elements that remain do not matter."""

_MOST_ABREAST = 4
"""Elements by which a loop may walk."""


def whole_vectors(loop: For, lanes: int) -> tuple[For, ...] | None:
    """Loops of whole vectors of `lanes` elements that do what an innermost `loop` does; None where that cannot be."""
    if not isinstance(loop.extent, Constant):
        return None
    extent = int(loop.extent.value)
    if extent % lanes == 0 and not (extent <= _MOST_VECTORS * lanes and _is_unrolled_too_soon(loop)):
        return None
    if not lanes < extent < _LONG or not _is_regular(loop):
        return None
    folds = [fold_of(carry) for carry in loop.carries]
    values = [fold[1] for fold in folds if fold is not None]
    if len(values) != len(folds) or _uses_carries(loop, values):
        return None
    vectors = -(-extent // lanes)
    if vectors <= _MOST_VECTORS and vectors * sum(1 for _ in all_expressions([loop])) <= _MOST_OPERATIONS:
        starts = [*range(0, extent - lanes, lanes), extent - lanes]
        return (_lanes(loop, lanes, starts, values),)
    if extent % lanes == 0:
        return None
    first, last = _split(loop, extent - extent % lanes)
    return first, _lanes(last, lanes, [extent - lanes], values, extent)


@frozen(eq=False)
class LaneTerms:
    """What a row is folded to in each of the lanes of a vector: a value for each of its carries, in terms of `lane`."""

    lane: Axis
    lanes: int
    values: tuple[Expr, ...]


def lane_terms(loop: For, lanes: int) -> LaneTerms | None:
    """The elements that an innermost `loop` folds, in vectors of `lanes` that are folded with each other alone.

    None where that cannot be, or where it would be much code, or no more than one vector.
    """
    if loop.body or not isinstance(loop.extent, Constant) or not _is_regular(loop):
        return None
    extent = int(loop.extent.value)
    folds = [fold_of(carry) for carry in loop.carries]
    values = [fold[1] for fold in folds if fold is not None and fold[0] in IDEMPOTENT]
    if len(values) != len(folds) or _uses_carries(loop, values) or extent <= lanes:
        return None
    if -(-extent // lanes) * sum(1 for _ in all_expressions([loop])) > _MOST_OPERATIONS:
        return None
    folded = _lanes(loop, lanes, [*range(0, extent - lanes, lanes), extent - lanes], values)
    nexts = [carry.next for carry in folded.carries]
    return LaneTerms(folded.axis, lanes, tuple(each.operands[1] for each in nexts if isinstance(each, Apply)))


def _is_unrolled_too_soon(loop: For) -> bool:
    """Whether LLVM would make of a short loop that folds a row straight code for each element, instead of vectors."""
    return bool(loop.carries) and not any(isinstance(expression, Call) for expression in all_expressions([loop]))


def _split(loop: For, length: int) -> tuple[For, For]:
    """The first `length` turns of a loop, and a loop that takes up what they carry."""
    between = [Local(carry.result.name, carry.result.dtype) for carry in loop.carries]
    pairs = list(zip(loop.carries, between, strict=True))
    first = replace(
        loop, extent=scalar.index(length), carries=tuple(replace(c, result=b) for c, b in pairs), mode=Mode.VECTOR
    )
    return first, replace(loop, carries=tuple(replace(c, init=b) for c, b in pairs))


def _lanes(loop: For, lanes: int, starts: Sequence[int], values: Sequence[Expr], extent: int = 0) -> For:
    """One loop over the lanes of a vector, which does what `loop` does for the vectors that begin at `starts`."""
    lane = Axis(loop.axis.name)
    repeated = -extent % lanes if extent else (starts[-2] + lanes - starts[-1])
    body: list[Store] = []
    terms: list[list[Expr]] = [[] for _ in loop.carries]
    for start in starts:
        replacer = BufferReplacer({}, {loop.axis: scalar.add(lane, scalar.index(start))})
        for statement in replacer.statements(loop.body):
            assert isinstance(statement, Store)
            body.append(statement)
        for term, value, carry in zip(terms, values, loop.carries, strict=True):
            element = replacer.expression(value)
            primitive = _primitive_of(carry)
            if start == starts[-1] and repeated and primitive not in IDEMPOTENT:
                is_new = scalar.greater_equal(lane, scalar.index(repeated))
                element = scalar.select(is_new, element, _neutral(primitive, element))
            term.append(element)
    carries: list[Carry] = []
    for carry, term in zip(loop.carries, terms, strict=True):
        assert isinstance(carry.next, Apply)
        combined = in_pairs(carry.next, term)
        carries.append(replace(carry, next=replace(carry.next, operands=(carry.value, combined))))
    return For(lane, scalar.index(lanes), tuple(body), tuple(carries), Mode.LANES)


def _primitive_of(carry: Carry) -> Primitive:
    assert isinstance(carry.next, Apply)
    return carry.next.primitive


def _neutral(primitive: Primitive, like: Expr) -> Expr:
    if primitive is Primitive.MUL:
        return scalar.constant(1.0 if like.dtype.is_float else 1, like.dtype)
    return scalar.constant(-0.0 if like.dtype.is_float else 0, like.dtype)


def _uses_carries(loop: For, values: Sequence[Expr]) -> bool:
    """Whether what is stored or folded depends on what earlier turns have folded."""
    carried = {carry.value for carry in loop.carries}
    roots = [*values, *(s.value for s in loop.body if isinstance(s, Store))]
    return any(isinstance(e, Local) and e in carried for e in expressions(roots))


def is_plain(loop: For) -> bool:
    """Whether the loop walks through memory element by element, and reads nothing that it writes."""
    accesses = _accesses(loop)
    return accesses is not None and all(
        access.stride == 1 or (access.stride == 0 and not access.is_store) for access in accesses
    )


def _is_regular(loop: For) -> bool:
    """Whether the loop is plain, or where it walks by several elements does something to each of them."""
    accesses = _accesses(loop)
    if accesses is None:
        return False
    groups: dict[tuple[Buffer, bool, int, tuple[tuple[Expr, int], ...]], set[int]] = {}
    for access in accesses:
        if access.stride is None or not access.is_store <= access.stride <= _MOST_ABREAST:
            return False
        if access.stride > 1:
            key = access.buffer, access.is_store, access.stride, access.offset.terms
            groups.setdefault(key, set()).add(access.offset.constant)
    return all(_fills(constants, stride) for (_, _, stride, _), constants in groups.items())


def _fills(constants: Set[int], stride: int) -> bool:
    """Whether `constants` are runs of `stride` neighbours, apart from each other."""
    starts = [constant for constant in constants if constant - 1 not in constants]
    runs = {start + step for start in starts for step in range(stride)}
    return runs == constants and len(starts) * stride == len(constants)


@frozen
class _Access:
    """A load or a store: where in memory, and how far apart from one turn to the next; None where that differs."""

    buffer: Buffer
    is_store: bool
    offset: Affine
    stride: int | None


def _accesses(loop: For) -> list[_Access] | None:
    """All that the loop does to memory; None where it does not store alone, or reads what it writes."""
    stores = [statement for statement in loop.body if isinstance(statement, Store)]
    loads = list(_loads(loop))
    written = {store.buffer.storage for store in stores}
    if len(stores) < len(loop.body) or any(load.buffer.storage in written for load in loads):
        return None
    algebra = IndexAlgebra()
    algebra.declare(loop.axis, None)
    accesses: list[_Access] = []
    for access in (*stores, *loads):
        offset = algebra.offset(access.index, access.buffer.shape)
        stride = _stride(offset, loop.axis)
        accesses.append(_Access(access.buffer, isinstance(access, Store), offset, stride))
    return accesses


def _loads(loop: For) -> Iterator[Load]:
    roots = [carry.next for carry in loop.carries]
    for statement in loop.body:
        if isinstance(statement, Store):
            roots.append(statement.value)
    return (expression for expression in expressions(roots) if isinstance(expression, Load))


def _stride(offset: Affine, axis: Axis) -> int | None:
    stride = 0
    for atom, coefficient in offset.terms:
        if atom is axis:
            stride = coefficient
        elif any(e is axis for e in expressions((atom,))):
            return None
    return stride
