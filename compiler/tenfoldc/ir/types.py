"""Types of the tensor IR: tensors with static or symbolic sizes, and function signatures."""

from __future__ import annotations

import math
from typing import TypeAlias

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ShapeError
from tenfold_rt.frozen import frozen

ADDRESSABLE_BYTES = 2**63
"""Offsets are signed and of 64 bits."""

MOST_AXES = 64
"""As many as a NumPy array can have."""


@frozen
class Symbol:
    """A size that is known only at run time; two symbols of one name are one size."""

    name: str

    def __str__(self) -> str:
        return self.name


Dim: TypeAlias = int | Symbol


@frozen
class TensorType:
    """An element type and a shape; rank 0 is a scalar."""

    dtype: DType
    shape: tuple[Dim, ...] = ()

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape as integers; `ValueError` where a size is symbolic."""
        return static_shape(self.shape)

    @property
    def size(self) -> int:
        """Number of elements; `ValueError` where a size is symbolic."""
        return math.prod(self.sizes)

    def with_shape(self, shape: tuple[Dim, ...]) -> TensorType:
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def __str__(self) -> str:
        """As a user writes it: `f32[32, 784]`."""
        return f"{self.dtype.name}[{', '.join(str(dim) for dim in self.shape)}]"


@frozen
class FunctionType:
    """Types of a function's parameters and results."""

    parameters: tuple[TensorType, ...]
    results: tuple[TensorType, ...]


def check_addressable(type_: TensorType) -> None:
    """`ShapeError` unless indices and NumPy arrays can reach every byte of a tensor of `type_`."""
    if type_.rank > MOST_AXES:
        raise ShapeError(f"a tensor has {type_.rank} axes; it can have {MOST_AXES}")
    known = [dim for dim in type_.shape if isinstance(dim, int)]
    if 0 not in known and math.prod(known) * type_.dtype.itemsize >= ADDRESSABLE_BYTES:
        raise ShapeError(f"{type_} takes 2**63 bytes or more")


def static_shape(shape: tuple[Dim, ...]) -> tuple[int, ...]:
    """`shape` as integers; `ValueError` where a size is symbolic."""
    sizes = tuple(dim for dim in shape if isinstance(dim, int))
    if len(sizes) != len(shape):
        raise ValueError(f"shape has a symbolic size: ({', '.join(map(str, shape))})")
    return sizes
