"""Modules that hold others, or parameters: in a row, in a list, or by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast, overload

from tenfold.nn.modules import registry
from tenfold.nn.modules.module import Module
from tenfold.nn.modules.registry import own_modules
from tenfold.nn.modules.text import enclosed, indented, runs
from tenfold.nn.parameter import Parameter
from tenfold.tensor import Tensor
from tenfold_rt.errors import DTypeError, MemberError, ShapeError

S = TypeVar("S", bound="_Row")


class _Row(Module):
    """Modules named 0, 1, 2, ... in their order."""

    def _at(self) -> list[Module]:
        return cast("list[Module]", list(own_modules(self).values()))

    def _rename(self, modules: Iterable[Module], names: Iterable[str] | None = None) -> None:
        """Hold `modules` alone, by `names` or by position."""
        given = list(modules)
        own_modules(self).clear()
        for name, module in zip(map(str, range(len(given))) if names is None else names, given, strict=True):
            self.add_module(name, module)

    def __len__(self) -> int:
        return len(own_modules(self))

    def __iter__(self) -> Iterator[Module]:
        return iter(self._at())

    @overload
    def __getitem__(self, idx: int) -> Module: ...
    @overload
    def __getitem__(self: S, idx: slice) -> S: ...
    def __getitem__(self, idx: int | slice) -> Module:
        if not isinstance(idx, slice):
            return self._at()[self._position(idx)]
        return self._of_slice(idx)

    def _of_slice(self: S, idx: slice) -> S:
        raise NotImplementedError

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, list(own_modules(self))[self._position(idx)], module)

    def __delitem__(self, idx: int | slice) -> None:
        modules = self._at()
        del modules[idx if isinstance(idx, slice) else self._position(idx)]
        self._rename(modules)

    def _position(self, idx: int) -> int:
        place, length = idx.__index__(), len(self)
        if not -length <= place < length:
            raise IndexError(f"index {place} is out of range")
        return place

    def append(self: S, module: Module) -> S:
        """Put `module` at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put `module` before the one at `index`."""
        if not isinstance(module, Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(f"module should be of type: {Module}")
        modules = self._at()
        modules.insert(index, module)
        self._rename(modules)
        return self

    def extend(self: S, modules: Iterable[Module]) -> S:
        """Put `modules` at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int) -> Module:
        """Take the module at `key` out."""
        module = self[key]
        del self[key]
        return module


class Sequential(_Row):
    """Modules called one after the other; given as arguments, or as an OrderedDict with their names."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in cast("OrderedDict[str, Module]", args[0]).items():
                self.add_module(name, module)
        else:
            self._rename(args)

    def _of_slice(self, idx: slice) -> Sequential:
        return type(self)(OrderedDict(list(own_modules(self).items())[idx]))

    def __delitem__(self, idx: int | slice) -> None:
        names = list(own_modules(self))
        for name in names[idx] if isinstance(idx, slice) else [names[self._position(idx)]]:
            delattr(self, name)
        self._rename(self._at())

    def __add__(self, other: Iterable[Module]) -> Sequential:
        return Sequential(*self, *other)

    def __iadd__(self, other: Iterable[Module]) -> Sequential:
        return self.extend(other)

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*(list(self) * _count(other)))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Sequential:
        return self.extend(list(self) * (_count(other) - 1))

    def forward(self, input: Any) -> Any:
        """The last module's result, each module being given the one's before."""
        for module in self:
            input = module(input)
        return input


def _count(other: object) -> int:
    if not isinstance(other, int):
        raise TypeError(f"unsupported operand type(s) for *: {Sequential} and {type(other)}")
    if other <= 0:
        raise ShapeError(f"Non-positive multiplication factor {other} for {Sequential}")
    return other


class ModuleList(_Row):
    """A list of modules, which the module that holds it thereby has."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._rename(() if modules is None else modules)

    def insert(self, index: int, module: Module) -> None:
        """Put `module` before the one at `index`."""
        super().insert(index, module)

    def _of_slice(self, idx: slice) -> ModuleList:
        return type(self)(self._at()[idx])

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __repr__(self) -> str:
        if not len(self):
            return f"{self._get_name()}()"
        lines: list[str] = []
        for first, last, text in runs(map(repr, self)):
            label = f"({first}): " if first == last else f"({first}-{last}): {last - first + 1} x "
            lines.append(indented(label + text))
        return enclosed(self._get_name(), [], lines)


