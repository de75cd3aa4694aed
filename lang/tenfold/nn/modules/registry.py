"""What a module holds, by name: parameters, buffers and submodules, its own and those of all modules in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tenfold.nn.parameter import Parameter
from tenfold.tensor import Tensor

if TYPE_CHECKING:
    from tenfold.nn.modules.module import Module

T = TypeVar("T")

PARAMETERS, BUFFERS, MODULES, NON_PERSISTENT = "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"


def own_parameters(module: Module) -> dict[str, Parameter | None]:
    """The parameters registered on `module` itself; None holds the place of one that it could have."""
    return cast("dict[str, Parameter | None]", module.__dict__[PARAMETERS])


def own_buffers(module: Module) -> dict[str, Tensor | None]:
    """The buffers registered on `module` itself."""
    return cast("dict[str, Tensor | None]", module.__dict__[BUFFERS])


def own_modules(module: Module) -> dict[str, Module | None]:
    """The submodules registered on `module` itself."""
    return cast("dict[str, Module | None]", module.__dict__[MODULES])


def non_persistent(module: Module) -> set[str]:
    """The names of the own buffers that are no part of the state dict."""
    return cast("set[str]", module.__dict__[NON_PERSISTENT])


def children(module: Module) -> Iterator[tuple[str, Module]]:
    """The own submodules that are there, also those that are there twice."""
    return ((name, child) for name, child in own_modules(module).items() if child is not None)


def persistent_state(module: Module) -> Iterator[tuple[str, Tensor]]:
    """What of `module` itself belongs to a state dict, in its order: parameters, then buffers."""
    for name, parameter in own_parameters(module).items():
        if parameter is not None:
            yield name, parameter
    hidden = non_persistent(module)
    for name, buffer in own_buffers(module).items():
        if buffer is not None and name not in hidden:
            yield name, buffer


def named_modules(
    module: Module, prefix: str, memo: set[Module], remove_duplicate: bool
) -> Iterator[tuple[str, Module]]:
    """`module` and all modules in it, before those in them; `memo` holds the ones seen already."""
    if module in memo:
        return
    if remove_duplicate:
        memo.add(module)
    yield prefix, module
    for name, child in children(module):
        yield from named_modules(child, joined(prefix, name), memo, remove_duplicate)


def named_members(
    module: Module, own: Callable[[Module], dict[str, T | None]], prefix: str, recurse: bool, remove_duplicate: bool
) -> Iterator[tuple[str, T]]:
    """The members that `own` gives of `module`, and where `recurse` of all modules in it, by dotted names."""
    seen: set[Any] = set()
    modules = named_modules(module, prefix, set(), remove_duplicate) if recurse else iter([(prefix, module)])
    for path, holder in modules:
        for name, member in own(holder).items():
            if member is None or member in seen:
                continue
            if remove_duplicate:
                seen.add(member)
            yield joined(path, name), member


def joined(prefix: str, name: str) -> str:
    """The dotted name of what is called `name` in the module called `prefix`."""
    return f"{prefix}.{name}" if prefix else name
