"""Element types: their names in Tenfold, StableHLO, NumPy and C, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np


class DTypeKind(Enum):
    """The family of numbers that an element type belongs to."""

    BOOL = "bool"
    SIGNED = "signed integer"
    UNSIGNED = "unsigned integer"
    FLOAT = "floating point"
    COMPLEX = "complex"


@dataclass(frozen=True, slots=True)
class DType:
    """An element type.  `bits` is its width in memory, where a bool takes 8."""

    name: str
    kind: DTypeKind
    bits: int
    stablehlo: str
    c: str | None
    numpy: np.dtype[np.generic] | None

    @property
    def itemsize(self) -> int:
        """Bytes per element in memory."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        return self.kind is DTypeKind.FLOAT

    @property
    def is_signed(self) -> bool:
        return self.kind is DTypeKind.SIGNED

    @property
    def is_unsigned(self) -> bool:
        return self.kind is DTypeKind.UNSIGNED

    @property
    def is_integer(self) -> bool:
        """Signed or unsigned; a bool is not an integer."""
        return self.is_signed or self.is_unsigned

    @property
    def is_bool(self) -> bool:
        return self.kind is DTypeKind.BOOL

    @property
    def is_complex(self) -> bool:
        return self.kind is DTypeKind.COMPLEX

    @property
    def compiled(self) -> bool:
        """Whether native code is generated for this element type."""
        return self.c is not None

    def require_numpy(self) -> np.dtype[np.generic]:
        """The NumPy dtype; `TypeError` for the one type that NumPy lacks."""
        if self.numpy is None:
            raise TypeError(f"NumPy has no dtype for {self.name}")
        return self.numpy

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], DType], tuple[str]]:
        """There is one object for each element type, also after copying and pickling."""
        return _by_name, (self.name,)


def _dtype(name: str, kind: DTypeKind, bits: int, stablehlo: str, c: str | None, numpy: str | None) -> DType:
    return DType(name, kind, bits, stablehlo, c, None if numpy is None else np.dtype(numpy))


bool_ = _dtype("bool", DTypeKind.BOOL, 8, "i1", "uint8_t", "bool")
i8 = _dtype("i8", DTypeKind.SIGNED, 8, "i8", "int8_t", "int8")
i16 = _dtype("i16", DTypeKind.SIGNED, 16, "i16", "int16_t", "int16")
i32 = _dtype("i32", DTypeKind.SIGNED, 32, "i32", "int32_t", "int32")
i64 = _dtype("i64", DTypeKind.SIGNED, 64, "i64", "int64_t", "int64")
u8 = _dtype("u8", DTypeKind.UNSIGNED, 8, "ui8", "uint8_t", "uint8")
u16 = _dtype("u16", DTypeKind.UNSIGNED, 16, "ui16", "uint16_t", "uint16")
u32 = _dtype("u32", DTypeKind.UNSIGNED, 32, "ui32", "uint32_t", "uint32")
u64 = _dtype("u64", DTypeKind.UNSIGNED, 64, "ui64", "uint64_t", "uint64")
f16 = _dtype("f16", DTypeKind.FLOAT, 16, "f16", None, "float16")
bf16 = _dtype("bf16", DTypeKind.FLOAT, 16, "bf16", None, None)
f32 = _dtype("f32", DTypeKind.FLOAT, 32, "f32", "float", "float32")
f64 = _dtype("f64", DTypeKind.FLOAT, 64, "f64", "double", "float64")
c64 = _dtype("c64", DTypeKind.COMPLEX, 64, "complex<f32>", None, "complex64")
c128 = _dtype("c128", DTypeKind.COMPLEX, 128, "complex<f64>", None, "complex128")

ALL: tuple[DType, ...] = (bool_, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64, c64, c128)
BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in ALL}
BY_STABLEHLO: dict[str, DType] = {dtype.stablehlo: dtype for dtype in ALL}
_BY_NUMPY: dict[np.dtype[np.generic], DType] = {d.numpy: d for d in ALL if d.numpy is not None}


def _by_name(name: str) -> DType:
    return BY_NAME[name]


def from_numpy(dtype: np.dtype[np.generic]) -> DType | None:
    """The element type for a NumPy dtype in native byte order, or None where there is none."""
    return _BY_NUMPY.get(dtype)
