"""Loops along an axis: `scan`, `map` and `associative_scan`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from tenfold import tree as pytree
from tenfold.control.loops import settled
from tenfold.control.regions import Leaves, require_same_tree
from tenfold.functions.axes import normalize_axis
from tenfold.functions.shapes import sliced
from tenfold.gradients.calls import tensors_of
from tenfold.higher_order import higher_order_function
from tenfold.tracing import current, here
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var, build_region, copied
from tenfoldc.ir.core import Region


@higher_order_function
def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int = 1,
    checkpoint: int | Literal["sqrt"] | None = None,
) -> Any:
    """`carry, y = f(carry, x)` for each x along the first axis of the tensors `xs`; gives (last carry, stacked ys).

    Carry, x and y are pytrees.  Without `xs` there are `length` turns with x None.  In `reverse` the last x comes
    first, and its y stays last.  `unroll` turns are written out per turn of the loop.  With `checkpoint` n, reverse
    mode keeps the carry of each n-th turn alone and computes the n turns after it again ("sqrt": the square root of
    their number); without, it keeps what each turn computed.
    """
    carry, stacks = Leaves.of(init), Leaves.of(xs)
    count = len(carry.values)
    turns = _length("scan", stacks, length)

    def body(tensors: Sequence[Any]) -> tuple[object, object]:
        state, x = tensors[:count], tensors[count:]
        returned = f(pytree.unflatten(carry.tree, state), pytree.unflatten(stacks.tree, x))
        if not isinstance(returned, tuple) or len(returned) != 2:  # pyright: ignore[reportUnknownArgumentType]
            raise ArgumentError("scan: the function must return a pair, (carry, y)", where=here())
        return returned  # pyright: ignore[reportUnknownVariableType]

    elements = [value.type.with_shape(value.type.shape[1:]) for value in stacks.values]
    loop = settled("scan", carry, body, after=elements)
    plan = _Plan(loop.body, count, reverse, _at_least_one("unroll", unroll), _period(checkpoint, turns))
    if not count and not stacks.values:
        raise ArgumentError("scan: there is neither a carry nor a tensor in xs", where=here())
    results = plan.run(loop.values, stacks.values, turns)
    tensors = tensors_of(results)
    ys = pytree.unflatten(loop.extra, tensors[count:])
    return pytree.unflatten(carry.tree, tensors[:count]), ys


@higher_order_function
def map(f: Callable[[Any], Any], xs: Any) -> Any:  # noqa: A001 - the field's name
    """`f(x)` for each x along the first axis of the tensors `xs`, one after the other, stacked.

    `vmap` computes them all at once, in more memory.
    """
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


def _length(name: str, stacks: Leaves, length: int | None) -> int:
    """The number of turns, which all `stacks` and `length` agree upon."""
    wanted, source = length, "length"
    for label, value in zip(stacks.names("xs"), stacks.values, strict=True):
        if value.rank == 0:
            raise ShapeError(f"{name}: {label} is {value.type}, which has no axis to go along", where=here())
        size = value.sizes[0]
        if wanted is not None and wanted != size:
            raise ShapeError(f"{name}: {label} has {size} elements along axis 0, {source} has {wanted}", where=here())
        wanted, source = size, label
    if wanted is None:
        raise ArgumentError(f"{name}: there is neither a tensor in xs nor a length", where=here())
    if wanted < 0:
        raise ArgumentError(f"{name}: the length is {wanted}", where=here())
    return wanted


def _at_least_one(name: str, number: int) -> int:
    if number < 1:
        raise ArgumentError(f"scan: {name} is {number}, but must be 1 or more", where=here())
    return number


def _period(checkpoint: int | str | None, turns: int) -> int | None:
    """How many turns one checkpoint holds."""
    if checkpoint == "sqrt":
        return max(1, math.isqrt(turns))
    if checkpoint is None or isinstance(checkpoint, int):
        return None if checkpoint is None else _at_least_one("checkpoint", checkpoint)
    raise ArgumentError(f"scan: checkpoint is {checkpoint!r}, but must be a number of turns or 'sqrt'", where=here())


Chunk: TypeAlias = Callable[[Sequence[Var], Sequence[Var], int], Sequence[Var]]
"""From a carry, stacks and their length to the next carry and stacks of that length."""


@frozen
class _Plan:
    """How the turns of a scan are taken."""

    body: Region
    carries: int
    reverse: bool
    unroll: int
    period: int | None

    def run(self, carry: Sequence[Var], stacks: Sequence[Var], turns: int) -> Sequence[Var]:
        """All turns: in checkpoints, each of which is written out in part."""
        if self.period is not None:
            return self._chunked(carry, stacks, turns, self.period, self._checkpointed)
        if self.unroll > 1:
            return self._chunked(carry, stacks, turns, self.unroll, self._unrolled)
        return self._looped(carry, stacks, turns)

    def _looped(self, carry: Sequence[Var], stacks: Sequence[Var], turns: int) -> Sequence[Var]:
        return ops.scan(carry, stacks, copied(self.body), turns=turns, reverse=self.reverse)

    def _unrolled(self, carry: Sequence[Var], stacks: Sequence[Var], turns: int) -> Sequence[Var]:
        """Turns one after the other, without a loop."""
        rows: dict[int, Sequence[Var]] = {}
        for turn in reversed(range(turns)) if self.reverse else range(turns):
            elements = [ops.reshape(sliced(stack, 0, turn, turn + 1), stack.shape[1:]) for stack in stacks]
            given = [*carry, *elements]
            results = given[0].builder.inline(self.body, given)
            carry, rows[turn] = results[: self.carries], results[self.carries :]
        made = zip(*(rows[turn] for turn in range(turns)), strict=True)
        return *carry, *(ops.concatenate([ops.reshape(y, (1, *y.shape)) for y in ys], 0) for ys in made)

    def _checkpointed(self, carry: Sequence[Var], stacks: Sequence[Var], turns: int) -> Sequence[Var]:
        """Turns of which reverse mode keeps the operands alone."""
        plain = replace(self, period=None)
        given = [*carry, *stacks]

        def build(*values: Var) -> Sequence[Var]:
            return plain.run(values[: self.carries], values[self.carries :], turns)

        builder = given[0].builder
        return ops.checkpoint(given, build_region([var.type for var in given], build, like=builder), builder)

    def _chunked(
        self, carry: Sequence[Var], stacks: Sequence[Var], turns: int, size: int, chunk: Chunk
    ) -> Sequence[Var]:
        """Turns in chunks of `size`, and what is left over at the end of the stacks."""
        whole = turns - turns % size
        rests = [sliced(stack, 0, whole, turns) for stack in stacks]
        mains = [sliced(stack, 0, 0, whole) for stack in stacks]
        if self.reverse:
            carry, rest = self._rest(carry, rests, turns - whole, chunk)
            carry, main = self._main(carry, mains, whole // size, size, chunk)
        else:
            carry, main = self._main(carry, mains, whole // size, size, chunk)
            carry, rest = self._rest(carry, rests, turns - whole, chunk)
        if not main or not rest:
            return *carry, *main, *rest
        return *carry, *(ops.concatenate(parts, 0) for parts in zip(main, rest, strict=True))

    def _rest(
        self, carry: Sequence[Var], stacks: Sequence[Var], turns: int, chunk: Chunk
    ) -> tuple[Sequence[Var], Sequence[Var]]:
        if turns == 0:
            return carry, ()
        results = chunk(carry, stacks, turns)
        return results[: self.carries], results[self.carries :]

    def _main(
        self, carry: Sequence[Var], stacks: Sequence[Var], chunks: int, size: int, chunk: Chunk
    ) -> tuple[Sequence[Var], Sequence[Var]]:
        """A loop over whole chunks."""
        split = [ops.reshape(stack, (chunks, size, *stack.shape[1:])) for stack in stacks]
        types = [*(var.type for var in carry), *(var.type.with_shape(var.shape[1:]) for var in split)]

        def build(*values: Var) -> Sequence[Var]:
            return chunk(values[: self.carries], values[self.carries :], size)

        body = build_region(types, build, like=current().builder)
        results = ops.scan(carry, split, body, turns=chunks, reverse=self.reverse)
        made = (ops.reshape(y, (chunks * size, *y.shape[2:])) for y in results[self.carries :])
        return results[: self.carries], tuple(made)


@higher_order_function
def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, dim: int = 0) -> Any:
    """Running combinations along an axis of the tensors `elems`: first, fn(first, second), fn(fn(first, second), …), …

    `fn` must be associative, and combines tensors element by element along that axis.  Takes about log2(n) steps, each
    over the whole axis (G. Blelloch, "Prefix Sums and Their Applications", 1990).
    """
    leaves = Leaves.of(elems)
    if not leaves.values:
        raise ArgumentError("associative_scan: there is no tensor", where=here())
    axes = [normalize_axis("associative_scan", dim, value.rank) for value in leaves.values]
    sizes = {value.sizes[axis] for value, axis in zip(leaves.values, axes, strict=True)}
    if len(sizes) != 1:
        raise ShapeError(f"associative_scan: sizes differ along the axis, {sorted(sizes)}", where=here())

    def combine(first: Sequence[Var], second: Sequence[Var]) -> list[Var]:
        combined = Leaves.of(fn(leaves.whole(first), leaves.whole(second)), leaves.types)
        require_same_tree("associative_scan", "the function", combined.tree, "elems are", leaves.tree)
        return list(combined.values)

    values = [_flipped(value, axis, reverse) for value, axis in zip(leaves.values, axes, strict=True)]
    found = _running(combine, values, axes)
    return leaves.whole([_flipped(value, axis, reverse) for value, axis in zip(found, axes, strict=True)])


def _flipped(value: Var, axis: int, reverse: bool) -> Var:
    return ops.reverse(value, (axis,)) if reverse else value


def _running(
    combine: Callable[[Sequence[Var], Sequence[Var]], list[Var]], values: Sequence[Var], axes: Sequence[int]
) -> list[Var]:
    """Pairs are combined, run over, and the numbers between found from them."""
    size = values[0].sizes[axes[0]]
    if size < 2:
        return list(values)
    firsts, seconds = _strided(values, axes, 0, size - 1), _strided(values, axes, 1, size)
    odd = _running(combine, combine(firsts, seconds), axes)
    pairs = size // 2
    before = [sliced(value, axis, 0, pairs - (size % 2 == 0)) for value, axis in zip(odd, axes, strict=True)]
    even = combine(before, _strided(values, axes, 2, size)) if size > 2 else []
    heads = [sliced(value, axis, 0, 1) for value, axis in zip(values, axes, strict=True)]
    if even:
        heads = [ops.concatenate(parts, axis) for *parts, axis in zip(heads, even, axes, strict=True)]
    return [_interleaved(*parts) for parts in zip(heads, odd, axes, strict=True)]


def _strided(values: Sequence[Var], axes: Sequence[int], start: int, stop: int) -> list[Var]:
    """Every second position from `start` to before `stop`."""
    found: list[Var] = []
    for value, axis in zip(values, axes, strict=True):
        low, high, strides = [0] * value.rank, list(value.sizes), [1] * value.rank
        low[axis], high[axis], strides[axis] = start, stop, 2
        found.append(ops.slice_(value, low, high, strides))
    return found


def _interleaved(even: Var, odd: Var, axis: int) -> Var:
    """Positions 0, 2, … from `even` and 1, 3, … from `odd`, which has as many or one less."""
    pairs = odd.sizes[axis]
    shape = (*even.shape[:axis], pairs, 1, *even.shape[axis + 1 :])
    columns = [ops.reshape(sliced(value, axis, 0, pairs), shape) for value in (even, odd)]
    merged = ops.reshape(ops.concatenate(columns, axis + 1), (*shape[:axis], 2 * pairs, *shape[axis + 2 :]))
    if even.sizes[axis] == pairs:
        return merged
    return ops.concatenate([merged, sliced(even, axis, pairs, pairs + 1)], axis)
