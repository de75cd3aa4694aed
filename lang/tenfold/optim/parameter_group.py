"""A group of parameters with its settings, whose numbers programs read from tensors.

A step is compiled once: a number that a schedule changes is an operand of it.  So each number that an optimiser asks
for as a tensor stays that tensor, and is written into when the group's item changes.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from tenfold.construction import tensor
from tenfold.device import CPU
from tenfold.specs import float64
from tenfold.tensor import Tensor


class ParameterGroup(dict[str, Any]):
    """`params` and settings by name, as PyTorch's `param_groups` hold them."""

    _tensors: dict[str, list[Tensor]] | None = None

    def number(self, name: str) -> Tensor:
        """The setting `name` as a tensor of rank 0, in f64."""
        return self.numbers(name)[0]

    def numbers(self, name: str) -> list[Tensor]:
        """The setting `name`, a number or a tuple of them, as tensors of rank 0, in f64."""
        if self._tensors is None:
            self._tensors = {}
        known = self._tensors.get(name)
        if known is not None:
            return known
        values = _listed(self[name])
        tensors = [_as_tensor(value) for value in values]
        if not any(isinstance(value, Tensor) for value in values):
            self._tensors[name] = tensors
        return tensors

    def __setitem__(self, name: str, value: Any) -> None:
        if self._tensors is not None and name in self._tensors:
            self._refresh(name, value)
        super().__setitem__(name, value)

    def _refresh(self, name: str, value: Any) -> None:
        assert self._tensors is not None
        before, after = _listed(self[name]), _listed(value)
        if len(before) != len(after) or any(isinstance(part, Tensor) for part in after):
            del self._tensors[name]
            return
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                self._tensors[name][place].assign(_as_tensor(new).value, None)

    def __reduce__(self) -> tuple[Any, ...]:
        return (ParameterGroup, (dict(self),))


def _listed(value: Any) -> list[Any]:
    return list(cast("list[Any]", value)) if isinstance(value, (tuple, list)) else [value]


def _as_tensor(value: Any) -> Tensor:
    return value.to(float64) if isinstance(value, Tensor) else tensor(np.float64(value), device=CPU)
