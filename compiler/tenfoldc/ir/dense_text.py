"""Constant arrays as MLIR writes them: what stands between the brackets of `dense<...>`.

Spellings, all read and the first that fits printed:

    1.000000e+00          one element for all (a splat), printed for an array that repeats one with strides of 0
    [[1, 2], [3, 4]]      nested lists
    "0x0000803F..."       a quoted blob: the elements' little-endian bytes, one for a bool
    0x7FC00000            an element's bit pattern, for infinities and NaNs

Printing is exact: the text gives back every bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt.dtypes import DType, bf16, f32, f64, from_numpy
from tenfold_rt.errors import UnsupportedError
from tenfoldc.ir.types import TensorType

LONGEST_LIST = 100
"""An array with more elements is printed as a blob, as MLIR does."""

_FLOAT = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")
_COMPLEX = re.compile(r"\(([^()]*),([^()]*)\)")


def print_dense(array: NDArray[Any]) -> str:
    """The elements of `array` as MLIR text, without `dense<` and `>`."""
    element = _element_printer(array.dtype)
    if array.size == 0:
        return ""
    if all(size == 1 or stride == 0 for size, stride in zip(array.shape, array.strides, strict=True)):
        return element(array[(0,) * array.ndim])
    if array.size > LONGEST_LIST:
        return f'"0x{_little_endian_bytes(array).hex().upper()}"'
    return _print_nested([element(value) for value in array.flat], array.shape)


def parse_dense(text: str, type_: TensorType) -> NDArray[Any]:
    """The array of `type_` that `text` spells: a read-only array, of stride 0 where all elements are one.

    `ValueError` where the text is malformed or does not fit the type.
    """
    text = text.strip()
    if text.startswith('"'):
        array = _parse_blob(text.strip('"'), type_)
    elif text.startswith("[") or not text:
        array = _parse_list(text, type_)
    else:
        array = np.asarray([_parse_element(text, type_.dtype)])
    if array.size and (array.size != type_.size or _is_uniform(array)):
        return np.broadcast_to(array[0], type_.sizes)
    array = array.reshape(type_.sizes)
    array.flags.writeable = False
    return array


def _is_uniform(array: NDArray[Any]) -> bool:
    """Whether all elements have the same bits (which +0 and -0 have not)."""
    elements = array.view(np.uint8).reshape(array.size, array.itemsize)
    return bool((elements == elements[0]).all())


def _element_printer(dtype: np.dtype[Any]) -> Callable[[Any], str]:
    if from_numpy(dtype) is bf16:
        return _print_float
    match dtype.kind:
        case "b":
            return lambda value: "true" if value else "false"
        case "i" | "u":
            return lambda value: str(int(value))
        case "f":
            return _print_float
        case "c":
            return lambda value: f"({_print_float(value.real)}, {_print_float(value.imag)})"
        case _:
            raise UnsupportedError(f"constants of NumPy's {dtype} have no spelling in StableHLO")


def _print_float(value: Any) -> str:
    """Six digits where they are exact, else the shortest text that gives the value back, else its bits."""
    if not np.isfinite(value):
        return f"0x{value.tobytes()[::-1].hex().upper()}"
    text = f"{float(value):.6e}"
    if type(value)(text) == value:
        return text
    mantissa, mark, exponent = str(value).partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + mark + exponent


def _print_nested(elements: Sequence[str], shape: Sequence[int]) -> str:
    for size in reversed(shape):
        elements = [f"[{', '.join(elements[start : start + size])}]" for start in range(0, len(elements), size)]
    return elements[0]


def _little_endian_bytes(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _parse_blob(digits: str, type_: TensorType) -> NDArray[Any]:
    """Elements from little-endian bytes; those of a single element are a splat."""
    if digits[:2] != "0x":
        raise ValueError("a quoted constant begins with 0x")
    data = bytes.fromhex(digits[2:])
    dtype = type_.dtype.numpy
    if type_.dtype.is_bool:
        return _parse_bool_blob(data, type_.size)
    if len(data) not in (dtype.itemsize, dtype.itemsize * type_.size):
        raise ValueError(f"{len(data)} bytes for {type_}, which takes {dtype.itemsize * type_.size}")
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)


def _parse_bool_blob(data: bytes, size: int) -> NDArray[Any]:
    """Bools from a byte each or, as older MLIR has it, from a bit each, the least significant first."""
    if len(data) == size and size > 1:
        return np.frombuffer(data, np.uint8) != 0
    if len(data) == 1 and size > 8:
        return np.array([data[0] != 0])
    if len(data) != math.ceil(size / 8):
        raise ValueError(f"{len(data)} bytes for {size} bools")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=size, bitorder="little").astype(bool)


def _parse_list(text: str, type_: TensorType) -> NDArray[Any]:
    """Elements from nested lists, whose nesting must be the type's shape."""
    if type_.size > len(text):
        raise ValueError(f"{type_} has more elements than the list")
    brackets = re.sub(r"[^\[\],]", "", _COMPLEX.sub("", text))
    if brackets != (_skeleton(type_.sizes) if type_.size else "") and not _is_empty_list(brackets, type_):
        raise ValueError(f"the nesting of the lists is not that of {type_}")
    if type_.size == 0:
        return np.zeros(type_.sizes, type_.dtype.numpy)
    bare = re.sub(r"[\[\]\s]", "", text)
    tokens = [match[0] for match in _COMPLEX.finditer(bare)] if type_.dtype.is_complex else bare.split(",")
    return np.array([_parse_element(token, type_.dtype) for token in tokens])


def _is_empty_list(brackets: str, type_: TensorType) -> bool:
    """Whether lists without elements stand for an empty array: `[[], []]` for a `tensor<2x0xf32>`."""
    return type_.size == 0 and brackets == _skeleton(type_.sizes)


def _skeleton(shape: Sequence[int]) -> str:
    """Nested lists of `shape` without their elements: `[[,],[,]]` for 2 by 2."""
    text = ""
    for size in reversed(shape):
        text = f"[{','.join([text] * size)}]"
    return text


def _parse_element(token: str, dtype: DType) -> Any:
    """One element as a NumPy scalar of `dtype`."""
    scalar = dtype.numpy.type
    if dtype.is_complex:
        match = _COMPLEX.fullmatch(token.strip())
        if match is None:
            raise ValueError(f"{token!r} is not a complex number, as in (1.0, -2.0)")
        part = f32 if dtype.bits == 64 else f64
        return scalar(complex(_parse_element(match[1], part), _parse_element(match[2], part)))
    token = token.strip()
    if token in ("true", "false"):
        return scalar(token == "true")
    if token.startswith("0x"):
        return _parse_bits(token, dtype)
    if dtype.is_float:
        if _FLOAT.fullmatch(token) is None:
            raise ValueError(f"{token!r} is not a number")
        return _round(float(token), scalar)
    return _parse_integer(int(token), dtype)


def _round(value: float, scalar: type[Any]) -> Any:
    with np.errstate(over="ignore"):
        return scalar(value)


def _parse_bits(token: str, dtype: DType) -> Any:
    bits = int(token, 16)
    if bits >> dtype.bits:
        raise ValueError(f"{token} has more than the {dtype.bits} bits of {dtype}")
    return np.frombuffer(bits.to_bytes(dtype.itemsize, "little"), dtype.numpy.newbyteorder("<"))[0]


def _parse_integer(value: int, dtype: DType) -> Any:
    scalar: Any = dtype.numpy.type
    if dtype.is_bool:
        return scalar(value != 0)
    try:
        return scalar(value)
    except OverflowError:
        raise ValueError(f"{value} does not fit {dtype}") from None
