"""`Module`: the base of all layers and models, with PyTorch's names.

Tensors and modules that become attributes are registered by kind, so that a model knows its parameters, its buffers
and its submodules by dotted names; calling a module runs its `forward` and the hooks around it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from tenfold.autograd import no_grad
from tenfold.compile import compile  # noqa: A004
from tenfold.device import Device
from tenfold.nn.modules import hooks, registry, state, text
from tenfold.nn.modules.hooks import Hooks, RemovableHandle
from tenfold.nn.modules.registry import own_buffers, own_modules, own_parameters
from tenfold.nn.parameter import Parameter
from tenfold.specs import ElementType, bfloat16, float16, float32, float64
from tenfold.tensor import Tensor
from tenfold.tracing import guarded, is_tracing
from tenfold_rt.errors import DTypeError, MemberError

Self = TypeVar("Self", bound="Module")

_REGISTRIES = (registry.PARAMETERS, registry.BUFFERS, registry.MODULES)


class Module:
    """A part of a model: subclass it, make parameters and submodules attributes, and write `forward`."""

    training: bool
    _hooks: Hooks | None

    def __init__(self) -> None:
        for name in _REGISTRIES:
            object.__setattr__(self, name, {})
        object.__setattr__(self, registry.NON_PERSISTENT, set())
        object.__setattr__(self, "_hooks", None)
        object.__setattr__(self, "training", True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes; subclasses define it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if is_tracing():
            guarded(lambda: self.training)
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._hooks.run(self, args, kwargs)

    def export(self, path: str | Path, *args: Any, **kwargs: Any) -> Path:
        """Write the module as a library with a C header, for inputs like the examples; see `Compiled.export`.

        Its parameters and buffers are constants in it.
        """
        return compile(self).export(path, *args, **kwargs)

    # Attributes

    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self.__dict__
        if registry.MODULES not in kinds:
            if isinstance(value, (Parameter, Module)):
                kind = "parameters" if isinstance(value, Parameter) else "module"
                raise MemberError(f"cannot assign {kind} before Module.__init__() call")
            object.__setattr__(self, name, value)
        elif isinstance(value, Parameter):
            self._forget(name, keep=registry.PARAMETERS)
            self.register_parameter(name, value)
        elif name in kinds[registry.PARAMETERS]:
            _require_none(value, f"parameter '{name}' (torch.nn.Parameter or None expected)")
            own_parameters(self)[name] = None
        elif isinstance(value, Module):
            self._forget(name, keep=registry.MODULES)
            own_modules(self)[name] = value
        elif name in kinds[registry.MODULES]:
            _require_none(value, f"child module '{name}' (torch.nn.Module or None expected)")
            own_modules(self)[name] = None
        elif name in kinds[registry.BUFFERS]:
            if not isinstance(value, Tensor):
                _require_none(value, f"buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)")
            own_buffers(self)[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        kinds = self.__dict__
        for kind in _REGISTRIES:
            members = kinds.get(kind)
            if members is not None and name in members:
                return members[name]
        raise MemberError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for kind in _REGISTRIES:
            if name in self.__dict__[kind]:
                del self.__dict__[kind][name]
                registry.non_persistent(self).discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        members = [name for kind in _REGISTRIES for name in self.__dict__.get(kind, ())]
        return sorted({*super().__dir__(), *members})

    def _forget(self, name: str, keep: str) -> None:
        """Take `name` out of all places where an attribute can be, but for the registry `keep`."""
        self.__dict__.pop(name, None)
        for kind in _REGISTRIES:
            if kind != keep:
                self.__dict__[kind].pop(name, None)
        registry.non_persistent(self).discard(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make `param` an attribute that is one of `parameters()`; None keeps its place."""
        self._require_free(name, "parameter", own_parameters(self))
        if param is not None and not isinstance(param, Parameter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise MemberError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'", mend="compute it from a parameter in forward"
            )
        own_parameters(self)[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make `tensor` an attribute that is moved and, if `persistent`, saved with the module, but not trained."""
        self._require_free(name, "buffer", own_buffers(self))
        if tensor is not None and not isinstance(tensor, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (torch Tensor or None required)"
            )
        own_buffers(self)[name] = tensor
        if persistent:
            registry.non_persistent(self).discard(name)
        else:
            registry.non_persistent(self).add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """`add_module` by its other name."""
        self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make `module` an attribute that is one of `children()`."""
        if module is not None and not isinstance(module, Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(f"{type(module).__name__} is not a Module subclass")
        self._require_free(name, "module", own_modules(self))
        own_modules(self)[name] = module

    def _require_free(self, name: object, kind: str, members: dict[str, Any]) -> None:
        if registry.MODULES not in self.__dict__:
            raise MemberError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise DTypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise MemberError(f'{kind} name can\'t contain "."')
        if not name:
            raise MemberError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in members:
            raise MemberError(f"attribute '{name}' already exists")

    # What is in the module

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once; of this module alone without `recurse`."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; a shared one by its first name unless not `remove_duplicate`."""
        return registry.named_members(self, own_parameters, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names."""
        return registry.named_members(self, own_buffers, prefix, recurse, remove_duplicate)

    def children(self) -> Iterator[Module]:
        """The submodules that are attributes of this module, each once."""
        return (child for _, child in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The submodules that are attributes of this module, with their names."""
        seen: set[Module] = set()
        for name, child in registry.children(self):
            if child not in seen:
                seen.add(child)
                yield name, child

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all modules in it."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module, called `prefix`, and all modules in it, with their dotted names."""
        return registry.named_modules(self, prefix, set() if memo is None else memo, remove_duplicate)

    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name `target`; this one for ""."""
        module = self
        for name in target.split(".") if target else ():
            module = _member(module, name, Module, "an nn.Module")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name `target`."""
        path, _, name = target.rpartition(".")
        return _member(self.get_submodule(path), name, Parameter, "an nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name `target`."""
        path, _, name = target.rpartition(".")
        holder = self.get_submodule(path)
        buffer = _member(holder, name, Tensor, "a buffer")
        if name not in own_buffers(holder):
            raise MemberError(f"`{name}` is not a buffer")
        return buffer

    # State

    def state_dict(
        self, *, destination: OrderedDict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """The parameters and persistent buffers by dotted names, detached unless `keep_vars`; they share memory."""
        return state.saved(self, destination, prefix, keep_vars)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> state.IncompatibleKeys:
        """Copy a state dict's values into this module, or, with `assign`, let it hold them.

        Values may be tensors of PyTorch, or arrays.  `StateError` (a RuntimeError) tells of all shapes that do not
        fit and, where `strict`, of all names that are missing or too many.
        """
        return state.loaded(self, state_dict, strict, assign)

    def get_extra_state(self) -> Any:
        """What a subclass wants in the state dict beyond tensors; None for nothing."""
        return None

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise NotImplementedError(f"{type(self).__name__} has no set_extra_state for the extra state that it was given")

    # Modes and conversions

    def train(self: Self, mode: bool = True) -> Self:
        """Let dropout, batch normalisation and their like behave as when training, in all modules in this one."""
        if not isinstance(mode, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: Self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Let all parameters gather gradients, or none."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them zero."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad.detach_()
                parameter.grad.zero_()

    def apply(self: Self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` with each module in this one, and with this one last."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Convert to a dtype (floating tensors alone), a device, or those of a tensor: arguments as `Tensor.to`'s."""
        dtype = kwargs.get("dtype")
        for argument in args:
            dtype = argument if isinstance(argument, ElementType) else getattr(argument, "dtype", dtype)
        if dtype is not None and not dtype.is_floating_point:
            raise DTypeError(f"nn.Module.to only accepts floating point dtypes, but got desired dtype={dtype}")
        places = tuple(getattr(arg, "device", arg) for arg in args if not isinstance(arg, ElementType))
        settings = {name: value for name, value in kwargs.items() if name != "dtype"}

        def converted(tensor: Tensor) -> Tensor:
            moved = tensor.to(*places, **settings) if places or settings else tensor
            return moved if dtype is None or not tensor.is_floating_point() else moved.to(dtype)

        return self._convert(converted)

    def float(self: Self) -> Self:
        """Floating parameters and buffers as f32."""
        return self.to(float32)

    def double(self: Self) -> Self:
        """Floating parameters and buffers as f64."""
        return self.to(float64)

    def half(self: Self) -> Self:
        """Floating parameters and buffers as f16."""
        return self.to(float16)

    def bfloat16(self: Self) -> Self:
        """Floating parameters and buffers as bf16."""
        return self.to(bfloat16)

    def cpu(self: Self) -> Self:
        """All parameters and buffers in the CPU's memory."""
        return self.to("cpu")

    def cuda(self: Self, device: Any = None) -> Self:
        """All parameters and buffers in the memory of a GPU; `DeviceError` says why there is none."""
        return self.to(Device("cuda" if device is None else device))

    def _convert(self: Self, converted: Callable[[Tensor], Tensor]) -> Self:
        """Give each parameter, its gradient, and each buffer other data; parameters stay the objects that they are."""
        with no_grad():
            for module in self.modules():
                for parameter in own_parameters(module).values():
                    if parameter is not None:
                        gradient = parameter.grad
                        parameter.data = converted(parameter.data)
                        if gradient is not None:
                            parameter.grad = converted(gradient)
                buffers = own_buffers(module)
                for name, buffer in buffers.items():
                    buffers[name] = None if buffer is None else converted(buffer)
        return self

    # Hooks

    def _hooks_of(self) -> Hooks:
        if self._hooks is None:
            object.__setattr__(self, "_hooks", Hooks())
        return cast("Hooks", self._hooks)

    def register_forward_pre_hook(
        self, hook: hooks.ForwardPreHook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns, if anything, takes the arguments' place.

        `with_kwargs`: it is called as `hook(module, args, kwargs)` and returns a pair.
        """
        return hooks.registered(self._hooks_of().forward_pre, hook, prepend=prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self, hook: hooks.ForwardHook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, result)` after `forward`; what it returns, if anything, takes the result's place.

        `with_kwargs`: it is called as `hook(module, args, kwargs, result)`; `always_call`: after an error as well.
        """
        return hooks.registered(
            self._hooks_of().forward, hook, prepend=prepend, with_kwargs=with_kwargs, always_call=always_call
        )

    def register_full_backward_hook(self, hook: hooks.BackwardHook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the module's arguments are known.

        What it returns, if anything, takes the place of `grad_input`.
        """
        return hooks.registered(self._hooks_of().backward, hook, prepend=prepend)

    def register_full_backward_pre_hook(self, hook: hooks.BackwardHook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the gradients of the module's arguments are computed."""
        return hooks.registered(self._hooks_of().backward_pre, hook, prepend=prepend)

    # Text

    def extra_repr(self) -> str:
        """The settings that `repr` shows."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return text.described(self, self._get_name())


_Kind = TypeVar("_Kind")


def _member(module: Module, name: str, kind: type[_Kind], called: str) -> _Kind:
    if not hasattr(module, name):
        raise MemberError(f"{type(module).__name__} has no attribute `{name}`")
    value = getattr(module, name)
    if not isinstance(value, kind):
        raise MemberError(f"`{name}` is not {called}")
    return value


def _require_none(value: object, place: str) -> None:
    if value is not None:
        raise DTypeError(f"cannot assign '{type(value).__name__}' object to {place}")
