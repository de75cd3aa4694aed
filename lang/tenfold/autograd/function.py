"""`Function`: an operation whose forward and backward the user writes."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, cast

from tenfold import tree as pytree
from tenfold.changes import refuse_leaf
from tenfold.gradients.graph import Edge, Known, Node, Watch
from tenfold.gradients.modes import is_grad_enabled, no_grad
from tenfold.tensor import Tensor
from tenfold.values import Kind
from tenfold_rt.errors import ArgumentError, GradientError


class Context:
    """What `forward` leaves for `backward`: tensors saved with `save_for_backward`, and attributes of any name."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.not_differentiable: tuple[int, ...] = ()
        self.dirty: tuple[int, ...] = ()
        self.materialize = True
        self._saved: tuple[Any, ...] | None = ()
        self._watched: list[Watch] = []
        self._results: dict[int, int] = {}
        self._node: weakref.ref[Node] | None = None

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors until the way back; `backward` finds them in `saved_tensors`."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved; `GradientError` once it was freed, or where it was changed in place."""
        if self._saved is None:
            raise GradientError(
                "backward through the graph a second time: what it kept was freed by the first",
                mend="give the first backward() or grad() retain_graph=True",
            )
        for watch in self._watched:
            watch.check()
        return tuple(self._with_edge(tensor) for tensor in self._saved)

    def _with_edge(self, tensor: Any) -> Any:
        """A result that was saved as it is outside, where gradients flow to it."""
        place = self._results.get(id(tensor))
        node = None if self._node is None else self._node()
        return tensor if place is None or node is None else Tensor.of_value(tensor.value, Edge(node, place))

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Results that have no gradient."""
        self.not_differentiable = tuple(id(tensor) for tensor in tensors)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Inputs that `forward` changed in place and returns."""
        self.dirty = tuple(id(tensor) for tensor in tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros, rather than None, for results whose gradient is zero."""
        self.materialize = value

    def close(self, node: Node, results: dict[int, int]) -> None:
        """The forward pass is over: `results` are the places of the tensors that it computed, by their `id`s."""
        self._node, self._results = weakref.ref(node), results
        for tensor in self._saved or ():
            if isinstance(tensor, Tensor):
                storage = tensor.ref.storage
                self._watched.append(Watch(weakref.ref(storage), storage.version, f"saved by {node.name()}"))

    def free(self) -> None:
        """Let go of what was saved."""
        self._saved = None


class FunctionNode(Node):
    """The way back through a `Function`."""

    __slots__ = ("_context", "_function", "_kinds", "_places")

    def __init__(
        self,
        function: type[Function],
        context: Context,
        edges: Sequence[Edge | None],
        places: Sequence[int],
        kinds: Sequence[Kind | None],
    ) -> None:
        super().__init__(edges)
        self._function, self._context, self._places, self._kinds = function, context, places, kinds

    @property
    def result_kinds(self) -> Sequence[Kind | None]:
        return self._kinds

    def pull(self, cotangents: Sequence[Any], known: Known | None) -> Sequence[Any]:
        given = [
            Tensor.zeros_of(kind) if cotangent is None and kind is not None and self._context.materialize else cotangent
            for cotangent, kind in zip(cotangents, self._kinds, strict=True)
        ]
        returned: Any = self._function.backward(self._context, *given)
        gradients: tuple[Any, ...] = returned if isinstance(returned, tuple) else (returned,)  # pyright: ignore
        count, surplus = len(self._context.needs_input_grad), gradients[len(self._context.needs_input_grad) :]
        if len(gradients) < count or any(each is not None for each in surplus):
            raise ArgumentError(
                f"{self.name()}: backward returned {len(gradients)} gradients for {count} inputs",
                mend="return one for each argument of forward, None where there is none",
            )
        return [gradients[place] for place in self._places]

    def release(self) -> None:
        self._context.free()

    def name(self) -> str:
        return f"{self._function.__name__}Backward"


class Function:
    """A base for operations with their own gradient.

    A subclass has static methods `forward(ctx, *args)`, which gives a tensor or a tuple of them, and
    `backward(ctx, *gradients)`, which gives a gradient, or None, for each of `args`.  `apply(*args)` calls it.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a Function must have a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError("a Function must have a static method backward(ctx, *grad_outputs)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Where `forward` takes no `ctx`: leave for `backward` what it needs."""

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call it; its results remember how to go back."""
        needed = tuple(isinstance(arg, Tensor) and arg.requires_grad and is_grad_enabled() for arg in args)
        context = Context(needed)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                returned = cls.forward(context, *args)
            else:
                returned = cls.forward(*args)
                cls.setup_context(context, args, returned)
        if not any(needed):
            return returned
        leaves, tree = pytree.flatten(returned)
        places = [place for place, need in enumerate(needed) if need]
        kinds = [leaf.ref.kind if isinstance(leaf, Tensor) else None for leaf in leaves]
        node = FunctionNode(cls, context, [args[place].ref.edge for place in places], places, kinds)
        given = {id(arg) for arg in args} - set(context.dirty)
        context.close(node, {id(leaf): place for place, leaf in enumerate(leaves) if id(leaf) not in given})
        return pytree.unflatten(tree, [_result(leaf, Edge(node, place), context) for place, leaf in enumerate(leaves)])


def _result(leaf: Any, edge: Edge, context: Context) -> Any:
    """What `forward` returned, as `apply` gives it."""
    if not isinstance(leaf, Tensor):
        return leaf
    has_gradient = leaf.tensor_type.dtype.is_float and id(leaf) not in context.not_differentiable
    if id(leaf) not in context.dirty:
        return Tensor.of_value(leaf.value, edge if has_gradient else None)
    refuse_leaf(leaf)
    leaf.assign(leaf.value, edge)
    return leaf


class _Refused(Node):
    """The way back through gradients that cannot be differentiated."""

    __slots__ = ("_kinds",)

    def __init__(self, kinds: Sequence[Kind | None]) -> None:
        super().__init__(())
        self._kinds = kinds

    @property
    def result_kinds(self) -> Sequence[Kind | None]:
        return self._kinds

    def pull(self, cotangents: Sequence[Any], known: Known | None) -> Sequence[Any]:
        raise GradientError("trying to differentiate twice a function that was marked with @once_differentiable")

    def name(self) -> str:
        return "OnceDifferentiableBackward"


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a `backward` whose gradients cannot be differentiated again: that raises `GradientError`."""

    @functools.wraps(backward)
    def method(ctx: Context, *gradients: Any) -> Any:
        with no_grad():
            returned = backward(ctx, *gradients)
        if not is_grad_enabled():
            return returned
        found = cast("tuple[Any, ...]", returned if isinstance(returned, tuple) else (returned,))
        node = _Refused([each.ref.kind if isinstance(each, Tensor) else None for each in found])
        return tuple(
            Tensor.of_value(each.value, Edge(node, place)) if isinstance(each, Tensor) else each
            for place, each in enumerate(found)
        )

    return method
