"""Products with Jacobians, and Jacobians themselves: `jvp`, `vjp`, `jacfwd`, `jacrev`, `hessian`, `hvp`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tenfold import tree as pytree
from tenfold.control.regions import Leaves
from tenfold.higher_order import higher_order_function
from tenfold.rewrite.convert import rewritten
from tenfold.tracing import current, is_tracing, wrap
from tenfold.transforms.grad import grad
from tenfold.transforms.parts import Chosen, callable_anywhere, matching, name_of, wrapped
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError
from tenfoldc import ops, transform
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Region
from tenfoldc.ir.types import TensorType


@higher_order_function
def jvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """`function(*primals)` and its derivative along `tangents`, computed together in forward mode.

    Tangents are arranged as the primals are, with their shapes and dtypes; those of integers and bools are not
    looked at, and the tangents of integer and bool results are zeros.
    """
    name = name_of(function)
    arguments = Chosen.of("jvp", name, primals, range(len(primals)))
    like = Leaves.of(tuple(primals))
    given = matching("jvp", tuple(tangents), like, "tangents")
    traced = arguments.trace(function, primals, {})
    results, moved = transform.jvp(current().builder, traced.region, arguments.leaves, given)
    out = [wrap(result) for result in results]
    return pytree.unflatten(traced.results.tree, out), pytree.unflatten(traced.results.tree, wrapped(moved, results))


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """`function(*primals)`, and the function that takes a cotangent of that to the cotangents of the primals.

    A cotangent is arranged as the result is.  What the second function gives is a tuple, one value for each primal;
    cotangents of integers and bools are zeros.
    """
    if not is_tracing():
        return _vjp_outside(function, primals)
    arguments = Chosen.of("vjp", name_of(function), primals, range(len(primals)))
    traced = arguments.trace(function, primals, {})
    builder = current().builder
    results, pullback = transform.vjp(builder, traced.region, arguments.leaves, range(len(arguments.leaves)))
    like = Leaves(traced.results.tree, results, traced.results.weak)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        inner = current().builder
        given = matching("vjp", cotangent, like, "cotangent")
        return tuple(arguments.arrange(wrapped(pullback(given, inner), arguments.leaves)))

    return like.whole(results), pull


def _vjp_outside(function: Callable[..., Any], primals: tuple[Any, ...]) -> tuple[Any, Callable[[Any], Any]]:
    """Outside a trace each of the two is a program of its own."""

    @higher_order_function
    def pull(operands: tuple[Any, ...], cotangent: Any) -> tuple[Any, ...]:
        return vjp(function, *operands)[1](cotangent)

    @higher_order_function
    def value(operands: tuple[Any, ...]) -> Any:
        return rewritten(function)(*operands)

    return value(primals), lambda cotangent: pull(primals, cotangent)


def jacrev(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that gives the Jacobian of `function`, computed in reverse mode, one row at a time in a batch.

    For a result of shape r and an argument of shape a it has shape r + a; pytrees give the structure of the result
    with, in each place, that of the argument (a tuple of these for several `argnums`).
    """

    def traced(*args: Any, **kwargs: Any) -> Any:
        arguments = Chosen.of("jacrev", name_of(function), args, argnums)
        arguments.require_floats("jacrev")
        program = arguments.trace(function, args, kwargs)
        builder = current().builder
        results, pullback = transform.vjp(builder, program.region, arguments.leaves, range(len(arguments.leaves)))
        rows: list[Any] = []
        for place, result in enumerate(results):
            region = _pullback_of(builder, pullback, results, place, arguments.leaves)
            found = _along_basis(builder, region, result.type)
            shaped = [
                wrap(ops.reshape(jacobian, (*result.shape, *leaf.shape)))
                for jacobian, leaf in zip(found, arguments.leaves, strict=True)
            ]
            rows.append(_per_argument(arguments, shaped, argnums))
        return pytree.unflatten(program.results.tree, rows)

    return callable_anywhere(function, traced)


