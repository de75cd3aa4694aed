"""`tn.finfo` and `tn.iinfo`: the range and the precision of an element type's numbers."""

from __future__ import annotations

import math

from tenfold.default_dtype import get_default_dtype
from tenfold.specs import ElementType
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DTypeError
from tenfold_rt.frozen import frozen

# IEEE 754 binary formats, and bfloat16: bits of the significand with the hidden one, and the least normal exponent.
_FORMATS: dict[DType, tuple[int, int]] = {
    dtypes.f16: (11, -14),
    dtypes.bf16: (8, -126),
    dtypes.f32: (24, -126),
    dtypes.f64: (53, -1022),
}
_PARTS: dict[DType, DType] = {dtypes.c64: dtypes.f32, dtypes.c128: dtypes.f64}


@frozen
class FloatLimits:
    """The limits of a float type.

    `bits`: width.  `eps`: from 1 to the next number.  `max`, `min`: the largest number and its negative.
    `smallest_normal`, `tiny`: the least positive number of full precision.  `resolution`: a power of ten, the
    finest decimal step that is kept near 1.  `dtype`: the type's name.
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    tiny: float
    resolution: float
    dtype: str

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        limits = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"finfo({limits}, dtype={self.dtype})"


@frozen
class IntegerLimits:
    """The limits of an integer type: its width in `bits`, the least and the largest number, and its name."""

    bits: int
    min: int
    max: int
    dtype: str

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


def finfo(type: ElementType | None = None) -> FloatLimits:  # noqa: A002 - PyTorch's name
    """The limits of a float type, of a complex type's parts, or of the default float type.

    `DTypeError` where `type` is not a float or complex type.
    """
    element = (get_default_dtype() if type is None else type).element
    element = _PARTS.get(element, element)
    if element not in _FORMATS:
        raise DTypeError(f"finfo: {type} is not a float type", mend="use tn.iinfo")
    significand, exponent = _FORMATS[element]
    eps, tiny = math.ldexp(1, 1 - significand), math.ldexp(1, exponent)
    resolution = float(f"1e{math.ceil(math.log10(eps))}")
    return FloatLimits(element.bits, eps, element.largest, -element.largest, tiny, tiny, resolution, element.numpy_name)


def iinfo(type: ElementType) -> IntegerLimits:  # noqa: A002 - PyTorch's name
    """The limits of an integer type; `DTypeError` for other types."""
    element = type.element
    if not element.is_integer:
        raise DTypeError(f"iinfo: {type} is not an integer type", mend="use tn.finfo for floats")
    low, high = (0, 2**element.bits) if element.is_unsigned else (-(2 ** (element.bits - 1)), 2 ** (element.bits - 1))
    return IntegerLimits(element.bits, low, high - 1, element.numpy_name)
