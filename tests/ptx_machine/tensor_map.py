"""Tensor maps: what a bulk tensor copy needs to know of an array in global memory.

The driver's descriptor is opaque; this one has an encoding of its own in the same 128 bytes, which only the interpreter
reads.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import ml_dtypes
import numpy as np

_MAGIC = 0x544D4150
_DTYPES = tuple(
    np.dtype(each) for each in ("u1", "u2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ml_dtypes.bfloat16, "i1", "i2")
)
SWIZZLES = (0, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class TensorMap:
    """A box of an array: sizes and coordinates begin with the innermost dimension, as the driver has them.

    `strides_bytes` are those of all dimensions but the innermost, whose elements lie side by side; `swizzle` is 0, 32,
    64 or 128 bytes.

    Raises:
        ValueError: the driver would refuse the map.
    """

    address: int
    dtype: np.dtype
    shape: tuple[int, ...]
    strides_bytes: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int = 0
    element_strides: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        if not self.element_strides:
            object.__setattr__(self, "element_strides", (1,) * len(self.shape))
        problem = self._problem()
        if problem:
            raise ValueError(f"tensor map: {problem}")

    def _problem(self) -> str | None:
        rank = len(self.shape)
        inner = self.box[0] * self.dtype.itemsize if self.box else 0
        checks = (
            (self.dtype in _DTYPES, f"dtype {self.dtype}"),
            (1 <= rank <= 5, f"rank {rank}"),
            (len(self.strides_bytes) == rank - 1, f"{len(self.strides_bytes)} strides for rank {rank}"),
            (len(self.box) == rank and len(self.element_strides) == rank, "sizes of different ranks"),
            (self.address % 16 == 0, f"address {self.address:#x} is no multiple of 16"),
            (all(1 <= each <= 1 << 32 for each in self.shape), f"shape {self.shape}"),
            (all(each % 16 == 0 and each < 1 << 40 for each in self.strides_bytes), f"strides {self.strides_bytes}"),
            (all(1 <= each <= 256 for each in self.box), f"box {self.box}"),
            (inner % 16 == 0, f"a box whose rows have {inner} bytes, no multiple of 16"),
            (all(1 <= each <= 8 for each in self.element_strides), f"element strides {self.element_strides}"),
            (self.swizzle in SWIZZLES, f"swizzle {self.swizzle}"),
            (self.swizzle == 0 or inner == self.swizzle, f"rows of {inner} bytes in a swizzle of {self.swizzle}"),
        )
        return next((message for fine, message in checks if not fine), None)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def box_bytes(self) -> int:
        """The bytes that one copy moves to or from shared memory."""
        return int(np.prod(self.box)) * self.dtype.itemsize

    def pack(self) -> bytes:
        """The descriptor's 128 bytes."""
        pad = lambda values, count: (*values, *[0] * (count - len(values)))  # noqa: E731
        data = struct.pack(
            "<IBBHQ5Q4Q5H5H",
            _MAGIC,
            _DTYPES.index(self.dtype),
            self.rank,
            self.swizzle,
            self.address,
            *pad(self.shape, 5),
            *pad(self.strides_bytes, 4),
            *pad(self.box, 5),
            *pad(self.element_strides, 5),
        )
        return data.ljust(128, b"\0")

    @staticmethod
    def unpack(data: bytes) -> TensorMap:
        """The map that `pack` gave the bytes of.

        Raises:
            ValueError: they are those of no tensor map.
        """
        values = struct.unpack_from("<IBBHQ5Q4Q5H5H", data)
        magic, dtype, rank, swizzle, address = values[:5]
        if magic != _MAGIC:
            raise ValueError("no tensor map lies there")
        return TensorMap(
            address,
            _DTYPES[dtype],
            values[5 : 5 + rank],
            values[10 : 10 + rank - 1],
            values[14 : 14 + rank],
            swizzle,
            values[19 : 19 + rank],
        )
