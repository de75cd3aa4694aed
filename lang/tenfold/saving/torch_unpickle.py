"""Reads the pickle of a PyTorch file without Python's unpickler: a small machine that can make data and nothing else.

The opcodes are decoded by `pickletools`.  A name that the file refers to is looked up in the reader's own table, never
imported; what stands there makes containers, numbers and tensors.  Any other name, or an opcode that a state dict has
no use for, is an `UnsafeFileError` that names it.
"""

from __future__ import annotations

import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, cast

from tenfold_rt.errors import FileFormatError, UnsafeFileError
from tenfold_rt.frozen import frozen

_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_PLAIN = frozenset(
    {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})
_SCALARS = (str, int, float, complex, bytes, type(None))
_EMPTY: dict[str, Callable[[], object]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set}


@frozen
class Function:
    """What a file may call, and under which name it knows it; files cannot change one."""

    name: str
    call: Callable[..., object]


def unpickled(
    data: bytes, path: str, names: Mapping[str, object], storage: Callable[[tuple[Any, ...]], object]
) -> object:
    """The object that `data` describes.

    `names` holds what a file may refer to, by `module name`; `storage` gives the memory for a persistent id.
    `UnsafeFileError` where it refers to anything else, `FileFormatError` where it is damaged.
    """
    machine = _Machine(path, names, storage)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except FileFormatError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise FileFormatError(f"load: {path}: its description of tensors is damaged: {error}") from error
    raise FileFormatError(f"load: {path}: its description of tensors has no end")


class _Machine:
    """A stack, marks in it, and what was memoized."""

    def __init__(self, path: str, names: Mapping[str, object], storage: Callable[[tuple[Any, ...]], object]) -> None:
        self._path, self._names, self._storage = path, names, storage
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def result(self) -> object:
        """What is left at the end."""
        (value,) = self._stack
        return value

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one opcode."""
        stack = self._stack
        if opcode in _PLAIN:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            stack.append(_EMPTY[opcode]())
        elif opcode in _PUT:
            self._memo[argument] = stack[-1]
        elif opcode in _GET:
            stack.append(self._memo[argument])
        elif opcode in _TUPLES:
            stack[-_TUPLES[opcode] :] = [tuple(self._last(_TUPLES[opcode]))]
        else:
            self._act(opcode, argument)

    def _act(self, opcode: str, argument: Any) -> None:
        """Carry out an opcode that refers to names, or fills a container."""
        stack = self._stack
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self._marks.append(len(stack))
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "POP":
                stack.pop()
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "APPEND":
                item = stack.pop()
                _as(stack[-1], list).append(item)
            case "APPENDS":
                items = self._since_mark()
                _as(stack[-1], list).extend(items)
            case "ADDITEMS":
                items = self._since_mark()
                target: set[Any] = _as(stack[-1], set)
                target.update(map(hashable, items))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                self._set([key, value])
            case "SETITEMS":
                self._set(self._since_mark())
            case "GLOBAL":
                stack.append(self._named(cast("str", argument)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(self._named(f"{module} {name}"))
            case "BINPERSID":
                stack.append(self._storage(_as(stack.pop(), tuple)))
            case "REDUCE":
                arguments, function = _as(stack.pop(), tuple), stack.pop()
                stack.append(_as(function, Function).call(*arguments))
            case "BUILD":
                attributes = cast("dict[str, object]", _as(stack.pop(), dict))
                known = cast("dict[str, object]", vars(_as(stack[-1], OrderedDict)))
                known.update(attributes)
            case _:
                raise UnsafeFileError(f"load: {self._path}: it is not weights alone: it has the opcode {opcode}")

    def _last(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise ValueError("a tuple of more values than there are")
        return self._stack[-count:]

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _set(self, pairs: list[Any]) -> None:
        target: dict[Any, Any] = self._stack[-1]
        if type(target) not in (dict, OrderedDict, Counter):
            raise TypeError(f"items for a {type(target).__name__}")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[hashable(key)] = value

    def _named(self, name: str) -> object:
        found = self._names.get(name)
        if found is None:
            raise UnsafeFileError(
                f"load: {self._path}: it refers to {name.replace(' ', '.')}, which is no part of a state dict"
                " and might run code",
                mend="save the state dict alone, model.state_dict()",
            )
        return found


def _as(value: Any, kind: type[Any]) -> Any:
    """`value`, which must be of `kind` exactly."""
    if type(value) is not kind:
        raise TypeError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def hashable(key: Any) -> Any:
    """`key`, which must be a scalar or a tuple of such: to hash a deeper one could take more stack than there is."""
    parts: tuple[Any, ...] = cast("Any", key) if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, _SCALARS) for part in parts):
        raise TypeError("a key that is neither a scalar nor a tuple of scalars")
    return cast("Any", key)
