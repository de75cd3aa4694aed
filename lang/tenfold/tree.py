"""Pytrees: arguments and results that are tuples, lists, dicts, namedtuples and dataclasses of tensors.

`flatten` takes a value apart into its leaves and a `Tree` that says how they were arranged; `unflatten` puts
leaves back.  A `Tree` is hashable, so it is part of the signature that a function is compiled for.  Anything
that is not one of the containers above is a leaf; None is a container of nothing.  A dataclass field with
`metadata={"static": True}` is part of the tree, not a leaf.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import field
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

from tenfold.size import Size
from tenfold_rt.errors import ArgumentError
from tenfold_rt.frozen import frozen

T = TypeVar("T")
U = TypeVar("U")
IsLeaf: TypeAlias = Callable[[object], bool]


@frozen
class Tree:
    """How leaves are arranged: a leaf, or a container with a tree for each of its `keys`.

    Leaves are counted in the order of `keys`, which for a dict are sorted, so that two dicts with the same keys
    have equal trees; `order` remembers the insertion order for `unflatten`.
    """

    kind: type[Any] | None = None
    keys: tuple[Hashable, ...] = ()
    children: tuple[Tree, ...] = ()
    static: tuple[tuple[str, Hashable], ...] = ()
    order: tuple[Hashable, ...] = field(default=(), compare=False)

    @property
    def is_leaf(self) -> bool:
        return self.kind is None

    @property
    def leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.is_leaf else sum(child.leaves for child in self.children)


LEAF = Tree()
_CONTAINERS = frozenset({tuple, list, dict, OrderedDict, type(None)})


def flatten(value: object, is_leaf: IsLeaf | None = None) -> tuple[list[Any], Tree]:
    """The leaves of `value` and their arrangement; what `is_leaf` accepts is not taken apart."""
    leaves: list[Any] = []
    record: list[Hashable] = []
    try:
        scan(value, leaves, record, is_leaf)
        return leaves, _tree(tuple(record))
    except RecursionError:
        raise too_deep() from None


def too_deep() -> ArgumentError:
    """The error for a tree whose nodes Python cannot visit by recursion."""
    return ArgumentError("a tree of tensors holds itself, or nests deeper than Python's recursion limit")


def scan(value: object, leaves: list[Any], record: list[Hashable], is_leaf: IsLeaf | None = None) -> None:
    """Append the leaves of `value` to `leaves`, and to `record` their arrangement, node by node.

    This is what a call pays for.  Equal records mean equal trees and leaves of equal Python types; `flatten` makes a
    `Tree` of one, which it remembers.
    """
    kind = type(value)
    if is_leaf is not None and is_leaf(value):
        leaves.append(value)
        record.append(None)
    elif kind is tuple or kind is list:
        items = cast("Sequence[object]", value)
        record += (kind, len(items))
        scan_each(items, leaves, record, is_leaf)
    elif kind is dict or kind is OrderedDict:
        mapping = cast("dict[Hashable, object]", value)
        order = tuple(mapping)
        record += (kind, order)
        scan_each([mapping[key] for key in _sorted(order)], leaves, record, is_leaf)
    elif value is None:
        record += (kind, 0)
    elif kind is Size:
        scan(tuple(cast("Size", value)), leaves, record, is_leaf)
    elif (fields := _fields(kind)) is not None:
        record += (kind, tuple((name, cast("Hashable", getattr(value, name))) for name in fields.static))
        scan_each([getattr(value, name) for name in fields.names], leaves, record, is_leaf)
    else:
        _LEAF_KINDS.add(kind)
        leaves.append(value)
        record.append(kind)


def scan_each(
    values: Iterable[object], leaves: list[Any], record: list[Hashable], is_leaf: IsLeaf | None = None
) -> None:
    """`scan` of each of `values`."""
    for value in values:
        kind = type(value)
        if is_leaf is None and kind in _LEAF_KINDS:
            leaves.append(value)
            record.append(kind)
        else:
            scan(value, leaves, record, is_leaf)


_LEAF_KINDS: set[type[Any]] = {np.ndarray}
"""Types that have been found to be no containers."""


@frozen
class _Fields:
    """The names of what a namedtuple or a dataclass holds; the `static` ones are no leaves."""

    names: tuple[str, ...]
    static: tuple[str, ...] = ()


@functools.cache
def _fields(kind: type[Any]) -> _Fields | None:
    """The fields of a namedtuple or dataclass; None for any other type."""
    if issubclass(kind, tuple):
        names: tuple[str, ...] | None = getattr(cast("object", kind), "_fields", None)
        return None if names is None else _Fields(names)
    if not dataclasses.is_dataclass(kind):
        return None
    fields = dataclasses.fields(kind)
    return _Fields(
        tuple(f.name for f in fields if not f.metadata.get("static")),
        tuple(f.name for f in fields if f.metadata.get("static")),
    )


@functools.cache
def _sorted(keys: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    try:
        return tuple(sorted(cast("tuple[Any, ...]", keys)))
    except TypeError:
        return tuple(sorted(keys, key=lambda key: (type(key).__qualname__, repr(key))))


@functools.cache
def _tree(record: tuple[Hashable, ...]) -> Tree:
    """The tree that `scan` recorded."""
    return _next_tree(iter(record))


def _next_tree(record: Iterator[Any]) -> Tree:
    kind: type[Any] | None = next(record)
    fields = None if kind is None else _fields(kind)
    if kind is None or (fields is None and kind not in _CONTAINERS):
        return LEAF
    detail = next(record)
    if kind is tuple or kind is list or kind is type(None):
        return Tree(kind, tuple(range(detail)), tuple(_next_tree(record) for _ in range(detail)))
    if kind is dict or kind is OrderedDict:
        keys = _sorted(detail)
        return Tree(kind, keys, tuple(_next_tree(record) for _ in keys), order=detail)
    assert fields is not None
    return Tree(kind, fields.names, tuple(_next_tree(record) for _ in fields.names), static=detail)


def unflatten(tree: Tree, leaves: Sequence[T]) -> Any:
    """`leaves` arranged as `tree` says; their number must be `tree.leaves`."""
    iterator = iter(leaves)
    value = _unflatten(tree, iterator)
    if next(iterator, _END) is not _END:
        raise ValueError("more leaves than the tree has")
    return value


_END = object()


def _unflatten(tree: Tree, leaves: Iterator[Any]) -> Any:
    if tree.kind is None:
        return next(leaves)
    children = [next(leaves) if child.kind is None else _unflatten(child, leaves) for child in tree.children]
    if tree.kind is list:
        return children
    if tree.kind is tuple:
        return tuple(children)
    if tree.kind is type(None):
        return None
    make: Callable[..., Any] = tree.kind
    if tree.kind is dict or tree.kind is OrderedDict:
        by_key = dict(zip(tree.keys, children, strict=True))
        if tree.kind is dict and tree.keys == tree.order:
            return by_key
        return make((key, by_key[key]) for key in tree.order)
    if issubclass(tree.kind, tuple):
        return make(*children)
    return _rebuild_dataclass(tree.kind, tree, children)


def _rebuild_dataclass(kind: type[Any], tree: Tree, children: Sequence[Any]) -> Any:
    """A dataclass with these fields, without running its `__init__`, which may expect something else."""
    value: Any = object.__new__(kind)
    for name, child in [*zip(tree.keys, children, strict=True), *tree.static]:
        object.__setattr__(value, cast("str", name), child)
    return value


def names(tree: Tree, prefix: str = "") -> list[str]:
    """What each leaf is called: `params.w1`, `params[0]`; a lone leaf has the name `prefix`."""
    if tree.is_leaf:
        return [prefix]
    return [
        name
        for key, child in zip(tree.keys, tree.children, strict=True)
        for name in names(child, _child_name(tree, key, prefix))
    ]


def _child_name(tree: Tree, key: Hashable, prefix: str) -> str:
    if not (isinstance(key, str) and key.isidentifier()):
        return f"{prefix}[{key!r}]"
    return f"{prefix}.{key}" if prefix else key


def tree_map(function: Callable[[Any], U], value: object) -> Any:
    """`value` with `function` applied to each leaf."""
    leaves, tree = flatten(value)
    return unflatten(tree, [function(leaf) for leaf in leaves])


def describe(tree: Tree) -> str:
    """The arrangement as a reader would write it, leaves as `*`: `{'w': *, 'b': *}`."""
    if tree.kind is None:
        return "*"
    parts = dict(zip(tree.keys, map(describe, tree.children), strict=True))
    if tree.kind is tuple:
        return f"({', '.join(parts.values())}{',' if len(parts) == 1 else ''})"
    if tree.kind is list:
        return f"[{', '.join(parts.values())}]"
    if tree.kind is type(None):
        return "None"
    if tree.kind is dict or tree.kind is OrderedDict:
        return "{" + ", ".join(f"{key!r}: {parts[key]}" for key in tree.order) + "}"
    return f"{tree.kind.__name__}({', '.join(f'{key}={part}' for key, part in parts.items())})"
