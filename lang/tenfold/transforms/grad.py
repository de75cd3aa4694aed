"""Derivatives of Python functions: `tn.grad` and `tn.value_and_grad`, by reverse mode.

Inside a trace the function is traced to a region of its own, and the region and its derivative are put in place;
outside, on concrete arguments, the gradient is compiled and run.  So gradients compose with `tn.compile` and with
each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from tenfold import tree as pytree
from tenfold.rewrite.convert import rewritten
from tenfold.tracing import TensorLike, TensorValue, current, here, lift, trace_region, wrap
from tenfold.transforms.parts import Chosen, callable_anywhere, name_of
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

    return callable_anywhere(function, traced)


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of `function`, or `(gradient, aux)` with `has_aux`; see `value_and_grad`."""

    def traced(*args: Any, **kwargs: Any) -> Any:
        value, gradient = _value_and_grad(function, argnums, has_aux, args, kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return callable_anywhere(function, traced)


def _value_and_grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    args: Sequence[Any],
    kwargs: dict[str, Any],
) -> tuple[Any, Any]:
    name, function = name_of(function), rewritten(function)
    arguments = Chosen.of("grad", name, args, argnums)
    arguments.require_floats("grad")
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
