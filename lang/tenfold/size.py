"""`tn.Size`: the shape of a tensor, a tuple of ints whose parts and sums are sizes too."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import SupportsIndex, cast, overload

from tenfold_rt.errors import DTypeError


class Size(tuple[int, ...]):
    """The size of each axis, equal to the tuple of them.  `DTypeError` where one is not an int."""

    __slots__ = ()

    def __new__(cls, sizes: Iterable[SupportsIndex] = ()) -> Size:
        return super().__new__(cls, (_as_int(position, size) for position, size in enumerate(sizes)))

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> Size:
        """`Size(shape)` for what is known to be ints."""
        return super().__new__(cls, shape)

    def numel(self) -> int:
        """The number of elements that a tensor of this size has."""
        return math.prod(self)

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> Size: ...
    def __getitem__(self, key: SupportsIndex | slice) -> int | Size:
        return Size.of_shape(super().__getitem__(key)) if isinstance(key, slice) else super().__getitem__(key)

    def __add__(self, other: tuple[SupportsIndex, ...]) -> Size:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Size((*self, *other)) if isinstance(cast("object", other), tuple) else NotImplemented

    def __radd__(self, other: tuple[SupportsIndex, ...]) -> Size:
        return Size((*other, *self)) if isinstance(cast("object", other), tuple) else NotImplemented

    def __mul__(self, count: SupportsIndex) -> Size:
        return Size.of_shape(super().__mul__(count))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


def _as_int(position: int, size: SupportsIndex) -> int:
    try:
        return operator.index(size)
    except TypeError:
        raise DTypeError(f"Size: item {position} is a {type(size).__name__}, not an int") from None