class ModuleDict(Module):
    """Modules by name, which the module that holds it thereby has."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return cast("Module", own_modules(self)[key])

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del own_modules(self)[key]

    def __len__(self) -> int:
        return len(own_modules(self))

    def __iter__(self) -> Iterator[str]:
        return iter(own_modules(self))

    def __contains__(self, key: object) -> bool:
        return key in own_modules(self)

    def clear(self) -> None:
        """Take all modules out."""
        own_modules(self).clear()

    def pop(self, key: str) -> Module:
        """Take the module called `key` out."""
        return cast("Module", own_modules(self).pop(key))

    def keys(self) -> Iterable[str]:
        """The names."""
        return own_modules(self).keys()

    def items(self) -> Iterable[tuple[str, Module]]:
        """The names with their modules."""
        return cast("Iterable[tuple[str, Module]]", own_modules(self).items())

    def values(self) -> Iterable[Module]:
        """The modules."""
        return cast("Iterable[Module]", own_modules(self).values())

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Put in `modules`, in place of those that have their names."""
        for name, module in dict(modules).items():
            self[name] = module


def as_parameter(value: Any) -> Any:
    """`value`, as a parameter where it is a tensor that is none."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


class _Members(Module):
    """Parameters and other values, of which the tensors are attributes of this module."""

    def _line(self, key: str, value: Any) -> str:
        if not hasattr(value, "dtype"):
            return f"  ({key}): Object of type: {type(value).__name__}"
        kind = "Parameter" if key in self.__dict__[registry.PARAMETERS] else type(value).__name__
        sizes = "x".join(str(size) for size in value.shape)
        return f"  ({key}): {kind} containing: [{value.dtype} of size {sizes}]"


class ParameterList(_Members):
    """A list of parameters; tensors that are put in become parameters, other values stay what they are."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _key(self, idx: int) -> str:
        place = idx.__index__()
        if not -self._size <= place < self._size:
            raise IndexError(f"index {place} is out of range")
        return str(place % self._size)

    @overload
    def __getitem__(self, idx: int) -> Any: ...
    @overload
    def __getitem__(self, idx: slice) -> ParameterList: ...
    def __getitem__(self, idx: int | slice) -> Any:
        if isinstance(idx, slice):
            return type(self)(list(self)[idx])
        return getattr(self, self._key(idx))

    def __setitem__(self, idx: int, param: Any) -> None:
        setattr(self, self._key(idx), as_parameter(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, str(place)) for place in range(self._size))

    def append(self, value: Any) -> ParameterList:
        """Put `value` at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Put `values` at the end."""
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def extra_repr(self) -> str:
        return "\n".join(self._line(str(place), value) for place, value in enumerate(self))


class ParameterDict(_Members):
    """Parameters by name; tensors that are put in become parameters, other values stay what they are."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._names: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self._names and key in dir(type(self)):
            raise MemberError(f"attribute '{key}' already exists")
        self._names[key] = None
        setattr(self, key, as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._names[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._names.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return (self[key] for key in self._names)

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names with their parameters."""
        return ((key, self[key]) for key in self._names)

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter called `key`, or `default`."""
        return getattr(self, key) if key in self._names else default

    def pop(self, key: str) -> Any:
        """Take the parameter called `key` out."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Take all parameters out."""
        for key in list(self._names):
            del self[key]

    def update(self, parameters: Any) -> None:
        """Put in `parameters`, a mapping or pairs."""
        for name, value in dict(parameters).items():
            self[name] = value

    def extra_repr(self) -> str:
        return "\n".join(self._line(key, value) for key, value in self.items())
