"""Derivatives of Python functions: `tn.grad` and `tn.value_and_grad`, by reverse mode.

Inside a trace the function is traced to a region of its own, and the region and its derivative are put in place;
outside, on concrete arguments, the gradient is compiled and run.  So gradients compose with `tn.compile` and with
each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tenfold import tree as pytree
from tenfold.compile import Compiled
from tenfold.tracing import TensorLike, TensorValue, current, here, is_tracing, lift, trace_region, wrap
from tenfold.tree import Tree
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType
from tenfoldc.transform import vjp


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives `(value, gradient)` of `function`, whose result is one float, rank 0.

    The gradient has the structure of the argument that `argnums` numbers, or is a tuple of these for several.
    With `has_aux` the function returns `(value, aux)` and so the result is `((value, aux), gradient)`.
    `ShapeError` where the value is not rank 0, `DTypeError` where an argument or the value is not of floats.
    """

    def traced(*args: Any, **kwargs: Any) -> Any:
        return _value_and_grad(function, argnums, has_aux, args, kwargs)

    return _callable_anywhere(function, traced)


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of `function`, or `(gradient, aux)` with `has_aux`; see `value_and_grad`."""

    def traced(*args: Any, **kwargs: Any) -> Any:
        value, gradient = _value_and_grad(function, argnums, has_aux, args, kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return _callable_anywhere(function, traced)


def _callable_anywhere(function: Callable[..., Any], traced: Callable[..., Any]) -> Callable[..., Any]:
    """`traced` inside a trace; outside, `traced` compiled."""
    compiled = Compiled(functools.wraps(function)(traced), (), ())

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return traced(*args, **kwargs) if is_tracing() else compiled(*args, **kwargs)

    return call


@dataclass(frozen=True, slots=True)
class _Arguments:
    """The differentiated arguments taken apart: their trees, leaves, and names for messages."""

    numbers: tuple[int, ...]
    trees: tuple[Tree, ...]
    leaves: tuple[Var, ...]

    @staticmethod
    def of(name: str, args: Sequence[Any], argnums: int | Sequence[int]) -> _Arguments:
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        trees: list[Tree] = []
        leaves: list[Var] = []
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise ArgumentError(
                    f"grad: argnums has {number}, but {name} was given {len(args)} positional arguments",
                    where=here(),
                )
            values, tree = pytree.flatten(args[number])
            labels = pytree.names(tree, f"argument {number}")
            leaves.extend(_differentiable(value, label) for value, label in zip(values, labels, strict=True))
            trees.append(tree)
        return _Arguments(tuple(number % len(args) for number in numbers), tuple(trees), tuple(leaves))

    def put_into(self, args: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
        """`args` with the differentiated ones made of `leaves`."""
        replaced = list(args)
        for number, value in zip(self.numbers, self.arrange(leaves), strict=True):
            replaced[number] = value
        return replaced

    def arrange(self, leaves: Sequence[Any]) -> list[Any]:
        """One value for each argument, made of `leaves`."""
        remaining = iter(leaves)
        return [pytree.unflatten(tree, [next(remaining) for _ in range(tree.leaves)]) for tree in self.trees]


def _differentiable(value: Any, label: str) -> Var:
    var = lift(value)
    if not var.dtype.is_float:
        raise DTypeError(
            f"grad: {label} is {var.type}; gradients are of floats",
            where=here(),
            mend="convert it with tn.to, or choose other arguments with argnums",
        )
    return var


def _value_and_grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    args: Sequence[Any],
    kwargs: dict[str, Any],
) -> tuple[Any, Any]:
    name = getattr(function, "__name__", type(function).__name__)
    arguments = _Arguments.of(name, args, argnums)
    aux_tree: list[Tree] = []

    def body(*parameters: Var) -> list[Var]:
        leaves = [wrap(parameter) for parameter in parameters]
        returned = function(*arguments.put_into(args, leaves), **kwargs)
        value, aux = _split_aux(name, returned) if has_aux else (returned, None)
        aux_leaves, tree = pytree.flatten(aux)
        aux_tree.append(tree)
        return [_scalar(name, value), *map(lift, aux_leaves)]

    region = trace_region(body, [leaf.type for leaf in arguments.leaves])
    builder = current().builder
    results, pullback = vjp(builder, region, arguments.leaves, range(len(arguments.leaves)))
    seed = ops.ones_like(builder.var(results[0].value))
    cotangents = pullback([seed, *(None for _ in results[1:])])
    gradients = [
        wrap(ops.zeros_like(leaf) if cotangent is None else cotangent)
        for leaf, cotangent in zip(arguments.leaves, cotangents, strict=True)
    ]
    value, *aux_values = (wrap(result) for result in results)
    per_argument = arguments.arrange(gradients)
    gradient = per_argument[0] if isinstance(argnums, int) else tuple(per_argument)
    return ((value, pytree.unflatten(aux_tree[0], aux_values)) if has_aux else value), gradient


def _split_aux(name: str, returned: Any) -> tuple[Any, Any]:
    if not isinstance(returned, tuple) or len(returned) != 2:  # pyright: ignore[reportUnknownArgumentType]
        raise ArgumentError(f"grad: with has_aux {name} must return (value, aux)", where=here())
    return returned  # pyright: ignore[reportUnknownVariableType]


def _scalar(name: str, value: Any) -> Var:
    if not isinstance(value, (TensorValue, float, int)) and not hasattr(value, "dtype"):
        raise ArgumentError(f"grad: {name} returns a {type(value).__name__}, not one number", where=here())
    var = lift(cast("TensorLike", value))
    if var.rank != 0:
        raise ShapeError(
            f"grad: {name} returns {var.type}, but only one number has a gradient",
            where=here(),
            mend="reduce it with tn.sum or tn.mean",
        )
    if not var.dtype.is_float:
        raise DTypeError(f"grad: {name} returns {TensorType(var.dtype)}, not a float", where=here())
    return var
