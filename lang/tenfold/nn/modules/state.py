"""State dicts: a module's parameters and buffers by name, read out and put back.

Names and messages are PyTorch's, so that a state dict of the same architecture in PyTorch loads: its values may be
tensors of any library, or arrays.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tenfold.autograd import no_grad
from tenfold.construction import tensor
from tenfold.nn.modules.registry import children, persistent_state
from tenfold.nn.parameter import Parameter
from tenfold.tensor import Tensor
from tenfold_rt.errors import DTypeError, StateError

if TYPE_CHECKING:
    from tenfold.nn.modules.module import Module

EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """Names that a module has and the state dict has not, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    __str__ = __repr__


def saved(
    module: Module, destination: OrderedDict[str, Any] | None, prefix: str, keep_vars: bool
) -> OrderedDict[str, Any]:
    """`destination`, or a new dict, with the state of `module` and all modules in it."""
    result: OrderedDict[str, Any] = OrderedDict() if destination is None else destination
    for name, value in persistent_state(module):
        result[prefix + name] = value if keep_vars else value.detach()
    extra = module.get_extra_state()
    if extra is not None:
        result[prefix + EXTRA_STATE] = extra
    for name, child in children(module):
        child.state_dict(destination=result, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    return result


@dataclass(slots=True)
class _Loading:
    """One `load_state_dict` under way: what is given, what of it was used, and what went wrong."""

    given: Mapping[str, Any]
    assign: bool
    missing: list[str] = field(default_factory=list[str])
    used: set[str] = field(default_factory=set[str])
    errors: list[str] = field(default_factory=list[str])

    def load(self, module: Module, prefix: str) -> None:
        """Put back the state of `module`, whose names begin with `prefix`, and of all modules in it."""
        for name, own in list(persistent_state(module)):
            key = prefix + name
            if key not in self.given:
                self.missing.append(key)
                continue
            self.used.add(key)
            self._put(module, name, key, own)
        self._load_extra_state(module, prefix + EXTRA_STATE)
        for name, child in children(module):
            self.load(child, f"{prefix}{name}.")

    def _load_extra_state(self, module: Module, key: str) -> None:
        if key in self.given:
            self.used.add(key)
            module.set_extra_state(self.given[key])
        elif module.get_extra_state() is not None:
            self.missing.append(key)

    def _put(self, module: Module, name: str, key: str, own: Tensor) -> None:
        try:
            value = tensor_of(self.given[key])
        except (DTypeError, TypeError, ValueError):
            kind = type(self.given[key]).__name__
            self.errors.append(f'While copying the parameter named "{key}", expected a tensor or array but got {kind}.')
            return
        if own.ndim == 0 and tuple(value.shape) == (1,):
            value = value.reshape(())
        if tuple(value.shape) != tuple(own.shape):
            self.errors.append(
                f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                f"the shape in current model is {own.shape}."
            )
        elif self.assign:
            whole = Parameter(value, own.requires_grad) if isinstance(own, Parameter) else value
            setattr(module, name, whole)
        else:
            own.copy_(value)

    def unexpected(self) -> list[str]:
        return [key for key in self.given if key not in self.used]


def tensor_of(value: object) -> Tensor:
    """A tensor over `value`: ours, an array, or another library's tensor, whatever gradients it gathers."""
    if isinstance(value, Tensor):
        return value.detach()
    detach = getattr(value, "detach", None)
    return tensor(value if detach is None else detach())


def loaded(module: Module, state_dict: object, strict: bool, assign: bool) -> IncompatibleKeys:
    """Put `state_dict` into `module`; `StateError`, a RuntimeError, where shapes or, if `strict`, names differ."""
    if not isinstance(state_dict, Mapping):
        raise DTypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    loading = _Loading(cast("Mapping[str, Any]", state_dict), assign)
    with no_grad():
        loading.load(module, "")
    unexpected = loading.unexpected()
    errors = list(loading.errors)
    if strict:
        named = (("Missing", loading.missing), ("Unexpected", unexpected))
        errors[:0] = [f"{what} key(s) in state_dict: {_quoted(keys)}. " for what, keys in named if keys]
    if errors:
        lines = "".join(f"\n\t{error}" for error in errors)
        raise StateError(f"Error(s) in loading state_dict for {type(module).__name__}:{lines}")
    return IncompatibleKeys(loading.missing, unexpected)


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)
