"""Arguments of layers: numbers per spatial axis, and tensors with or without a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from tenfold.functions.axes import reshape_to, size_argument
from tenfold.tracing import here
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc.ir.builder import Var

Sizes: TypeAlias = "int | Sequence[int]"


def per_axis(name: str, value: Sizes, axes: int) -> tuple[int, ...]:
    """`value` as one number for each of `axes` spatial axes."""
    sizes = (value,) * axes if isinstance(value, int) else tuple(size_argument(name, size) for size in value)
    if len(sizes) == 1:
        sizes = sizes * axes
    if len(sizes) != axes:
        raise ArgumentError(f"{name}: {value} is not one number, nor one for each of {axes} axes", where=here())
    return sizes


def positive(name: str, what: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """`sizes`; `ArgumentError` where one is not positive."""
    if any(size < 1 for size in sizes):
        raise ArgumentError(f"{name}: {what} {sizes} must be positive", where=here())
    return sizes


def batched(name: str, x: Var, axes: int) -> tuple[Var, bool]:
    """`x` as (N, C, spatial axes), and whether it was (C, spatial axes)."""
    if x.rank not in (axes + 1, axes + 2):
        layout = ", ".join(["C", *"DHW"[3 - axes :]]) if axes > 1 else "C, L"
        raise ShapeError(f"{name}: input {x.type} is neither (N, {layout}) nor ({layout})", where=here())
    single = x.rank == axes + 1
    return (reshape_to(x, (1, *x.sizes)) if single else x), single
