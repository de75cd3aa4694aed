"""Whether statements do the same: a form of them in which the names of indices and of their own memory do not count."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import fields, is_dataclass
from typing import cast

from tenfoldc.loops.ir import Axis, Buffer, Constant, Function, Local, Statement


def form_of(statements: Sequence[Statement], own: Sequence[Buffer]) -> Hashable:
    """Equal for statements that do the same, each to memory of its `own`, and to the same memory otherwise.

    It goes as deep as expressions nest, so `statements` are to be short.
    """
    form = _Form(own)
    root = form.of(tuple(statements))
    return tuple(form.parts), root


class _Form:
    """Numbers the parts of statements in the order in which they are met; equal parts have one number."""

    def __init__(self, own: Sequence[Buffer]) -> None:
        self.parts: dict[Hashable, int] = {}
        self._own = {buffer: number for number, buffer in enumerate(own)}
        self._names: dict[Axis | Local, int] = {}

    def of(self, value: object) -> Hashable:
        match value:
            case Buffer():
                storage = value.storage
                return (self._own.get(storage, storage), value.dtype, value.shape)
            case Axis() | Local():
                return (type(value), self._names.setdefault(value, len(self._names)), value.dtype)
            case Constant():
                return (repr(value.value), value.dtype)
            case tuple():
                return tuple(map(self.of, cast(tuple[object, ...], value)))
            case Function():
                return value
            case _ if is_dataclass(value):
                part = (type(value), *(self.of(getattr(value, each.name)) for each in fields(value)))
                return self.parts.setdefault(part, len(self.parts))
            case _:
                return cast(Hashable, value)
