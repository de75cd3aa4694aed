"""Element types: their names in Tenfold, StableHLO, NumPy and C, in one table.

NumPy has no bfloat16 of its own: the package ml_dtypes adds one, and is imported when that dtype is first asked for.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from enum import Enum

import numpy as np

from tenfold_rt.frozen import frozen


class DTypeKind(Enum):
    """The family of numbers that an element type belongs to."""

    BOOL = "bool"
    SIGNED = "signed integer"
    UNSIGNED = "unsigned integer"
    FLOAT = "floating point"
    COMPLEX = "complex"


@frozen
class DType:
    """An element type.  `bits` is its width in memory, where a bool takes 8; `numpy_name` is NumPy's name for it."""

    name: str
    kind: DTypeKind
    bits: int
    stablehlo: str
    c: str | None
    numpy_name: str

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy dtype."""
        return _numpy_dtype(self.numpy_name)

    @property
    def itemsize(self) -> int:
        """Bytes per element in memory."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        return self.kind is DTypeKind.FLOAT

    @property
    def is_half(self) -> bool:
        """A float of 16 bits, which is computed with in 32."""
        return self.is_float and self.bits == 16

    @property
    def largest(self) -> float:
        """The largest finite number of a float."""
        return _LARGEST[self.name]

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

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], DType], tuple[str]]:
        """There is one object for each element type, also after copying and pickling."""
        return _by_name, (self.name,)


@functools.cache
def _numpy_dtype(name: str) -> np.dtype[np.generic]:
    return np.dtype(importlib.import_module("ml_dtypes").bfloat16 if name == "bfloat16" else name)


bool_ = DType("bool", DTypeKind.BOOL, 8, "i1", "uint8_t", "bool")
i8 = DType("i8", DTypeKind.SIGNED, 8, "i8", "int8_t", "int8")
i16 = DType("i16", DTypeKind.SIGNED, 16, "i16", "int16_t", "int16")
i32 = DType("i32", DTypeKind.SIGNED, 32, "i32", "int32_t", "int32")
i64 = DType("i64", DTypeKind.SIGNED, 64, "i64", "int64_t", "int64")
u8 = DType("u8", DTypeKind.UNSIGNED, 8, "ui8", "uint8_t", "uint8")
u16 = DType("u16", DTypeKind.UNSIGNED, 16, "ui16", "uint16_t", "uint16")
u32 = DType("u32", DTypeKind.UNSIGNED, 32, "ui32", "uint32_t", "uint32")
u64 = DType("u64", DTypeKind.UNSIGNED, 64, "ui64", "uint64_t", "uint64")
f16 = DType("f16", DTypeKind.FLOAT, 16, "f16", "tenfold_f16", "float16")
bf16 = DType("bf16", DTypeKind.FLOAT, 16, "bf16", "tenfold_bf16", "bfloat16")
f32 = DType("f32", DTypeKind.FLOAT, 32, "f32", "float", "float32")
f64 = DType("f64", DTypeKind.FLOAT, 64, "f64", "double", "float64")
c64 = DType("c64", DTypeKind.COMPLEX, 64, "complex<f32>", None, "complex64")
c128 = DType("c128", DTypeKind.COMPLEX, 128, "complex<f64>", None, "complex128")

ALL: tuple[DType, ...] = (bool_, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64, c64, c128)
BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in ALL}
BY_STABLEHLO: dict[str, DType] = {dtype.stablehlo: dtype for dtype in ALL}
_BY_NUMPY: dict[np.dtype[np.generic], DType] = {np.dtype(d.numpy_name): d for d in ALL if d is not bf16}


_LARGEST = {"f16": 65504.0, "bf16": 2.0**128 - 2.0**120, "f32": 2.0**128 - 2.0**104, "f64": sys.float_info.max}


def _by_name(name: str) -> DType:
    return BY_NAME[name]


def from_numpy(dtype: np.dtype[np.generic]) -> DType | None:
    """The element type for a NumPy dtype in native byte order, or None where there is none."""
    found = _BY_NUMPY.get(dtype)
    return bf16 if found is None and dtype.name == bf16.numpy_name and dtype.isnative else found
