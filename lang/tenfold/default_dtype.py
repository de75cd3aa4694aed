"""The element type that Python's floats, and tensors made without one, get: f32 unless the user sets another."""

from __future__ import annotations

from tenfold.specs import ELEMENT_TYPES, DTypeLike, ElementType
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DTypeError


class _State:
    """The process's default."""

    def __init__(self) -> None:
        self.float = dtypes.f32


_STATE = _State()


def default_float() -> DType:
    """The element type of Python's floats."""
    return _STATE.float


def default_complex() -> DType:
    """The element type of Python's complex numbers: two floats, of f32 where the default float is narrower."""
    return dtypes.c128 if _STATE.float is dtypes.f64 else dtypes.c64


def get_default_dtype() -> ElementType:
    """The element type that Python's floats, and tensors made without one, get."""
    return ELEMENT_TYPES[_STATE.float]


def set_default_dtype(d: DTypeLike) -> None:
    """Let Python's floats, and tensors made without an element type, be `d`, in the whole process.

    Set it before the rest: a function of `tn.compile` keeps the default of the time when it was traced.
    `DTypeError` where `d` is not a floating-point element type.
    """
    if not isinstance(d, ElementType) or not d.is_floating_point:
        raise DTypeError(f"set_default_dtype: {d!r} is not a float type", mend="use one such as tn.float64")
    _STATE.float = d.element
