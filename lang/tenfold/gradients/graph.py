"""What tensors remember of how they were computed: nodes, one for each call, with edges to those it depends on.

A node keeps what its way back needs.  So that a gradient can itself be differentiated it also knows where each of its
inputs came from, and computes their values anew when that is asked for.
"""

from __future__ import annotations

import itertools
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias, cast

from tenfold.lazy.graph import GRAPH
from tenfold.values import Kind, Storage, Value
from tenfold_rt.errors import GradientError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor
    from tenfold.tracing import TensorValue

_SERIALS = itertools.count(1)

Hook: TypeAlias = "Callable[[Any], Any]"
"""From a gradient to another that takes its place, or None."""

MANY = 100_000
"""Nodes alive at which a program that never lets go of its losses is warned of."""


class Edge(NamedTuple):
    """Where a value comes from: a result of a node."""

    node: Node
    place: int


Known: TypeAlias = "dict[Edge, Value]"
"""Results of nodes that were computed anew."""


class Handle:
    """What registering a hook gives; `remove` takes the hook away."""

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks, self._key = hooks, next(_SERIALS)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Call the hook no more."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class _Census:
    """How many nodes there are."""

    def __init__(self) -> None:
        self.alive = 0
        self._has_warned = False

    def warn(self) -> None:
        """Warn once that they are many."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{MANY} calls are remembered for gradients: a list or a sum of losses may keep their graphs alive; "
                "use loss.item() or loss.detach() for what is only looked at, and tn.no_grad() for evaluation",
                stacklevel=4,
            )


_CENSUS = _Census()


class Node:
    """A step of the way back.  `edges` are those of the values that it gives gradients for.

    `hooks` by place of a result, are called with its gradient; `kept` are the tensors whose gradients are kept.
    """

    __slots__ = ("__weakref__", "edges", "hooks", "kept", "serial")
    recomputes: ClassVar[bool] = False
    """Whether results can be computed anew; those of others are kept by the calls that take them."""

    def __init__(self, edges: Iterable[Edge | None]) -> None:
        self.edges = tuple(edges)
        self.serial = next(_SERIALS)
        self.hooks: dict[int, dict[int, Hook]] = {}
        self.kept: dict[int, weakref.ref[Tensor]] = {}
        _CENSUS.alive += 1
        if _CENSUS.alive > MANY:
            _CENSUS.warn()

    def __del__(self) -> None:
        _CENSUS.alive -= 1

    def keep(self, place: int, tensor: TensorValue) -> None:
        """Keep the gradient of a result in a tensor's `grad`."""
        self.kept[place] = weakref.ref(cast("Tensor", tensor))

    def keeps(self, place: int, tensor: TensorValue) -> bool:
        """Whether the gradient of a result is kept in a tensor's `grad`."""
        return place in self.kept and self.kept[place]() is tensor

    @property
    def result_kinds(self) -> Sequence[Kind | None]:
        """The kinds of the results, by place; None for what is no tensor."""
        raise NotImplementedError

    def pull(self, cotangents: Sequence[Any], known: Known | None) -> Sequence[Any]:
        """The gradients for `edges` from those of the results; None is zero.

        `known` are the results computed anew so far, where the gradients are to be differentiated; else None.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Let go of what the way back needs: it has been gone, or never will be."""

    def name(self) -> str:
        """The name, as PyTorch has it: `MulBackward0`."""
        raise NotImplementedError

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes that the gradients go to."""
        return tuple((None, 0) if edge is None else (edge.node, edge.place) for edge in self.edges)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


class AccumulateGrad(Node):
    """Where the way back ends: the gradient is added to that of a leaf."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(())
        self.serial = 0
        self._tensor = weakref.ref(tensor)

    @property
    def variable(self) -> Tensor | None:
        """The leaf; None where nobody has it any more."""
        return self._tensor()

    @property
    def result_kinds(self) -> Sequence[Kind | None]:
        tensor = self._tensor()  # its data may have been given another type, or moved, since it became a leaf
        return (None if tensor is None else tensor.ref.kind,)

    def pull(self, cotangents: Sequence[Any], known: Known | None) -> Sequence[Any]:
        tensor, gradient = self._tensor(), cotangents[0]
        if tensor is None or gradient is None:
            return ()
        with GRAPH.lock:  # another thread may add to it too
            tensor.accumulate(gradient, known is not None)
        return ()

    def name(self) -> str:
        return "AccumulateGrad"


def modified(storage: Storage, version: int, what: str) -> GradientError:
    """The error for a tensor that was changed in place since the `version` that the way back needs."""
    return GradientError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{storage.kind.type}, {what}, is at version {storage.version}; expected version {version}",
        mend="use the operation that gives a new tensor, or clone() the tensor before it is changed",
    )


class Watch(NamedTuple):
    """A tensor that must not be changed in place until the way back: its storage, the version, and what it is."""

    storage: weakref.ref[Storage]
    version: int
    what: str

    def check(self) -> None:
        """`GradientError` where it was changed."""
        storage = self.storage()
        if storage is not None and storage.version != self.version:
            raise modified(storage, self.version, self.what)
