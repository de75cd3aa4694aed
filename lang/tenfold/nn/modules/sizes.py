"""Sizes along the spatial axes of convolutions, pools and pads: one number for all, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from tenfold_rt.errors import ShapeError

Size1: TypeAlias = "int | Sequence[int]"
Size2: TypeAlias = "int | Sequence[int]"


def each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """`value` for each of `axes` axes."""
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise ShapeError(f"sizes {tuple(value)} are given for {axes} axes")
    return tuple(value)
