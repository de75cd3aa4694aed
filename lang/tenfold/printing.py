"""The text of a tensor, as PyTorch writes it: what `repr` and `print` show, and the options that shape it.

In: the values and what else is known of a tensor.  Out: `tensor([1., 2.], requires_grad=True)`.  Floats share one
notation, chosen from all the finite values that are shown: whole (`1.`), fixed (`1.5000`) or scientific.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from tenfold.default_dtype import default_complex, default_float
from tenfold.device import CPU, Device
from tenfold.specs import ELEMENT_TYPES, array_element_type
from tenfold.tracing import Array
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError
from tenfold_rt.frozen import frozen

Number: TypeAlias = "bool | int | float | complex"
_OPENING = "tensor("


@frozen
class PrintOptions:
    """How tensors are written.

    `precision`: digits after the point.  `threshold`: tensors of more elements are summarised, with `edgeitems`
    elements at both ends of each axis.  `linewidth`: columns before a line is broken.  `sci_mode`: whether floats
    are in scientific notation; None leaves it to the values.
    """

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}


class _State:
    """The process's options: one immutable record, so that a reader in any thread sees all of it or none."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.options = PrintOptions()


_STATE = _State()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors are written, in the whole process; what is None stays as it is, save for `sci_mode`.

    `profile` sets all of them first: "default", "short" (two digits, two edge items) or "full" (never summarised).
    Without `sci_mode` the values decide on scientific notation again.  `ArgumentError` for another profile and for
    negative numbers.
    """
    numbers = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes = {name: number for name, number in numbers.items() if number is not None}
    for name, number in changes.items():
        if not number >= 0:
            raise ArgumentError(f"set_printoptions: {name} is {number}", mend="give a number of at least 0")
    if profile is not None and profile.lower() not in _PROFILES:
        raise ArgumentError(f"set_printoptions: profile is {profile!r}", mend=f"give one of {', '.join(_PROFILES)}")
    with _STATE.lock:
        start = _STATE.options if profile is None else _PROFILES[profile.lower()]
        _STATE.options = replace(start, **cast("dict[str, Any]", changes), sci_mode=sci_mode)


def tensor_text(
    values: Array,
    *,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    device: Device = CPU,
    is_parameter: bool = False,
) -> str:
    """The text of a tensor of `values`, an array of any shape and element type.

    `grad_fn` is the name of the function that made it, such as `MulBackward0`.
    """
    options = _STATE.options
    dtype = array_element_type(values)
    remarks: list[str] = []
    if device.type != CPU.type:
        remarks.append(f"device='{device}'")
    if values.ndim != 1 if values.size == 0 else options.edgeitems == 0:
        remarks.append(f"size={values.shape}")
    if not _is_told_by_values(dtype, empty=values.size == 0):
        remarks.append(f"dtype={ELEMENT_TYPES[dtype]}")
    if grad_fn is not None:
        remarks.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        remarks.append("requires_grad=True")
    text = _with_remarks(_OPENING + _elements_text(values, dtype, options), remarks, options.linewidth)
    return f"Parameter containing:\n{text}" if is_parameter else text


def _is_told_by_values(dtype: DType, empty: bool) -> bool:
    """Whether a reader can tell the element type from the elements."""
    if dtype is default_float():
        return True
    return not empty and dtype in (dtypes.i64, dtypes.bool_, default_complex())


def _with_remarks(text: str, remarks: Iterable[str], linewidth: int) -> str:
    """`text`, a comma and each remark, on lines of their own where they are too long; and the closing bracket."""
    column = len(text) - (text.rfind("\n") + 1) + 2
    for remark in remarks:
        if column + len(remark) + 2 > linewidth:
            text += ",\n" + " " * len(_OPENING) + remark
            column = len(_OPENING) + len(remark)
        else:
            text += ", " + remark
            column += len(remark) + 2
    return text + ")"


def _elements_text(values: Array, dtype: DType, options: PrintOptions) -> str:
    if values.size == 0:
        return "[]"
    cut = tuple(values.size > options.threshold and size > 2 * options.edgeitems for size in values.shape)
    if any(cut):
        values = values[np.ix_(*_kept_indices(values.shape, cut, options.edgeitems))]
    if dtype is dtypes.bf16:
        values = values.astype(np.float32)
    notation = _notation(values.reshape(-1).tolist(), dtype, options)
    if not values.ndim:
        return notation.write(values.item())
    return _Writer(notation, cut, options).text(values.tolist(), 0)


def _kept_indices(shape: tuple[int, ...], cut: tuple[bool, ...], edge: int) -> list[list[int]]:
    return [
        [*range(edge), *range(size - edge, size)] if is_cut else [*range(size)]
        for size, is_cut in zip(shape, cut, strict=True)
    ]


class _Notation(NamedTuple):
    """How the elements of one tensor are written: all `width` columns wide at least."""

    write: Callable[[Any], str]
    width: int


def _notation(numbers: list[Any], dtype: DType, options: PrintOptions) -> _Notation:
    if dtype.is_complex:
        return _complex_notation(cast("list[complex]", numbers), options)
    if dtype.is_float:
        return _float_notation(cast("list[float]", numbers), options)
    return _aligned(str, numbers)


def _aligned(write: Callable[[Any], str], numbers: Iterable[Number]) -> _Notation:
    """`write`, filled on the left up to the widest of `numbers`."""
    width = max((len(write(number)) for number in numbers), default=1)

    def write_aligned(number: Number) -> str:
        return write(number).rjust(width)

    return _Notation(write_aligned, width)


def _float_notation(numbers: list[float], options: PrintOptions) -> _Notation:
    """The notation for `numbers`; zeros, infinities and NaNs have no say in it, nor in the width."""
    telling = [number for number in numbers if number != 0 and math.isfinite(number)]
    if not telling:
        return _aligned(_whole, ())
    magnitudes = [abs(number) for number in telling]
    least, greatest = min(magnitudes), max(magnitudes)
    scientific = options.sci_mode
    if scientific is None:
        scientific = greatest / least > 1000 or greatest > 1e8 or least < 1e-4
    if scientific:
        return _aligned(f"{{:.{options.precision}e}}".format, telling)
    if all(number.is_integer() for number in telling):
        return _aligned(_whole, telling)
    return _aligned(f"{{:.{options.precision}f}}".format, telling)


def _whole(number: float) -> str:
    return f"{number:.0f}." if math.isfinite(number) else str(number)


def _complex_notation(numbers: list[complex], options: PrintOptions) -> _Notation:
    real = _float_notation([number.real for number in numbers], options)
    imaginary = _float_notation([number.imag for number in numbers], options)

    def write(number: complex) -> str:
        after = imaginary.write(number.imag).lstrip()
        return real.write(number.real) + ("" if after.startswith("-") else "+") + after + "j"

    return _Notation(write, real.width + imaginary.width + 1)


class _Writer:
    """Nested lists of numbers as text; `cut` tells the axes whose middle is left out."""

    def __init__(self, notation: _Notation, cut: tuple[bool, ...], options: PrintOptions) -> None:
        self.notation, self.cut = notation, cut
        self.edgeitems, self.linewidth = options.edgeitems, options.linewidth

    def text(self, items: list[Any], axis: int) -> str:
        """The text of the `items` along `axis`, which starts in the column under the bracket it is in."""
        below = len(self.cut) - axis - 1
        column = len(_OPENING) + axis + 1
        if below == 0:
            return f"[{self._lines(self._row(items), column)}]"
        parts = [self.text(item, axis + 1) for item in items]
        if self.cut[axis]:
            parts.insert(self.edgeitems, "...")
        return f"[{(',' + chr(10) * below + ' ' * column).join(parts)}]"

    def _row(self, numbers: list[Number]) -> list[str]:
        parts = [self.notation.write(number) for number in numbers]
        if self.cut[-1]:
            parts.insert(self.edgeitems, " ..." if parts else "...")
        return parts

    def _lines(self, parts: list[str], column: int) -> str:
        """`parts` between commas, as many to a line as fit."""
        per_line = max(1, (self.linewidth - column + 1) // (self.notation.width + len(", ")))
        rows = [", ".join(parts[start : start + per_line]) for start in range(0, len(parts), per_line)]
        return (",\n" + " " * column).join(rows)
