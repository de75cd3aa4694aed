"""Batching of Python functions: `vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from tenfold import tree as pytree
from tenfold.control.regions import trace
from tenfold.functions.axes import normalize_axis
from tenfold.rewrite.convert import rewritten
from tenfold.tracing import current, here, lift, wrap
from tenfold.transforms.parts import callable_anywhere, name_of
from tenfold.tree import Tree
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops, transform
from tenfoldc.ir.builder import Var

Axes: TypeAlias = Any
"""An axis, None, or a pytree of these: a prefix of what it is about."""


def vmap(
    function: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0, *, in_dims: Axes = 0, out_dims: Axes = 0
) -> Callable[..., Any]:
    """`function` of batches: it is applied to each example, all at once, in one program.

    `in_axes` says along which axis each positional argument holds the examples: one axis for all, or a tuple with an
    axis, None (the same value for all examples), or a pytree of these for each.  Keyword arguments hold them along
    axis 0.  `out_axes` likewise says where the results get theirs; PyTorch's names of these, `in_dims` and `out_dims`,
    will do too.  Loops turn until the last example ends, and where examples take different branches all of these are
    computed.  `ShapeError` where sizes differ.
    """
    into, out = _either("in", in_axes, in_dims), _either("out", out_axes, out_dims)

    def traced(*args: Any, **kwargs: Any) -> Any:
        return _mapped(function, into, out, args, kwargs)

    return callable_anywhere(function, traced)


def _either(way: str, axes: Axes, dims: Axes) -> Axes:
    """What was given by one name or the other; both are 0 where they are not."""
    if axes != 0 and dims != 0:
        raise ArgumentError(f"vmap: both {way}_axes and {way}_dims are given", where=here(), mend="give one of them")
    return axes if dims == 0 else dims


def _mapped(
    function: Callable[..., Any], in_axes: Axes, out_axes: Axes, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    name, function = name_of(function), rewritten(function)
    leaves, tree = pytree.flatten((args, kwargs))
    args_tree, kwargs_tree = tree.children
    parts = args_tree.children
    specs = _per_argument(in_axes, name, len(parts))
    axes = [axis for spec, part in zip(specs, parts, strict=True) for axis in _spread(spec, part)]
    axes += [0] * kwargs_tree.leaves
    labels = [label for number, part in enumerate(parts) for label in pytree.names(part, f"argument {number}")]
    labels += pytree.names(kwargs_tree, "keywords")
    values = [lift(leaf) for leaf in leaves]
    moved = [
        value if axis is None else _batch_first(label, value, axis)
        for label, value, axis in zip(labels, values, axes, strict=True)
    ]
    batched = [axis is not None for axis in axes]
    size = _batch_size(name, labels, moved, batched)
    types = [v.type.with_shape(v.shape[1:]) if flag else v.type for v, flag in zip(moved, batched, strict=True)]

    def example(tensors: Sequence[Any]) -> object:
        own_args, own_kwargs = pytree.unflatten(tree, tensors)
        return function(*own_args, **own_kwargs)

    program = trace(example, types)
    results, flags = transform.vmap(current().builder, program.region, moved, batched, size)
    out = _spread(out_axes, program.results.tree)
    placed = [
        wrap(_placed(name, result, flag, axis, size)) for result, flag, axis in zip(results, flags, out, strict=True)
    ]
    return pytree.unflatten(program.results.tree, placed)


def _per_argument(in_axes: Axes, name: str, count: int) -> list[Axes]:
    """The axes of each of `count` arguments."""
    if not isinstance(in_axes, (tuple, list)):
        return [in_axes] * count
    specs = list(cast("Sequence[Axes]", in_axes))
    if len(specs) != count:
        raise ArgumentError(f"vmap: in_axes has {len(specs)} entries, {name} was given {count} arguments", where=here())
    return specs


def _spread(axes: Axes, tree: Tree) -> list[int | None]:
    """An axis for each leaf of `tree`, of which `axes` is a prefix."""
    if axes is None or isinstance(axes, int):
        return [axes] * tree.leaves
    values, shape = pytree.flatten(axes, is_leaf=lambda value: value is None)
    return _follow(iter(values), shape, tree)


def _follow(values: Any, prefix: Tree, tree: Tree) -> list[int | None]:
    if prefix.is_leaf:
        return [next(values)] * tree.leaves
    if prefix.kind is not tree.kind or prefix.keys != tree.keys:
        raise ArgumentError("vmap: axes are not arranged as what they are about", where=here())
    pairs = zip(prefix.children, tree.children, strict=True)
    return [axis for inner, part in pairs for axis in _follow(values, inner, part)]


def _batch_first(label: str, value: Var, axis: int) -> Var:
    if value.rank == 0:
        raise ShapeError(
            f"vmap: {label} is {value.type}, which has no axis to map over", where=here(), mend="give it in_axes None"
        )
    place = normalize_axis("vmap", axis, value.rank)
    return value if place == 0 else ops.transpose(value, (place, *(a for a in range(value.rank) if a != place)))


def _batch_size(name: str, labels: Sequence[str], values: Sequence[Var], batched: Sequence[bool]) -> int:
    sizes = {label: value.sizes[0] for label, value, flag in zip(labels, values, batched, strict=True) if flag}
    if not sizes:
        raise ArgumentError(f"vmap: no argument of {name} is mapped over", where=here(), mend="give one an axis")
    (first, size), *others = sizes.items()
    for label, other in others:
        if other != size:
            raise ShapeError(
                f"vmap: {first} holds {size} examples, {label} holds {other}",
                where=here(),
                mend="give in_axes the axes that hold the examples, None for what all share",
            )
    return size


def _placed(name: str, result: Var, is_batched: bool, axis: int | None, size: int) -> Var:
    if axis is None:
        if is_batched:
            raise ArgumentError(
                f"vmap: a result of {name} differs from example to example, but its out_axes is None", where=here()
            )
        return result
    whole = result if is_batched else ops.add_batch_axis(result, size)
    place = normalize_axis("vmap", axis, whole.rank)
    order = list(range(1, whole.rank))
    order.insert(place, 0)
    return ops.transpose(whole, order)
