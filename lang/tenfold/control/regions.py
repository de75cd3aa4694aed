"""Functions of the user as regions: what they return, taken apart, with errors that name it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tenfold import tree as pytree
from tenfold.gradients.calls import tensors_of
from tenfold.promotion import convert
from tenfold.python_numbers import number_array
from tenfold.tracing import Number, TensorLike, Trace, here, is_scalar, lift, wrap
from tenfold.tree import Tree
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Region
from tenfoldc.ir.types import TensorType


@frozen
class Leaves:
    """A pytree of tensors in the innermost trace.

    `weak` are leaves that were Python numbers, whose dtype yields; `numbers` has these where they are known, and None
    elsewhere.
    """

    tree: Tree
    values: tuple[Var, ...]
    weak: tuple[bool, ...]
    numbers: tuple[Any, ...] = ()

    @staticmethod
    def of(value: object, like: Sequence[TensorType] = ()) -> Leaves:
        """`value` taken apart; a Python number takes the dtype that its place has in `like`."""
        leaves, tree = pytree.flatten(value)
        values: list[Var] = []
        for number, leaf in enumerate(leaves):
            dtype = like[number].dtype if number < len(like) and is_scalar(leaf) else None
            values.append(lift(leaf, dtype if dtype is None or holds(leaf, dtype) else None))
        numbers = tuple(leaf if is_scalar(leaf) else None for leaf in leaves)
        return Leaves(tree, tuple(values), tuple(map(is_scalar, leaves)), numbers)

    @property
    def types(self) -> list[TensorType]:
        return [value.type for value in self.values]

    def number(self, place: int) -> Any:
        """The Python number that a leaf was, None for other leaves."""
        return self.numbers[place] if self.numbers else None

    def names(self, prefix: str) -> list[str]:
        return pytree.names(self.tree, prefix)

    def whole(self, values: Sequence[Var]) -> Any:
        """`values` of the innermost trace arranged as these leaves."""
        return pytree.unflatten(self.tree, [wrap(value) for value in values])

    def results(self, values: Sequence[Var]) -> Any:
        """`values`, results of the operation emitted last, arranged as these leaves; gradients flow through it."""
        return pytree.unflatten(self.tree, tensors_of(values))


def holds(number: Any, dtype: dtypes.DType) -> bool:
    """Whether a Python number may take a dtype: a float no integer's, an integer no bool's."""
    if isinstance(number, bool):
        return True
    return dtype.is_float or (isinstance(number, int) and dtype.is_integer)


@frozen
class Traced:
    """A region, and how its results are arranged."""

    region: Region
    results: Leaves


def trace(function: Callable[..., object], types: Sequence[TensorType], like: Sequence[TensorType] = ()) -> Traced:
    """`function` of a list of tensors of `types` as a region; Python numbers that it returns become as `like`."""
    with Trace() as inner:
        parameters = [inner.builder.parameter(type_) for type_ in types]
        leaves = Leaves.of(function([wrap(parameter) for parameter in parameters]), like)
        return Traced(inner.builder.region(parameters, leaves.values), leaves)


def converted(traced: Traced, wanted: Sequence[TensorType]) -> Traced:
    """`traced` with the results that were Python numbers converted to the dtypes `wanted`, where these hold them."""
    region = traced.region
    builder = Builder()
    builder.operations.extend(region.operations)
    values = [builder.var(value) for value in region.results]
    for place, (type_, weak) in enumerate(zip(wanted, traced.results.weak, strict=True)):
        if weak and not type_.rank:
            values[place] = _as_number(values[place], traced.results.number(place), type_.dtype)
    parameters = [builder.var(parameter) for parameter in region.parameters]
    leaves = replace(traced.results, values=tuple(values))
    return Traced(builder.region(parameters, values), leaves)


def _as_number(value: Var, number: Any, dtype: dtypes.DType) -> Var:
    """`value`, which stands for a Python number, as `dtype`: rounded once where the number is known; as it is where
    `dtype` is of a kind that does not hold it."""
    if value.dtype is dtype or number is None or isinstance(number, Number):
        return convert(value, dtype)
    return ops.constant(value.builder, number_array(number, dtype)) if holds(number, dtype) else value


def predicate(name: str, value: TensorLike) -> Var:
    """`value` as the bool scalar that decides something."""
    var = lift(value)
    if var.type != TensorType(dtypes.bool_):
        raise (DTypeError if var.rank == 0 else ShapeError)(
            f"{name}: the condition is {var.type}, not one bool",
            where=here(),
            mend="compare it, as in x > 0, or reduce it with tn.any or tn.all",
        )
    return var


def require_same_tree(name: str, what: str, given: Tree, other: str, wanted: Tree) -> None:
    """`ArgumentError` where two values that stand for each other are arranged differently."""
    if given != wanted:
        raise ArgumentError(
            f"{name}: {what} gives {_described(given)}, {other} {_described(wanted)}",
            where=here(),
            mend="return the same structure",
        )


def _described(tree: Tree) -> str:
    """A tree in words: `a tuple of 2`, `a tensor`."""
    if tree.is_leaf:
        return "a tensor"
    assert tree.kind is not None
    if tree.kind is type(None):
        return "None"
    if tree.kind is dict:
        return f"a dict of {', '.join(map(repr, tree.keys))}"
    return f"a {tree.kind.__name__} of {len(tree.keys)}"


def require_same_type(name: str, what: str, given: TensorType, other: str, wanted: TensorType) -> None:
    """`ShapeError` or `DTypeError` where the types of two values that stand for each other differ."""
    if given.shape != wanted.shape:
        raise ShapeError(
            f"{name}: {what} is {given}, {other} is {wanted}", where=here(), mend="keep the shape the same"
        )
    if given.dtype != wanted.dtype:
        raise DTypeError(
            f"{name}: {what} is {given}, {other} is {wanted}",
            where=here(),
            mend=f"convert one of them, as in x.to(tn.{wanted.dtype.name})",
        )


def index_scalar(value: TensorLike) -> Var:
    """An index or a number of turns: an i64 scalar."""
    var = lift(value)
    if var.rank or not var.dtype.is_integer:
        raise DTypeError(f"an index must be an integer scalar, not {var.type}", where=here())
    return ops.convert(var, dtypes.i64)
