"""`Function`: an operation whose forward and backward the user writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenfold import tree as pytree
from tenfold.gradients.graph import Edge, Node
from tenfold.gradients.modes import is_grad_enabled, no_grad
from tenfold.tensor import Tensor
from tenfold.tracing import here
from tenfold.values import Kind
from tenfold_rt.errors import ArgumentError, GradientError


class Context:
    """What `forward` leaves for `backward`: tensors saved with `save_for_backward`, and attributes of any name."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Any, ...] | None = ()
        self.not_differentiable: tuple[int, ...] = ()
        self.materialize = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors until the way back."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved; `GradientError` once it was freed."""
        if self._saved is None:
            raise GradientError(
                "backward through the graph a second time: what it kept was freed by the first",
                mend="give the first backward() or grad() retain_graph=True",
            )
        return self._saved

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Results that have no gradient."""
        self.not_differentiable = tuple(id(tensor) for tensor in tensors)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Inputs that were changed in place; they need no mark here."""

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros, rather than None, for results whose gradient is zero."""
        self.materialize = value

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
        kinds: Sequence[Kind],
    ) -> None:
        super().__init__(edges)
        self._function, self._context, self._places, self._kinds = function, context, places, kinds

    @property
    def result_kinds(self) -> Sequence[Kind]:
        return self._kinds

    def pull(self, cotangents: Sequence[Any], create_graph: bool) -> Sequence[Any]:
        given = [
            Tensor.zeros_of(kind) if cotangent is None and self._context.materialize else cotangent
            for cotangent, kind in zip(cotangents, self._kinds, strict=True)
        ]
        returned: Any = self._function.backward(self._context, *given)
        gradients: tuple[Any, ...] = returned if isinstance(returned, tuple) else (returned,)  # pyright: ignore
        if len(gradients) < len(self._context.needs_input_grad):
            raise ArgumentError(
                f"{self.name()}: backward returned {len(gradients)} gradients for "
                f"{len(self._context.needs_input_grad)} inputs",
                mend="return one for each argument of forward, None where there is none",
            )
        return [gradients[place] for place in self._places]

    def recompute(self, place: int, known: Any) -> Any:
        raise GradientError(f"{self.name()}: its results cannot be computed anew")

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
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                raise ArgumentError(f"{cls.__name__}: forward returned a {type(leaf).__name__}", where=here())
        places = [place for place, need in enumerate(needed) if need]
        node = FunctionNode(
            cls, context, [args[place].ref.edge for place in places], places, [leaf.ref.kind for leaf in leaves]
        )
        results: list[Any] = []
        for place, leaf in enumerate(leaves):
            has_gradient = leaf.tensor_type.dtype.is_float and id(leaf) not in context.not_differentiable
            results.append(Tensor.of_value(leaf.value, Edge(node, place) if has_gradient else None))
        return pytree.unflatten(tree, results)
