"""Products of matrices and tensors: `matmul`, `einsum` and their kin, all through `dot_general`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import broadcast_shape, expand_to, normalize_axes, reshape_to
from tenfold.functions.shapes import permuted
from tenfold.promotion import promoted
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, RangeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "dot",
    "einsum",
    "matmul",
    "outer",
    "tensordot",
    "trace",
    "vdot",
]

_PRECISIONS = {"f32": "default", "tf32": "tf32", "bf16": "bf16"}
"""What may be asked of products of f32, with the word that the compiler has for it."""


@tensor_function
def matmul(input: TensorLike, other: TensorLike, *, precision: str = "f32") -> Tensor:
    """The matrix product: over the last axis of `input` and the last but one of `other` (the only one of a vector).

    Axes before the last two are batches and broadcast.  A product of f32 is one of f32, unless `precision` is "tf32" or
    "bf16": then its factors may be cut to 10 or 7 bits of fraction where that is faster, as on GPUs.  `ShapeError` for
    rank 0 and where sizes differ.
    """
    if precision not in _PRECISIONS:
        words = ", ".join(_PRECISIONS)
        raise ArgumentError(f"matmul: there is no precision {precision!r}", where=here(), mend=f"use one of {words}")
    a, b = promoted(input, other)
    if a.rank == 0 or b.rank == 0:
        raise ShapeError(f"matmul: takes no scalar, got {a.type} and {b.type}", where=here(), mend="multiply with *")
    contracted = b.rank - 2 if b.rank > 1 else 0
    if a.sizes[-1] != b.sizes[contracted]:
        raise ShapeError(
            f"matmul: contracting sizes differ, {a.sizes[-1]} (lhs, axis {a.rank - 1}) and "
            f"{b.sizes[contracted]} (rhs, axis {contracted})",
            where=here(),
            mend="transpose or reshape one of them",
        )
    word = _PRECISIONS[precision]
    if b.rank <= 2:
        axes = (a.rank - 1,), (contracted,)
        return wrap(ops.dot_general(a, b, lhs_contracting=axes[0], rhs_contracting=axes[1], precision=word))
    return wrap(_batched_matmul(a, b, word))


def _batched_matmul(a: Var, b: Var, precision: str) -> Var:
    """A product where `b` has batches: shared ones are batching axes; `a` is repeated where it must be."""
    batch = broadcast_shape("matmul", a.sizes[:-2], b.sizes[:-2])
    matrix = a.sizes[-2:]
    lhs = expand_to(a, (*batch, *matrix))
    rhs = expand_to(b, (*batch, *b.sizes[-2:]))
    batching = tuple(range(len(batch)))
    return ops.dot_general(
        lhs,
        rhs,
        lhs_contracting=(lhs.rank - 1,),
        rhs_contracting=(rhs.rank - 2,),
        lhs_batching=batching,
        rhs_batching=batching,
        precision=precision,
    )


@tensor_function
def dot(input: TensorLike, tensor: TensorLike) -> Tensor:
    """The inner product of two vectors; of higher ranks, NumPy's `dot`: last axis with last but one."""
    a, b = promoted(input, tensor)
    if a.rank == 0 or b.rank == 0:
        return wrap(a) * wrap(b)
    return tensordot(input, tensor, ((a.rank - 1,), (max(0, b.rank - 2),)))


@tensor_function
def outer(input: TensorLike, vec2: TensorLike) -> Tensor:
    """The products of each element of `input` with each of `vec2`, both flattened."""
    a, b = (reshape_to(value, (-1 if value.rank == 0 else _size(value),)) for value in promoted(input, vec2))
    shape = (_size(a), _size(b))
    return wrap(ops.multiply(ops.broadcast_in_dim(a, shape, (0,)), ops.broadcast_in_dim(b, shape, (1,))))


def _size(x: Var) -> int:
    return x.type.size


