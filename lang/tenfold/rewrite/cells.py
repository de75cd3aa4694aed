"""The variables that the parts of a rewritten function share: closure cells, read and written from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import CellType, FunctionType
from typing import Any, cast

from tenfold.rewrite.expressions import RUNTIME
from tenfold.rewrite.signals import Unset
from tenfold.tracing import here
from tenfold_rt.errors import ArgumentError


class Cells:
    """The variables of the parts `functions` by name."""

    def __init__(self, *functions: Callable[..., Any] | None) -> None:
        self._cells: dict[str, CellType] = {}
        for function in functions:
            if isinstance(function, FunctionType):
                cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
                self._cells.update((name, cell) for name, cell in cells if not name.startswith(RUNTIME))

    def read(self) -> dict[str, Any]:
        """What the variables hold; `Unset` where that is nothing."""
        values: dict[str, Any] = {}
        for name, cell in self._cells.items():
            try:
                values[name] = cell.cell_contents
            except ValueError:
                values[name] = Unset(name)
        return values

    def write(self, values: Mapping[str, Any]) -> None:
        """Let the variables hold `values`."""
        for name, value in values.items():
            cell = self._cells[name]
            if not isinstance(value, Unset) or value.why:
                cell.cell_contents = value
            else:
                cell.cell_contents = None
                del cell.cell_contents

    def watched(self) -> Watch:
        """What lists, dicts and sets in the variables hold now."""
        return Watch({name: value for name, value in self.read().items() if isinstance(value, (list, dict, set))})


class Watch:
    """Containers, and what they held."""

    def __init__(self, containers: Mapping[str, Any]) -> None:
        self._containers = containers
        self._held = {name: _held(value) for name, value in containers.items()}

    def refuse_changes(self, what: str) -> None:
        """`ArgumentError` where a container holds something else now."""
        for name, value in self._containers.items():
            now, then = _held(value), self._held[name]
            if len(now) != len(then) or any(a is not b for a, b in zip(now, then, strict=True)):
                raise ArgumentError(
                    f"`{name}`, a {type(value).__name__}, is changed in place in {what} over traced values",
                    where=here(),
                    mend="assign a variable instead: a tensor changes with x = x.at[index].set(values), and tn.scan"
                    " stacks what its turns give",
                )


def _held(container: Any) -> list[Any]:
    if isinstance(container, dict):
        mapping = cast("dict[Any, Any]", container)
        return [*mapping.keys(), *mapping.values()]
    return list(container)
