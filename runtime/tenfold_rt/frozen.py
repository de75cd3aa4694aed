"""Dataclasses that are frozen and have slots, made at an eighth of the price of those of `dataclasses`.

That module writes and compiles the source of each method of each class, some 0.8 ms a class, which was half of what
importing Tenfold took.  Here `dataclasses` finds the fields, so that its functions (`fields`, `replace`) work; the
initialiser alone is source of the class's own; and the other methods ask the class for its fields.
"""

from __future__ import annotations

import dataclasses
import functools
import reprlib
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

_Class = TypeVar("_Class", bound=type)

_ABSENT: Any = object()
"""The default of an argument whose field has a factory."""


@overload
def frozen(cls: _Class, /) -> _Class: ...


@overload
def frozen(*, eq: bool) -> Callable[[_Class], _Class]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def frozen(cls: Any = None, /, *, eq: bool = True) -> Any:
    """Make a class a frozen dataclass with slots; with `eq=False` its instances are compared by identity.

    As with `dataclasses.dataclass(frozen=True, slots=True)`, what the class defines itself is kept.  Fields are given
    to the initialiser in order or by name; then `__post_init__` is called.  There is no `init=False` and no `kw_only`.
    """
    if cls is None:
        return functools.partial(_frozen, eq=eq)
    return _frozen(cls, eq)


def _frozen(cls: Any, eq: bool) -> Any:
    methods: dict[str, Callable[..., Any]] = {"__repr__": _repr, "__setattr__": _refuse, "__delattr__": _refuse}
    methods |= {"__getstate__": _state, "__setstate__": _restore}
    defined = {name for name, value in cls.__dict__.items() if value is not None}
    cls.__doc__ = cls.__doc__ or cls.__name__
    make: Callable[[Any], Any] = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)
    made = make(cls)
    fields = dataclasses.fields(made)
    methods["__init__"] = _initialiser(made, fields)
    if eq:
        key = _key([field.name for field in fields if field.compare])
        methods |= {"__eq__": _equality(key), "__hash__": _hash(key)}
    for name, method in methods.items():
        if name not in defined:
            setattr(made, name, method)
    return made


def _initialiser(cls: Any, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    """`__init__(self, first, second=default)`, which stores through the descriptors of the slots."""
    names: dict[str, Any] = {"_ABSENT": _ABSENT}
    parameters, lines = ["self"], ["pass"]
    for field in fields:
        name, value = field.name, field.name
        names[f"_set_{name}"] = getattr(cls, name).__set__
        if field.default is not dataclasses.MISSING:
            names[f"_default_{name}"] = field.default
            parameters.append(f"{name}=_default_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            names[f"_make_{name}"] = field.default_factory
            parameters.append(f"{name}=_ABSENT")
            value = f"_make_{name}() if {name} is _ABSENT else {name}"
        else:
            parameters.append(name)
        lines.append(f"_set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    defined: dict[str, Any] = {}
    exec(f"def __init__({', '.join(parameters)}):\n    " + "\n    ".join(lines), names, defined)
    initialiser = defined["__init__"]
    initialiser.__qualname__ = f"{cls.__qualname__}.__init__"
    initialiser.__annotations__ = {field.name: field.type for field in fields} | {"return": None}
    return initialiser


def _key(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What instances are compared by."""
    if len(names) > 1:
        return attrgetter(*names)
    get = [attrgetter(name) for name in names]
    return lambda instance: tuple(each(instance) for each in get)


def _equality(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, object], Any]:
    def equal(self: Any, other: object) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    return equal


def _hash(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
    def hash_of(self: Any) -> int:
        return hash(key(self))

    return hash_of


@reprlib.recursive_repr()
def _repr(self: Any) -> str:
    shown = [f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr]
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse(self: Any, name: str, *_: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