@tensor_function
def tensordot(
    a: TensorLike,
    b: TensorLike,
    dims: int | Sequence[int | Sequence[int]] = 2,
    *,
    axes: int | Sequence[int | Sequence[int]] | None = None,
) -> Tensor:
    """The sum of products over pairs of axes: the last `dims` of `a` with the first of `b`, or two lists of axes.

    `axes` is NumPy's name for `dims`.
    """
    axes = dims if axes is None else axes
    lhs, rhs = promoted(a, b)
    if isinstance(axes, int):
        if not 0 <= axes <= min(lhs.rank, rhs.rank):
            raise RangeError(f"tensordot: {axes} axes of {lhs.type} and {rhs.type}", where=here())
        of_a, of_b = tuple(range(lhs.rank - axes, lhs.rank)), tuple(range(axes))
    else:
        of_a = normalize_axes("tensordot", axes[0], lhs.rank)
        of_b = normalize_axes("tensordot", axes[1], rhs.rank)
    for i, j in zip(of_a, of_b, strict=True):
        if lhs.sizes[i] != rhs.sizes[j]:
            raise ShapeError(
                f"tensordot: contracting sizes differ, {lhs.sizes[i]} (a, axis {i}) and {rhs.sizes[j]} (b, axis {j})",
                where=here(),
            )
    return wrap(ops.dot_general(lhs, rhs, lhs_contracting=of_a, rhs_contracting=of_b))


@tensor_function
def einsum(equation: str, *operands: TensorLike) -> Tensor:
    """Sums of products by labelled axes: `einsum("bij,bjk->bik", x, y)` (NumPy's and PyTorch's notation).

    Ellipses broadcast, a label that one operand repeats takes its diagonal, and without `->` the result has
    the labels that appear once, in alphabetical order.  Operands are contracted in pairs, cheapest result first.
    `ArgumentError` for subscripts that do not fit the operands, `ShapeError` for sizes that differ.
    """
    values = promoted(*operands)
    inputs, output = _parse(equation, values)
    sizes = _label_sizes(inputs, values)
    terms = [_simplified(labels, value) for labels, value in zip(inputs, values, strict=True)]
    while len(terms) > 1:
        first, second = _cheapest_pair(terms, output, sizes)
        rest = [term for term in terms if term is not first and term is not second]
        needed = set(output).union(*(term.labels for term in rest))
        terms = [*rest, _contracted(first, second, needed, sizes)]
    return wrap(_finished(terms[0], output, sizes))


@frozen(eq=False)
class _Term:
    """A tensor whose axes have distinct labels; those of size 1 may stand for larger ones."""

    labels: tuple[str, ...]
    value: Var


