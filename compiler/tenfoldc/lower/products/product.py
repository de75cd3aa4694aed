"""What dot_general and convolution have in common: a batch of matrix products whose elements are read by index."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Axis, Buffer, Constant, Expr, Load, Primitive, Statement


@frozen
class Operand:
    """One factor.  `read(batch, line, position, channel)` is its element; a line is an lhs's row, an rhs's column.

    `matrix`, where given, is the same memory as a row-major matrix: (batch * rows, depth) of an lhs,
    (batch * depth, columns) of an rhs.  `lines_adjoin`: neighbours in memory belong to neighbouring lines, rather
    than to neighbouring channels.  `line_stride`, where given: an rhs's channels lie side by side in memory, and the
    next line begins so many elements further.  `packs_ahead`: it is made of constants, and better kept in panels.
    """

    read: Callable[[Expr, Expr, Expr, Expr], Expr]
    lines_adjoin: bool
    matrix: Buffer | None = None
    line_stride: int | None = None
    packs_ahead: bool = False

    @property
    def kind(self) -> str:
        """How it lies in memory, in a word."""
        if self.packs_ahead:
            return "panels"
        if self.matrix is not None:
            return "matrix"
        return "lines" if self.lines_adjoin else "channels" if self.line_stride is None else "transposed"


@frozen
class Place:
    """Where the products lie as parts of one row-major matrix: the first row and column of a batch's product."""

    matrix: Buffer
    row: Callable[[Expr], Expr]
    column: Callable[[Expr], Expr]


@frozen
class Product:
    """result[b, i, j] = sum over p, c of lhs[b, i, p, c] * rhs[b, j, p, c].

    The depth is cut in two, positions (of a convolution's window) and channels, so that what depends on the
    position alone is not computed for every element.  `write(b, i, j, value)` stores one element, consumers
    applied; `place` is where elements lie when nothing but that store is to be done with them.  `is_highest`: the
    precision "highest" was asked for.
    """

    batch: int
    rows: int
    columns: int
    positions: int
    channels: int
    dtype: DType
    lhs: Operand
    rhs: Operand
    write: Callable[[Expr, Expr, Expr, Expr], Sequence[Statement]]
    place: Place | None
    is_highest: bool = False

    @property
    def depth(self) -> int:
        return self.positions * self.channels

    @property
    def kind(self) -> str:
        """What, beside the sizes, says how long it takes: where its elements lie and where they go."""
        end = "consumed" if self.place is None else "stored"
        return f"{self.batch} products over {self.positions} places, {self.lhs.kind} by {self.rhs.kind}, {end}"


def transposed(product: Product) -> Product:
    """The same product with rows and columns exchanged."""

    def write(b: Expr, i: Expr, j: Expr, value: Expr) -> Sequence[Statement]:
        return product.write(b, j, i, value)

    return replace(
        product,
        rows=product.columns,
        columns=product.rows,
        lhs=product.rhs,
        rhs=product.lhs,
        write=write,
        place=None,
    )


def delinearise(number: Expr, sizes: Sequence[int]) -> list[Expr]:
    """The index of element `number` of a row-major array of these sizes."""
    index: list[Expr] = []
    rest = number
    for axis in range(len(sizes) - 1, -1, -1):
        if sizes[axis] == 1:
            index.append(scalar.index(0))
        elif math.prod(sizes[:axis]) == 1:
            index.append(rest)
        else:
            index.append(scalar.rem(rest, scalar.index(sizes[axis])))
            rest = scalar.div(rest, scalar.index(sizes[axis]))
    return index[::-1]


def strides_in_memory(element: Expr, axes: Sequence[Axis], *, from_start: bool = True) -> tuple[int, ...] | None:
    """How far in memory a step along each axis leads, where `element` is read from its buffer's start on, or anywhere.

    None where `element` is computed rather than read, or not read at an affine index.
    """
    total = _place_in_memory(element)
    if total is None:
        return None
    offset = total.pop(None, 0)
    if (offset and from_start) or not set(total) <= set(axes):
        return None
    return tuple(total.get(axis, 0) for axis in axes)


def steps_in_memory(element: Expr, axes: Sequence[Axis]) -> tuple[int, ...] | None:
    """The same of an element that may depend on other axes too."""
    total = _place_in_memory(element)
    return None if total is None else tuple(total.get(axis, 0) for axis in axes)


def _place_in_memory(element: Expr) -> dict[Axis | None, int] | None:
    """The coefficient of each axis, and of None for the constant, in the offset of an element that is read."""
    if not isinstance(element, Load):
        return None
    total: dict[Axis | None, int] = {}
    for axis, position in enumerate(element.index):
        form = _affine(position)
        if form is None:
            return None
        weight = math.prod(element.buffer.shape[axis + 1 :])
        for atom, coefficient in form.items():
            total[atom] = total.get(atom, 0) + coefficient * weight
    return total


def _affine(expression: Expr) -> Mapping[Axis | None, int] | None:
    """The coefficient of each axis, and of None for the constant; None where the expression is not affine."""
    match expression:
        case Axis():
            return {expression: 1}
        case Constant():
            return {None: int(expression.value)} if expression.value else {}
        case Apply(Primitive.ADD, (left, right)):
            forms = _affine(left), _affine(right)
            if forms[0] is None or forms[1] is None:
                return None
            return {atom: forms[0].get(atom, 0) + forms[1].get(atom, 0) for atom in {**forms[0], **forms[1]}}
        case Apply(Primitive.MUL, (factor, Constant(scale))) | Apply(Primitive.MUL, (Constant(scale), factor)):
            form = _affine(factor)
            return None if form is None else {atom: coefficient * int(scale) for atom, coefficient in form.items()}
        case _:
            return None


def merged_stride(strides: Sequence[int], sizes: Sequence[int]) -> int | None:
    """The stride of the one axis that axes of these sizes make up; None where memory has gaps between them."""
    long = [(stride, size) for stride, size in zip(strides, sizes, strict=True) if size != 1]
    if any(outer != stride * size for (outer, _), (stride, size) in pairwise(long)):
        return None
    return long[-1][0] if long else 1


def is_row_major(strides: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether axes of these sizes, in this order, lie densely in memory."""
    expected = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return all(size == 1 or stride == wanted for stride, size, wanted in zip(strides, sizes, expected, strict=True))
