"""How the elements of a product's factors lie in memory: what a block can bring to shared memory many at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.evaluate import Array, evaluate
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Apply, Axis, Buffer, Constant, Expr, Load, Local, Primitive, Statement, Store, TileFactor
from tenfoldc.loops.traversal import expressions, walk_statements

_ACCESS_BYTES = 16
"""The widest access of a thread."""


@frozen
class Lines:
    """The lines of one factor and their depths, as axes with their extents."""

    line: Axis
    position: Axis
    channel: Axis
    lines: int
    positions: int
    channels: int

    @property
    def extents(self) -> Mapping[Axis, int]:
        return {self.line: self.lines, self.position: self.positions, self.channel: self.channels}


def half_behind(element: Expr) -> DType | None:
    """The 16-bit dtype whose elements `element` widens; None where it is anything else."""
    _, element = _split_condition(element)
    if isinstance(element, Apply) and element.primitive is Primitive.CONVERT and element.dtype == dtypes.f32:
        source = element.operands[0].dtype
        return source if source.is_half else None
    return None


def unscaled(element: Expr) -> tuple[Expr, Expr | None]:
    """What a constant multiplies that `element` widens from 16 bits, and the constant; else `element`, and None."""
    if isinstance(element, Apply) and element.primitive is Primitive.MUL:
        for inner, scale in (element.operands, element.operands[::-1]):
            if isinstance(scale, Constant) and half_behind(inner) is not None:
                return inner, scale
    return element, None


def tile_factor(element: Expr, dtype: DType, places: Lines) -> TileFactor:
    """The factor whose `element`, in terms of the axes of `places`, is multiplied in `dtype`."""
    inside, element = _split_condition(element)
    if half_behind(element) == dtype:
        assert isinstance(element, Apply)
        element = element.operands[0]
    element = scalar.convert(element, dtype)
    widest = _ACCESS_BYTES // dtype.itemsize
    for along_depth in (True, False):
        axis = places.channel if along_depth else places.line
        if isinstance(element, Load) and not _uses(inside, axis):
            vector = adjoining(element, axis, places.extents, widest)
            if vector > 1:
                return _factor(places, element, inside, vector, along_depth)
    along_depth = _depths_adjoin(element, places)
    extent = places.channels if along_depth else places.lines
    is_computed = not isinstance(element, Load) and inside is None
    vector = math.gcd(extent, widest) if is_computed else 1
    return _factor(places, element, inside, vector, along_depth)


def _factor(places: Lines, element: Expr, inside: Expr | None, vector: int, along_depth: bool) -> TileFactor:
    return TileFactor(places.line, places.position, places.channel, element, inside, vector, along_depth)


def _split_condition(element: Expr) -> tuple[Expr | None, Expr]:
    """The condition without which `element` is 0, if there is one, and what it is else."""
    if isinstance(element, Apply) and element.primitive is Primitive.SELECT:
        condition, value, other = element.operands
        if isinstance(other, Constant) and other.value == 0 and math.copysign(1, other.value) > 0:
            return condition, value
    return None, element


def _uses(expression: Expr | None, axis: Axis) -> bool:
    return expression is not None and any(each is axis for each in expressions((expression,)))


def adjoining(access: Load | Store, axis: Axis, extents: Mapping[Axis, int], most: int) -> int:
    """How many elements along `axis` are always neighbours in memory, at most `most`, the first at a multiple of them.

    `extents` gives those of `axis` and of others that matter; 1 where they are no neighbours.
    """
    algebra = IndexAlgebra()
    for each, extent in extents.items():
        algebra.declare(each, extent)
    form = algebra.offset(access.index, access.buffer.shape)
    count = math.gcd(most, extents[axis], form.constant)
    step = 0
    for atom, coefficient in form.terms:
        if atom is axis:
            step += coefficient
            continue
        if not _uses(atom, axis):
            count = math.gcd(count, coefficient)
            continue
        divisor = _divided(atom, axis)
        count = math.gcd(count, divisor)
        if isinstance(atom, Apply) and atom.primitive is Primitive.REM:
            step += coefficient
        else:
            count = math.gcd(count, coefficient)
    return count if step == 1 else 1


def written_together(body: Sequence[Statement], column: Axis, columns: int) -> int:
    """How many neighbouring columns are neighbours in all memory that `body` writes."""
    stores = [statement for statement in walk_statements(body) if isinstance(statement, Store)]
    widest = _ACCESS_BYTES // max((store.buffer.dtype.itemsize for store in stores), default=_ACCESS_BYTES)
    return min((adjoining(store, column, {column: columns}, widest) for store in stores), default=1)


def _divided(atom: Expr, axis: Axis) -> int:
    """The number by which `atom` divides `axis`; 1 where it does anything else with it."""
    if isinstance(atom, Apply) and atom.primitive in (Primitive.DIV, Primitive.REM) and atom.operands[0] is axis:
        divisor = atom.operands[1]
        return int(divisor.value) if isinstance(divisor, Constant) else 1
    return 1


def _depths_adjoin(element: Expr, places: Lines) -> bool:
    """Whether channels are nearer to each other than lines in the memory that is read first."""
    load = next((each for each in expressions((element,)) if isinstance(each, Load)), None)
    return load is None or not is_nearer(load, places.line, places.channel, places.extents)


def is_nearer(access: Load | Store, first: Axis, second: Axis, extents: Mapping[Axis, int]) -> bool:
    """Whether a step along `first` leads less far in memory than one along `second`, amid their extents."""
    middle = {axis: (extent - 1) // 2 for axis, extent in extents.items()}
    here = _offset(access, middle)
    steps: list[int] = []
    for axis in (first, second):
        beside = _offset(access, {**middle, axis: middle[axis] + 1}) if extents[axis] > 1 else None
        steps.append(abs(beside - here) if beside is not None and here is not None else 1 << 62)
    return steps[0] < steps[1]


def _offset(access: Load | Store, at: Mapping[Axis, int]) -> int | None:
    """Where in memory `access` is, all other axes being 0; None where that depends on memory."""
    total, buffer = 0, access.buffer
    for number, position in enumerate(access.index):
        leaves = [each for each in expressions((position,)) if not isinstance(each, Apply | Constant)]
        if not all(isinstance(leaf, Axis) for leaf in leaves):
            return None
        values: dict[Local | Axis | Load, Array] = {
            leaf: np.asarray(at.get(leaf, 0), np.int64) for leaf in leaves if isinstance(leaf, Axis)
        }
        total += int(evaluate(position, values)) * _stride(buffer, number)
    return total


def _stride(buffer: Buffer, axis: int) -> int:
    return math.prod(buffer.shape[axis + 1 :])
