"""Tensor types as StableHLO writes them: `tensor<2x3xf32>` to and from `TensorType`.

A symbolic size is a `?`; the names stand in the type's encoding, where MLIR keeps what a dialect adds:
`tensor<?x784xf32, #tenfold.symbols<n>>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from tenfold_rt.dtypes import BY_STABLEHLO
from tenfold_rt.errors import UnsupportedError
from tenfoldc.ir.types import Dim, Symbol, TensorType, check_addressable

_TENSOR = re.compile(r"tensor<((?:(?:\d+|\?)x)*)([^\s,]+?)\s*(?:,\s*(.+))?>")
_SYMBOLS = re.compile(r"#tenfold\.symbols<([\w\s,]+)>")


def print_type(type_: TensorType) -> str:
    """`type_` as MLIR text."""
    return _print_type(type_.dtype.stablehlo, type_.shape)


@lru_cache(maxsize=4096)
def _print_type(element: str, shape: tuple[Dim, ...]) -> str:
    symbols = ", ".join(dim.name for dim in shape if isinstance(dim, Symbol))
    sizes = "".join("?x" if isinstance(dim, Symbol) else f"{dim}x" for dim in shape)
    return f"tensor<{sizes}{element}{f', #tenfold.symbols<{symbols}>' if symbols else ''}>"


def print_types(types: Iterable[TensorType]) -> str:
    """Types separated by commas."""
    return ", ".join(map(print_type, types))


def print_signature(operands: Sequence[TensorType], results: Sequence[TensorType]) -> str:
    """`(operands) -> results`, with parentheses around the results unless there is exactly one."""
    outcome = print_type(results[0]) if len(results) == 1 else f"({print_types(results)})"
    return f"({print_types(operands)}) -> {outcome}"


@lru_cache(maxsize=4096)
def parse_type(text: str) -> TensorType:
    """The type that `text` spells.

    `ValueError` for unnamed symbols, `UnsupportedError` for foreign types, `ShapeError` for sizes beyond all memory.
    """
    match = _TENSOR.fullmatch(text)
    if match is None:
        raise UnsupportedError(f"type {text} is not a tensor type that Tenfold knows")
    sizes, element, encoding = match.groups()
    if element not in BY_STABLEHLO:
        raise UnsupportedError(f"element type {element} is not supported", mend=f"use one of {', '.join(BY_STABLEHLO)}")
    type_ = TensorType(BY_STABLEHLO[element], _parse_shape(sizes.split("x")[:-1], encoding, text))
    check_addressable(type_)
    return type_


def _parse_shape(sizes: Sequence[str], encoding: str | None, text: str) -> tuple[Dim, ...]:
    names: list[str] = []
    if encoding is not None:
        match = _SYMBOLS.fullmatch(encoding)
        if match is None:
            raise UnsupportedError(f"type {text} has an encoding that Tenfold does not know")
        names = [name.strip() for name in match[1].split(",")]
    if sizes.count("?") != len(names):
        raise ValueError(f"type {text} needs a name for each ?, as in tensor<?xf32, #tenfold.symbols<n>>")
    remaining = iter(names)
    return tuple(Symbol(next(remaining)) if size == "?" else int(size) for size in sizes)
