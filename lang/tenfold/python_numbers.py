"""Python's numbers as arrays of an element type: what is kept of them, and which do not fit."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DTypeError

_MOST_DIGITS = 30
_INTEGERS = 1 << 63


def number_array(value: bool | int | float, dtype: DType) -> NDArray[Any]:
    """`value` as an array of rank 0; a float that is too large is an infinity, as in arithmetic.

    A float becomes an integer by losing its digits after the point.  `DTypeError` as of `require_fit`.
    """
    if dtype.is_integer:
        require_fit(value, dtype)
        return np.array(int(value) % (1 << dtype.bits) if dtype.is_unsigned else int(value), dtype.numpy)
    try:
        with np.errstate(over="ignore"):
            return np.array(float(value) if dtype.is_half else value, dtype.numpy)
    except OverflowError:
        raise DTypeError(f"{shown(value)} does not fit {dtype}") from None


def numbers_array(numbers: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """Python's numbers, in the array that NumPy makes of them, with elements of `dtype`; each is rounded once.

    `DTypeError` as of `require_fit`.
    """
    if dtype.is_integer and numbers.size:
        for extreme in (numbers.min().item(), numbers.max().item()):
            require_fit(extreme, dtype)
    with np.errstate(over="ignore"):
        return numbers.astype(dtype.numpy)


def require_fit(value: bool | int | float, dtype: DType) -> None:
    """`DTypeError` for a number that the integer type `dtype` does not have, as it has no infinity and no NaN.

    Negative integers wrap around in unsigned types, as in PyTorch.
    """
    size = 1 << (dtype.bits if dtype.is_unsigned else dtype.bits - 1)
    least = -size if dtype.is_signed else 0 if isinstance(value, float) else 1 - size
    if not least <= value < size:
        raise DTypeError(f"{shown(value)} does not fit {dtype}")


class LongIntegerError(DTypeError):
    """An integer of more than 64 bits, which no program takes as an input; it can be a constant of one."""


def is_operand(value: object) -> bool:
    """Whether a value, if it is a Python number, can be an input of a program, as which an integer has 64 bits."""
    return not isinstance(value, int) or -_INTEGERS <= value < _INTEGERS


def holds_f64(data: object) -> bool:
    """Whether a nested list has a NumPy double in it, real or complex, whose precision is meant."""
    if isinstance(data, (list, tuple)):
        return any(holds_f64(item) for item in cast("list[object]", data))
    return isinstance(data, (np.ndarray, np.generic)) and cast("NDArray[Any]", data).dtype.char in "dD"


def long_integer(objects: NDArray[Any]) -> int | None:
    """The first of `objects` that is an integer of more than 64 bits, which is why NumPy has made objects of them."""
    return next(
        (item for item in objects.flat if isinstance(item, int) and not -_INTEGERS <= item < 2 * _INTEGERS), None
    )


def shown(value: int | float) -> str:
    """A number as messages have it: a long integer by its length."""
    if isinstance(value, float) or abs(value) < 10**_MOST_DIGITS:
        return str(value)
    return f"an integer of {value.bit_length()} bits"