def jacfwd(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that gives the Jacobian of `function`, computed in forward mode, one column at a time in a batch.

    It is arranged as `jacrev` arranges it.
    """

    def traced(*args: Any, **kwargs: Any) -> Any:
        arguments = Chosen.of("jacfwd", name_of(function), args, argnums)
        arguments.require_floats("jacfwd")
        program = arguments.trace(function, args, kwargs)
        builder = current().builder
        columns: list[list[Var]] = []
        for place, leaf in enumerate(arguments.leaves):
            region = _pushforward_of(builder, program.region, arguments.leaves, place)
            columns.append(_along_basis(builder, region, leaf.type))
        rows: list[Any] = []
        for number, result in enumerate(program.region.results):
            shaped = [
                wrap(_basis_last(found[number], result.type, leaf.type))
                for found, leaf in zip(columns, arguments.leaves, strict=True)
            ]
            rows.append(_per_argument(arguments, shaped, argnums))
        return pytree.unflatten(program.results.tree, rows)

    return callable_anywhere(function, traced)


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that gives the matrix of second derivatives of `function`: forward over reverse mode.

    For a scalar result and an argument of shape a it has shape a + a.
    """
    return jacfwd(jacrev(function, argnums), argnums)


@higher_order_function
def hvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The product of the Hessian of `function`, whose result is one float, with `tangents`.

    It costs a few times what `function` does, and holds no matrix.  Primals and tangents are sequences of arguments;
    the result is a tuple, or for one argument its part alone.
    """
    if not primals:
        raise ArgumentError("hvp: there is no argument to differentiate by")
    along = grad(function, argnums=0 if len(primals) == 1 else tuple(range(len(primals))))
    return jvp(along, primals, tangents)[1]


def _per_argument(arguments: Chosen, leaves: Sequence[Any], argnums: int | Sequence[int]) -> Any:
    values = arguments.arrange(leaves)
    return values[0] if isinstance(argnums, int) else tuple(values)


def _pullback_of(
    builder: Builder, pullback: transform.Pullback, results: Sequence[Var], place: int, leaves: Sequence[Var]
) -> Region:
    """From a cotangent of one result to those of the arguments, as a region."""
    inner = Builder(builder.locate)
    seed = inner.parameter(results[place].type)
    if not seed.dtype.is_float:
        return inner.region([seed], [ops.full(inner, leaf.type, 0) for leaf in leaves])
    found = pullback([seed if number == place else None for number in range(len(results))], inner)
    pairs = zip(found, leaves, strict=True)
    zeros = (ops.full(inner, leaf.type, 0) if value is None else value for value, leaf in pairs)
    return inner.region([seed], list(zeros))


def _pushforward_of(builder: Builder, region: Region, leaves: Sequence[Var], place: int) -> Region:
    """From a tangent of one argument to those of the results, as a region."""
    inner = Builder(builder.locate)
    tangent = inner.parameter(leaves[place].type)
    given = [inner.var(leaf.value) for leaf in leaves]
    results, moved = transform.jvp(
        inner, region, given, [tangent if number == place else None for number in range(len(leaves))]
    )
    zeros = (ops.zeros_like(r) if value is None else value for value, r in zip(moved, results, strict=True))
    return inner.region([tangent], list(zeros))


def _along_basis(builder: Builder, region: Region, type_: TensorType) -> list[Var]:
    """The results of `region` for each tensor of `type_` with a single one, all others zero, stacked."""
    rows = ops.iota(builder, TensorType(dtypes.i64, (type_.size, type_.size)), 0)
    columns = ops.iota(builder, TensorType(dtypes.i64, (type_.size, type_.size)), 1)
    eye = ops.convert(ops.compare(rows, columns, ops.Direction.EQ), type_.dtype)
    basis = ops.reshape(eye, (type_.size, *type_.shape))
    results, batched = transform.vmap(builder, region, [basis], [True], type_.size)
    return [r if flag else ops.add_batch_axis(r, type_.size) for r, flag in zip(results, batched, strict=True)]


def _basis_last(stacked: Var, result: TensorType, argument: TensorType) -> Var:
    """Tangents stacked along axis 0, one for each element of the argument, with the argument's axes last."""
    moved = ops.transpose(stacked, (*range(1, stacked.rank), 0))
    return ops.reshape(moved, (*result.shape, *argument.shape))
