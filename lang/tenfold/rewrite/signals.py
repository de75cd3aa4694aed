"""How a part of a function ends, and variables that may have no value.

A part of a function is a block of its source, which falls through or is left by `break`, `continue` or `return`.
Which of these happens may be known only when the compiled code runs: then a `Signal` has several kinds, and a traced
number says which.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Any, Final

from tenfold_rt.frozen import frozen


class Kind(enum.IntEnum):
    """How a part ends."""

    NORMAL = 0
    BREAK = 1
    CONTINUE = 2
    RETURN = 3


class _Missing(enum.Enum):
    MISSING = enum.auto()


MISSING: Final = _Missing.MISSING
"""In the place of a value that there is not."""


@frozen(eq=False)
class Unset:
    """What a variable holds that may have no value.

    `why` says why; empty where Python says it as well, as it was never assigned.  `content` is what stands for the
    value where one is needed to give the program one type.
    """

    name: str
    why: str = ""
    content: Any = MISSING


def content(value: Any) -> Any:
    """What a variable holds, or what stands for it."""
    return value.content if isinstance(value, Unset) else value


@frozen(eq=False)
class Signal:
    """How a part ends: the possible kinds, for each with those of the `tracked` variables that have no value then.

    `kind` is the traced number of the kind, where there are several; `value` what is returned.
    """

    kinds: Mapping[Kind, frozenset[str]]
    kind: Any = None
    value: Any = MISSING
    tracked: frozenset[str] = field(default=frozenset())

    @property
    def falls_through(self) -> bool:
        """Whether the part certainly is not left by a jump."""
        return set(self.kinds) == {Kind.NORMAL}

    @property
    def goes_on(self) -> bool:
        """Whether a loop of which this is the body certainly goes on."""
        return set(self.kinds) <= {Kind.NORMAL, Kind.CONTINUE}

    @property
    def jumps(self) -> bool:
        """Whether the part certainly is left by a jump."""
        return Kind.NORMAL not in self.kinds

    @property
    def number(self) -> Any:
        """The number of the kind, traced or not."""
        return int(next(iter(self.kinds))) if len(self.kinds) == 1 else self.kind

    def without(self, kind: Kind) -> Signal:
        """This signal where it is known not to be of `kind`."""
        return replace(self, kinds={other: names for other, names in self.kinds.items() if other != kind})

    def unset(self, kind: Kind, name: str, values: Mapping[str, Any]) -> bool:
        """Whether variable `name`, at the end one of `values`, has no value where the part ends as `kind`."""
        if name in self.tracked:
            return name in self.kinds[kind]
        return isinstance(values.get(name), Unset)


NORMAL = Signal({Kind.NORMAL: frozenset()})


def joined(
    paths: Iterable[tuple[Signal, Mapping[str, Any]]], names: frozenset[str]
) -> tuple[dict[Kind, frozenset[str]], frozenset[str]]:
    """The kinds of either path, given by signal and final variables, and which variables they are about."""
    ways = list(paths)
    tracked = names.union(*(signal.tracked for signal, _ in ways))
    kinds: dict[Kind, frozenset[str]] = {}
    for signal, values in ways:
        for kind in signal.kinds:
            unset = frozenset(name for name in tracked if signal.unset(kind, name, values))
            kinds[kind] = kinds.get(kind, frozenset()) | unset
    return kinds, tracked
