"""Hooks of modules: functions that run around a module's forward pass, or when its gradients are known.

A module holds a `Hooks`, made when the first hook is registered; a module that has none pays one test for them.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from tenfold.autograd import Function
from tenfold.tensor import Tensor
from tenfold_rt.errors import ArgumentError
from tenfold_rt.frozen import frozen

if TYPE_CHECKING:
    from tenfold.nn.modules.module import Module

_NUMBERS = itertools.count()

ForwardPreHook: TypeAlias = Callable[..., Any]
ForwardHook: TypeAlias = Callable[..., Any]
BackwardHook: TypeAlias = Callable[..., Any]
Gradients: TypeAlias = "tuple[Tensor | None, ...]"


class RemovableHandle:
    """What registering a hook returns; `remove()` takes the hook out again.  Also a context manager that does so."""

    def __init__(self, hooks: OrderedDict[int, Any]) -> None:
        self.id = next(_NUMBERS)
        self._hooks = weakref.ref(hooks)

    def remove(self) -> None:
        """Take the hook out; nothing where it is out already."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


@frozen
class _Hook:
    function: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


@dataclass(slots=True)
class Hooks:
    """The hooks of one module, each kind in the order in which they run."""

    forward_pre: OrderedDict[int, _Hook] = field(default_factory=lambda: OrderedDict[int, _Hook]())
    forward: OrderedDict[int, _Hook] = field(default_factory=lambda: OrderedDict[int, _Hook]())
    backward_pre: OrderedDict[int, _Hook] = field(default_factory=lambda: OrderedDict[int, _Hook]())
    backward: OrderedDict[int, _Hook] = field(default_factory=lambda: OrderedDict[int, _Hook]())

    def run(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's forward pass, with its hooks around it."""
        always = {number for number, hook in self.forward.items() if hook.always_call}
        result: Any = None
        try:
            args, kwargs = self._before(module, args, kwargs)
            watch = _BackwardWatch(module, self) if self.backward or self.backward_pre else None
            if watch is not None:
                args = watch.inputs(args)
            result = module.forward(*args, **kwargs)
            for number, hook in list(self.forward.items()):
                always.discard(number)
                result = _replaced(result, _call_forward(hook, module, args, kwargs, result))
            return result if watch is None else watch.outputs(result)
        finally:
            for number in always & set(self.forward):
                result = _replaced(result, _call_forward(self.forward[number], module, args, kwargs, result))

    def _before(
        self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook in list(self.forward_pre.values()):
            if hook.with_kwargs:
                changed = hook.function(module, args, kwargs)
                if changed is not None:
                    pair = _as_tuple(changed)
                    if len(pair) != 2:
                        raise ArgumentError("a forward pre-hook with_kwargs must return None or (args, kwargs)")
                    args, kwargs = pair
            else:
                changed = hook.function(module, args)
                if changed is not None:
                    args = _as_tuple(changed)
        return args, kwargs


def registered(
    hooks: OrderedDict[int, Any],
    function: Callable[..., Any],
    *,
    prepend: bool = False,
    with_kwargs: bool = False,
    always_call: bool = False,
) -> RemovableHandle:
    """Add `function` to `hooks`, at their end or, with `prepend`, their beginning."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = _Hook(function, with_kwargs, always_call)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _call_forward(hook: _Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
    if hook.with_kwargs:
        return hook.function(module, args, kwargs, result)
    return hook.function(module, args, result)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)


def _replaced(value: Any, by: Any) -> Any:
    return value if by is None else by


class _Observed(Function):
    """Tensors unchanged; their gradients, which arrive together, are what `seen` makes of them."""

    @staticmethod
    def forward(ctx: Any, *args: Any, **_: Any) -> Any:
        seen, *tensors = args
        ctx.seen = seen
        return tuple(tensor.view(tensor.shape) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        return (None, *ctx.seen(grad_outputs))


class _BackwardWatch:
    """Calls a module's backward hooks: with the gradients of one call's results, and of its positional arguments."""

    def __init__(self, module: Module, hooks: Hooks) -> None:
        self._module = module
        self._before = list(hooks.backward_pre.values())
        self._after = list(hooks.backward.values())
        self._of_outputs: Gradients = ()
        self._places: list[int] = []
        self._count = 0

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """`args`, the gradients of whose tensors will be shown to the hooks."""
        self._count = len(args)
        self._places = _places_of_tensors(args)
        if not self._places or not self._after:
            return args
        return _with_observed(args, self._places, self._seen_inputs)

    def outputs(self, result: Any) -> Any:
        """`result` of the forward pass, whose gradients arrive first."""
        results = _as_tuple(result)
        places = _places_of_tensors(results)
        if not places:
            return result

        def seen(gradients: Gradients) -> Gradients:
            return self._seen_outputs(gradients, places, len(results))

        observed = _with_observed(results, places, seen)
        return observed if isinstance(result, tuple) else observed[0]

    def _seen_outputs(self, gradients: Gradients, places: list[int], count: int) -> Gradients:
        whole = _at(gradients, places, count)
        for hook in self._before:
            changed = hook.function(self._module, whole)
            if changed is not None:
                whole = _as_tuple(changed)
        self._of_outputs = whole
        if not self._places:
            for hook in self._after:
                hook.function(self._module, (None,) * self._count, whole)
        return tuple(whole[place] for place in places)

    def _seen_inputs(self, gradients: Gradients) -> Gradients:
        whole = _at(gradients, self._places, self._count)
        for hook in self._after:
            changed = hook.function(self._module, whole, self._of_outputs)
            if changed is not None:
                whole = _as_tuple(changed)
        return tuple(whole[place] for place in self._places)


def _places_of_tensors(values: Sequence[Any]) -> list[int]:
    return [place for place, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]


def _with_observed(values: Sequence[Any], places: list[int], seen: Callable[[Gradients], Gradients]) -> tuple[Any, ...]:
    observed = list(values)
    for place, tensor in zip(places, _Observed.apply(seen, *(values[place] for place in places)), strict=True):
        observed[place] = tensor
    return tuple(observed)


def _at(gradients: Gradients, places: list[int], count: int) -> Gradients:
    whole: list[Tensor | None] = [None] * count
    for place, gradient in zip(places, gradients, strict=True):
        whole[place] = gradient
    return tuple(whole)