def _parse(subscripts: str, values: Sequence[Var]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Each operand's labels and the result's; the axes of an ellipsis get the labels `.0`, `.1` from the last."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(values):
        raise ArgumentError(f"einsum: {subscripts!r} is for {len(parts)} operands, not {len(values)}", where=here())
    inputs = [_labels(part, value.rank, subscripts) for part, value in zip(parts, values, strict=True)]
    shared = sorted({label for labels in inputs for label in labels if label[0] == "."}, reverse=True)
    counts = Counter(label for labels in inputs for label in labels)
    if arrow:
        output = _labels(right, None, subscripts, shared)
        missing = [label for label in output if label not in counts]
        if missing or len(set(output)) != len(output):
            raise ArgumentError(f"einsum: the result of {subscripts!r} repeats or invents a label", where=here())
    else:
        output = (*shared, *sorted(label for label, n in counts.items() if n == 1 and label[0] != "."))
    return inputs, output


def _labels(part: str, rank: int | None, subscripts: str, shared: Sequence[str] = ()) -> tuple[str, ...]:
    before, dots, after = part.partition("...")
    if not (before + after).isalpha() and before + after:
        raise ArgumentError(f"einsum: {subscripts!r} is not made of letters, commas, ... and ->", where=here())
    if not dots:
        if rank is not None and rank != len(part):
            raise ArgumentError(f"einsum: {part!r} in {subscripts!r} is for {len(part)} axes, not {rank}", where=here())
        return tuple(part)
    if rank is not None:
        hidden = rank - len(before) - len(after)
        if hidden < 0:
            raise ArgumentError(f"einsum: {part!r} in {subscripts!r} has more labels than {rank} axes", where=here())
        shared = [f".{n:03d}" for n in reversed(range(hidden))]
    return (*before, *shared, *after)


def _label_sizes(inputs: Sequence[tuple[str, ...]], values: Sequence[Var]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for labels, value in zip(inputs, values, strict=True):
        for label, size in zip(labels, value.sizes, strict=True):
            known = sizes.get(label, 1)
            if known != size and 1 not in (known, size):
                raise ShapeError(f"einsum: label {label!r} has sizes {known} and {size}", where=here())
            sizes[label] = size if known == 1 else known
    return sizes


def _simplified(labels: tuple[str, ...], value: Var) -> _Term:
    """Repeated labels of one operand replaced by the diagonal of their axes."""
    for label, n in Counter(labels).items():
        for _ in range(n - 1):
            first = labels.index(label)
            second = labels.index(label, first + 1)
            rest = [axis for axis in range(value.rank) if axis not in (first, second)]
            moved = permuted(value, [*rest, first, second])
            *outer_sizes, rows, columns = moved.sizes
            if rows != columns:
                raise ShapeError(f"einsum: label {label!r} has sizes {rows} and {columns}", where=here())
            flat = reshape_to(moved, (*outer_sizes, rows * columns))
            steps = (*[1] * len(rest), columns + 1)
            value = ops.slice_(flat, [0] * flat.rank, flat.sizes, steps)
            labels = (*(labels[axis] for axis in rest), label)
    return _Term(labels, value)


def _summed(term: _Term, needed: set[str]) -> _Term:
    """The sum over the labels that nothing else needs."""
    alone = tuple(i for i, label in enumerate(term.labels) if label not in needed)
    if not alone:
        return term
    labels = tuple(label for label in term.labels if label in needed)
    return _Term(labels, ops.reduce_sum(term.value, alone))


def _narrowed(term: _Term, sizes: dict[str, int]) -> _Term:
    """Axes of size 1 that stand for larger ones dropped: a product repeats them anyway."""
    keep = [
        i for i, (label, size) in enumerate(zip(term.labels, term.value.sizes, strict=True)) if size == sizes[label]
    ]
    labels = tuple(term.labels[i] for i in keep)
    return _Term(labels, reshape_to(term.value, [term.value.sizes[i] for i in keep]))


def _cheapest_pair(terms: list[_Term], output: tuple[str, ...], sizes: dict[str, int]) -> tuple[_Term, _Term]:
    """The two terms whose product has the fewest elements."""

    def cost(pair: tuple[_Term, _Term]) -> int:
        rest = [term for term in terms if term not in pair]
        needed = set(output).union(*(term.labels for term in rest))
        product = 1
        for label in set(pair[0].labels) | set(pair[1].labels):
            product *= sizes[label] if label in needed else 1
        return product

    pairs = [(a, b) for i, a in enumerate(terms) for b in terms[i + 1 :]]
    return min(pairs, key=cost)


def _contracted(first: _Term, second: _Term, needed: set[str], sizes: dict[str, int]) -> _Term:
    """The product of two terms, summed over the labels that are needed no more."""
    # A label whose axis was dropped as size 1 in one operand is summed there by summing the other.
    first, second = _narrowed(first, sizes), _narrowed(second, sizes)
    a = _summed(first, needed | set(second.labels))
    b = _summed(second, needed | set(first.labels))
    shared = [label for label in a.labels if label in b.labels]
    batch = [label for label in shared if label in needed]
    summed = [label for label in shared if label not in needed]
    product = ops.dot_general(
        a.value,
        b.value,
        lhs_contracting=tuple(map(a.labels.index, summed)),
        rhs_contracting=tuple(map(b.labels.index, summed)),
        lhs_batching=tuple(map(a.labels.index, batch)),
        rhs_batching=tuple(map(b.labels.index, batch)),
    )
    free = [label for label in (*a.labels, *b.labels) if label not in shared]
    return _Term((*batch, *free), product)


def _finished(term: _Term, output: tuple[str, ...], sizes: dict[str, int]) -> Var:
    """The last term summed, ordered, and repeated along labels whose axes were dropped."""
    term = _summed(term, set(output))
    present = [label for label in output if label in term.labels]
    value = permuted(term.value, [term.labels.index(label) for label in present])
    shape = tuple(sizes[label] for label in output)
    if value.sizes == shape:
        return value
    return ops.broadcast_in_dim(value, shape, [output.index(label) for label in present])


@tensor_function
def vdot(input: TensorLike, other: TensorLike) -> Tensor:
    """The inner product of both tensors, flattened."""
    a, b = (reshape_to(lift(value), (_size(lift(value)),)) for value in (input, other))
    return matmul(wrap(a), wrap(b))


@tensor_function
def trace(input: TensorLike) -> Tensor:
    """The sum of the diagonal of a matrix."""
    return einsum("ii", input)
