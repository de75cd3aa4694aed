"""Branches over a traced condition: each is traced as a path, and what they leave in variables is merged.

A variable in which both leave the same is as it is; numbers and tensors that differ become results of the compiled
branch.  Anything else must be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold import tree as pytree
from tenfold.control.regions import holds
from tenfold.gradients.calls import tensors_of
from tenfold.promotion import convert, promote_types, type_of
from tenfold.rewrite.cells import Cells
from tenfold.rewrite.signals import MISSING, NORMAL, Kind, Signal, Unset, content, joined
from tenfold.tracing import TensorValue, Trace, current, here, is_scalar, lift
from tenfold.tree import Tree
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Region
from tenfoldc.ir.types import TensorType


@dataclass(slots=True)
class Path:
    """One way through a part: its trace, what variables hold at its end, and how it ends."""

    trace: Trace
    values: dict[str, Any]
    signal: Signal

    @staticmethod
    def explore(part: Callable[[], Signal | None], cells: Cells, before: Mapping[str, Any], what: str) -> Path:
        """Trace `part`, which begins with the variables as they were `before`."""
        cells.write(before)
        watch = cells.watched()
        with Trace() as trace:
            signal = part() or NORMAL
            watch.refuse_changes(what)
            return Path(trace, cells.read(), signal)

    def go_on(self, part: Callable[[], Signal | None], cells: Cells) -> None:
        """Trace `part` behind this path, which falls through."""
        cells.write(self.values)
        with self.trace:
            self.signal = part() or NORMAL
            self.values = cells.read()


def merge(
    pred: Var, paths: tuple[Path, Path], cells: Cells, before: Mapping[str, Any], names: Sequence[str], what: str
) -> Signal:
    """Choose between two explored paths; variables `names` get what the path taken leaves in them."""
    place, names = here(), [name for name in names if name in before]
    kinds, tracked = joined(((path.signal, path.values) for path in paths), frozenset(names))
    merger = _Merger(paths, what)
    rest = {name: value for name, value in before.items() if name not in names}
    contents = {name: merger.template(name, *(content(path.values[name]) for path in paths)) for name in names}
    values = [path.signal.value if Kind.RETURN in path.signal.kinds else MISSING for path in paths]
    returned = merger.template("return", *values)
    kind = merger.template("kind", *(path.signal.number for path in paths)) if len(kinds) > 1 else None
    results = merger.results(pred)
    after = {name: template.filled(results) for name, template in contents.items()}
    for name, value in after.items():
        why = _reason([path.values[name] for path in paths])
        if value is MISSING:
            after[name] = Unset(name, why)
        elif name in kinds.get(Kind.NORMAL, ()):
            after[name] = Unset(name, why or f"`{name}` is assigned in only one branch of the {what} at {place}", value)
    for name, value in rest.items():
        if any(path.values[name] is not value for path in paths):
            rest[name] = _dead(name, [path.values[name] for path in paths])
    cells.write({**rest, **after})
    return Signal(kinds, None if kind is None else kind.filled(results), returned.filled(results), tracked)


def _dead(name: str, values: Sequence[Any]) -> Unset:
    """What becomes of a variable that nothing reads any more."""
    if all(isinstance(value, Unset) and not value.why for value in values):
        return Unset(name)
    return Unset(name, f"`{name}` has no value here")


def _reason(values: Sequence[Any]) -> str:
    """Why a variable has no value that is one of `values` after a path."""
    return next((value.why for value in values if isinstance(value, Unset) and value.why), "")


@frozen
class _Slot:
    number: int


@frozen
class Template:
    """A value of which some leaves are results of a branch or loop."""

    tree: Tree
    leaves: Sequence[Any]

    def filled(self, results: Sequence[Any]) -> Any:
        return pytree.unflatten(
            self.tree, [results[leaf.number] if isinstance(leaf, _Slot) else leaf for leaf in self.leaves]
        )


_LEAF = pytree.flatten(0)[1]


class _Merger:
    """Collects the leaves in which two paths differ."""

    def __init__(self, paths: tuple[Path, Path], what: str) -> None:
        self._paths = paths
        self._what = what
        self._pairs: list[tuple[str, Any, Any]] = []

    def template(self, name: str, first: Any, second: Any) -> Template:
        """What variable `name` holds after the paths, which leave `first` and `second` in it."""
        if first is second:
            return Template(_LEAF, [first])
        if first is MISSING or second is MISSING:
            leaves, tree = pytree.flatten(second if first is MISSING else first)
            sides = ([MISSING] * len(leaves), leaves) if first is MISSING else (leaves, [MISSING] * len(leaves))
        else:
            (leaves, tree), (others, other) = pytree.flatten(first), pytree.flatten(second)
            if tree != other:
                self._refuse(named(name), described(first), described(second))
            sides = (leaves, others)
        labels = pytree.names(tree, name)
        return Template(tree, [self._leaf(*each) for each in zip(labels, *sides, strict=True)])

    def _leaf(self, label: str, first: Any, second: Any) -> Any:
        if same(first, second):
            return first
        present = [leaf for leaf in (first, second) if leaf is not MISSING]
        if not all(map(is_numeric, present)):
            if len(present) == 1:
                return present[0]
            self._refuse(named(label), described(first), described(second))
        self._pairs.append((label, first, second))
        return _Slot(len(self._pairs) - 1)

    def _refuse(self, label: str, first: str, second: str) -> None:
        raise ArgumentError(
            f"{label} is {first} after one branch of the {self._what} and {second} after the other",
            where=here(),
            mend="only numbers and tensors can depend on a traced value",
        )

    def results(self, pred: Var) -> list[Any]:
        """Emit the branch; the tensors that the slots stand for."""
        if not self._pairs:
            return []
        wanted = [agreed(label, first, second, self._what) for label, first, second in self._pairs]
        sides = ([pair[1] for pair in self._pairs], [pair[2] for pair in self._pairs])
        regions = [_region(path, side, wanted) for path, side in zip(self._paths, sides, strict=True)]
        return list(tensors_of(ops.if_(pred, *regions)))


def _region(path: Path, leaves: Sequence[Any], wanted: Sequence[TensorType]) -> Region:
    with path.trace:
        values = [as_var(leaf, type_) for leaf, type_ in zip(leaves, wanted, strict=True)]
        return path.trace.builder.region((), values)


def as_var(leaf: Any, type_: TensorType) -> Var:
    """A leaf in the innermost trace, of `type_`; zeros where it is missing."""
    if leaf is MISSING:
        return ops.full(current().builder, type_, 0)
    fits = is_scalar(leaf) and holds(leaf, type_.dtype)
    return convert(lift(leaf, type_.dtype if fits else None), type_.dtype)


def agreed(label: str, first: Any, second: Any, what: str) -> TensorType:
    """The type for two leaves of which a branch chooses one: that of both; of scalars, the type that holds both.

    A Python number's dtype yields where the other's can hold it.
    """
    pair = [leaf for leaf in (first, second) if leaf is not MISSING]
    types = [type_of(leaf) for leaf in pair]
    if len(types) == 1 or types[0] == types[1]:
        return types[0]
    one, other = types
    message = f"{named(label)} is {one} after one branch of the {what} and {other} after the other"
    if one.shape != other.shape:
        raise ShapeError(message, where=here(), mend="give it the same shape in both")
    for leaf, wanted in ((pair[0], other), (pair[1], one)):
        if is_scalar(leaf) and not all(map(is_scalar, pair)) and holds(leaf, wanted.dtype):
            return wanted
    if one.rank:
        raise DTypeError(message, where=here(), mend=f"convert one of them, as in x.to(tn.{one.dtype.name})")
    return one.with_dtype(promote_types(one.dtype, other.dtype))


def is_numeric(leaf: Any) -> bool:
    """Whether a leaf can be computed: a tensor, an array, or a number."""
    return isinstance(leaf, (TensorValue, np.ndarray, np.generic)) or is_scalar(leaf)


def same(first: Any, second: Any) -> bool:
    """Whether two leaves certainly are the same value."""
    if first is second:
        return True
    if type(first) is not type(second) or isinstance(first, (TensorValue, np.ndarray, np.generic)):
        return False
    if is_scalar(first):
        return repr(first) == repr(second)
    try:
        return bool(first == second)
    except Exception:
        return False


def named(label: str) -> str:
    """A variable, or a part of it, in an error."""
    if label.startswith("return"):
        return "what the function returns"
    return "the conditional expression" if label.startswith("chosen") else f"`{label}`"


def described(value: Any) -> str:
    """A value in an error."""
    if isinstance(value, TensorValue):
        return str(value.tensor_type)
    if value is None or is_scalar(value) or isinstance(value, str):
        return repr(value)
    if isinstance(value, (tuple, list, dict)):
        return f"a {type(value).__name__} of {len(value)}"  # pyright: ignore[reportUnknownArgumentType]
    return f"a {type(value).__name__}"
