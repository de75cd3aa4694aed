"""What transformations share: arguments taken apart, functions traced to regions, and calls outside a trace."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tenfold import tree as pytree
from tenfold.compile import Compiled
from tenfold.control.regions import Leaves, Traced, trace
from tenfold.rewrite.convert import rewritten
from tenfold.tracing import current, here, is_tracing, lift, wrap
from tenfold.tree import Tree
from tenfold_rt.errors import ArgumentError, DTypeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var


def callable_anywhere(function: Callable[..., Any], traced: Callable[..., Any]) -> Callable[..., Any]:
    """`traced` inside a trace; outside, `traced` compiled.  It is called as `function` is."""
    compiled = Compiled(functools.wraps(function, updated=())(traced), (), ())

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        return traced(*args, **kwargs) if is_tracing() else compiled(*args, **kwargs)

    return call


def name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


@frozen
class Chosen:
    """The arguments that a transformation is about, taken apart: their numbers, trees and leaves."""

    numbers: tuple[int, ...]
    trees: tuple[Tree, ...]
    leaves: tuple[Var, ...]
    labels: tuple[str, ...]

    @staticmethod
    def of(what: str, name: str, args: Sequence[Any], argnums: int | Sequence[int]) -> Chosen:
        """Arguments `argnums` of `args`, those of a call of `name`."""
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        trees: list[Tree] = []
        leaves: list[Var] = []
        labels: list[str] = []
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise ArgumentError(
                    f"{what}: argnums has {number}, but {name} was given {len(args)} positional arguments",
                    where=here(),
                )
            values, tree = pytree.flatten(args[number])
            labels.extend(pytree.names(tree, f"argument {number}"))
            leaves.extend(map(lift, values))
            trees.append(tree)
        return Chosen(tuple(number % len(args) for number in numbers), tuple(trees), tuple(leaves), tuple(labels))

    def require_floats(self, what: str) -> None:
        """`DTypeError` where one has no derivative."""
        for leaf, label in zip(self.leaves, self.labels, strict=True):
            if not leaf.dtype.is_float:
                raise DTypeError(
                    f"{what}: {label} is {leaf.type}; gradients are of floats",
                    where=here(),
                    mend="convert it with tn.to, or choose other arguments with argnums",
                )

    def put_into(self, args: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
        """`args` with the chosen ones made of `leaves`."""
        replaced = list(args)
        for number, value in zip(self.numbers, self.arrange(leaves), strict=True):
            replaced[number] = value
        return replaced

    def arrange(self, leaves: Sequence[Any]) -> list[Any]:
        """One value for each argument, made of `leaves`."""
        remaining = iter(leaves)
        return [pytree.unflatten(tree, [next(remaining) for _ in range(tree.leaves)]) for tree in self.trees]

    def trace(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Traced:
        """`function` on these arguments as a region of their leaves."""
        function = rewritten(function)

        def call(leaves: Sequence[Any]) -> object:
            return function(*self.put_into(args, leaves), **kwargs)

        return trace(call, [leaf.type for leaf in self.leaves])


def matching(what: str, given: Any, like: Leaves, label: str) -> list[Var | None]:
    """The leaves of `given`, tangents or cotangents of `like`; None for those of integers and bools.

    `ArgumentError`, `ShapeError` or `DTypeError` where they do not fit.
    """
    values = Leaves.of(given, like.types)
    if values.tree != like.tree:
        raise ArgumentError(f"{what}: the {label} are not arranged as what they belong to is", where=here())
    fitting: list[Var | None] = []
    for name, value, wanted in zip(like.names(label), values.values, like.values, strict=True):
        if not wanted.dtype.is_float:
            fitting.append(None)
            continue
        if value.shape != wanted.shape or value.dtype != wanted.dtype:
            raise DTypeError(
                f"{what}: {name} is {value.type}, what it belongs to is {wanted.type}",
                where=here(),
                mend="give it the same shape and dtype",
            )
        fitting.append(value)
    return fitting


def wrapped(values: Sequence[Var | None], like: Sequence[Var]) -> list[Any]:
    """Tensors of the innermost trace; zeros for None."""
    builder = current().builder
    return [
        wrap(ops.full(builder, other.type, 0) if value is None else value)
        for value, other in zip(values, like, strict=True)
    ]
