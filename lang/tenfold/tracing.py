"""Tracing: running a Python function on stand-ins for tensors to learn the program that it computes.

A `Trace` collects operations while a function runs; traces nest, and those of this thread that are under way form
a stack.  A `TensorValue` is what a tensor holds: an array, or a `Var` of a trace.  `lift` brings anything that
counts as a tensor into the innermost trace, arrays and numbers as constants, and `wrap` makes a tensor of a `Var`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tenfold.dlpack import array_over
from tenfold.specs import array_element_type
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, TraceError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Location, Region
from tenfoldc.ir.types import TensorType

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

Array: TypeAlias = NDArray[Any]
Scalar: TypeAlias = "bool | int | float"
TensorLike: TypeAlias = "Tensor | Array | np.generic | Scalar | Sequence[Any]"
"""What counts as a tensor: ours, NumPy's arrays and scalars, Python's numbers, and nested lists of numbers."""

_PACKAGES = tuple(
    str(Path(cast("str", sys.modules[name].__file__)).parent) + "/" for name in ("tenfold", "tenfoldc", "tenfold_rt")
)


class Trace:
    """One function being traced; use as a context manager, inside which operations go to `builder`."""

    def __init__(self) -> None:
        self.builder = Builder(locate)
        self._constants: dict[int, tuple[Array, Var]] = {}

    def __enter__(self) -> Trace:
        _STATE.stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _STATE.stack.pop()

    @property
    def is_under_way(self) -> bool:
        """Whether its function is running in this thread."""
        return self in _STATE.stack

    def constant(self, array: Array) -> Var:
        """`array`'s present value; an array that is captured twice is one constant."""
        known = self._constants.get(id(array))
        if known is None:
            var = ops.constant(self.builder, array, array_element_type(array))
            known = self._constants[id(array)] = (array, var)
        return known[1]


class _State(threading.local):
    def __init__(self) -> None:
        self.stack: list[Trace] = []


_STATE = _State()


def is_tracing() -> bool:
    """Whether this thread is inside a trace."""
    return bool(_STATE.stack)


def depth() -> int:
    """How many traces this thread is inside."""
    return len(_STATE.stack)


def current() -> Trace:
    """The innermost trace."""
    return _STATE.stack[-1]


def trace_region(function: Callable[..., Sequence[Var]], types: Sequence[TensorType]) -> Region:
    """The region that `function` computes from parameters of `types`, which it gets as `Var`s.

    Inside another trace the region may use that one's values.
    """
    with Trace() as trace:
        parameters = [trace.builder.parameter(type_) for type_ in types]
        return trace.builder.region(parameters, function(*parameters))


_OURS: dict[str, bool] = {}


def user_frame() -> FrameType | None:
    """The innermost frame outside Tenfold's packages."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        file = frame.f_code.co_filename
        ours = _OURS.get(file)
        if ours is None:
            ours = _OURS[file] = file.startswith(_PACKAGES) or file.startswith("<frozen ")
        if not ours:
            return frame
        frame = frame.f_back
    return None


def locate() -> Location | None:
    """The line of the user's source that is running."""
    frame = user_frame()
    return None if frame is None else Location(frame.f_code.co_filename, frame.f_lineno)


def here() -> str:
    """`locate` for an error's `where`; empty where there is no user's source."""
    location = locate()
    return "" if location is None else str(location)


class TensorValue:
    """What a tensor holds: `array`, or a `var` of a `trace`.  Its one subclass is `Tensor`."""

    __slots__ = ("__weakref__", "_array", "_trace", "_var")
    _tensor: ClassVar[type[TensorValue]]

    def __init_subclass__(cls) -> None:
        TensorValue._tensor = cls

    def __init__(self, array: Array | None, var: Var | None = None, trace: Trace | None = None) -> None:
        self._array = array
        self._var = var
        self._trace = trace

    @staticmethod
    def of_array(array: Array) -> Tensor:
        """A concrete tensor over `array`'s memory."""
        return cast("Tensor", TensorValue._tensor(array))

    @staticmethod
    def of_var(var: Var, trace: Trace) -> Tensor:
        """A traced tensor."""
        return cast("Tensor", TensorValue._tensor(None, var, trace))

    @property
    def array(self) -> Array | None:
        """The array of a concrete tensor; None while traced."""
        return self._array

    @property
    def type(self) -> TensorType:
        """Element type and shape."""
        if self._var is not None:
            return self._var.type
        assert self._array is not None
        return TensorType(array_element_type(self._array), self._array.shape)

    def in_trace(self) -> Var:
        """This traced tensor in the innermost trace; `TraceError` where it does not belong there."""
        assert self._var is not None
        self._require_trace()
        return current().builder.var(self._var.value)

    def _require_trace(self) -> None:
        if self._trace is not None and not self._trace.is_under_way:
            raise TraceError(
                f"a tensor {self.type} of a trace that has ended was used",
                where=here(),
                mend="return it from the traced function instead of keeping it in a variable outside",
            )

    def known_array(self, asked: str, mend: str) -> Array:
        """The array; `TraceError` that `asked` needs it where this tensor is traced."""
        if self._array is None:
            self._require_trace()
            refuse_value(asked, self.type, mend)
        return self._array


def refuse_value(asked: str, type_: TensorType, mend: str) -> NoReturn:
    """Raise the error for Python's asking for the value of a traced tensor."""
    raise TraceError(
        f"{asked} needs the value of a traced tensor {type_}, which is known only when the compiled code runs",
        where=here(),
        mend=mend,
    )


def wrap(var: Var) -> Tensor:
    """`var`, which belongs to the innermost trace, as a tensor."""
    return TensorValue.of_var(var, current())


def default_dtype(value: Scalar) -> DType:
    """The element type that a Python number gets on its own: bool, i64, f32."""
    if isinstance(value, bool):
        return dtypes.bool_
    return dtypes.i64 if isinstance(value, int) else dtypes.f32


def is_scalar(value: object) -> bool:
    """Whether `value` is a Python number, whose element type yields to any tensor's of its family."""
    return isinstance(value, (bool, int, float)) and not isinstance(value, np.generic)


def lift(value: TensorLike, dtype: DType | None = None) -> Var:
    """`value` in the innermost trace.  A Python number becomes a constant of `dtype` or of its default."""
    if isinstance(value, TensorValue):
        return value.in_trace() if value.array is None else current().constant(value.array)
    if isinstance(value, np.ndarray):
        return current().constant(value)
    if is_scalar(value):
        return _scalar_constant(cast("Scalar", value), dtype)
    return current().constant(array_from(value))


def _scalar_constant(value: Scalar, dtype: DType | None) -> Var:
    chosen = default_dtype(value) if dtype is None else dtype
    try:
        array = np.array(value, chosen.numpy)
    except OverflowError:
        raise DTypeError(f"{value} does not fit {chosen}", where=here(), mend="convert the tensor first") from None
    return ops.constant(current().builder, array)


def array_from(data: object) -> Array:
    """`data` as an array without a copy where it is one: nested lists of Python floats are f32, of ints i64.

    Takes NumPy's arrays and scalars, whatever offers `__dlpack__` or `__array__`, and numbers in nested lists.
    """
    if isinstance(data, (np.ndarray, np.generic)):
        return np.asarray(cast("Any", data))
    if hasattr(data, "__dlpack__"):
        return from_dlpack(data)
    if _holds_traced(data):
        raise DTypeError("a list of traced tensors is no tensor", where=here(), mend="join them with tn.stack")
    array: Array = np.asarray(data)
    if array.dtype == object or array.dtype.kind in "USV":
        raise DTypeError(
            f"a {type(data).__name__} of {array.dtype} elements cannot be a tensor",
            where=here(),
            mend="give numbers, or tn.stack a list of tensors",
        )
    python_floats = array.dtype == np.float64 and not hasattr(data, "__array__") and not _holds_f64(data)
    return array.astype(np.float32) if python_floats else array


def _holds_traced(data: object) -> bool:
    if isinstance(data, (list, tuple)):
        return any(_holds_traced(item) for item in cast("list[object]", data))
    return isinstance(data, TensorValue) and data.array is None


def _holds_f64(data: object) -> bool:
    """Whether a nested list has a NumPy double in it, whose precision is meant."""
    if isinstance(data, (list, tuple)):
        return any(_holds_f64(item) for item in cast("list[object]", data))
    return isinstance(data, (np.ndarray, np.generic)) and cast("Array", data).dtype == np.float64


def from_dlpack(data: object) -> Array:
    """The memory of a tensor of another library, without a copy; `ArgumentError` where it cannot be shared."""
    try:
        return array_over(data)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"cannot share the memory of a {type(data).__name__}: {error}",
            where=here(),
            mend="give a tensor on the CPU that is detached from its own autograd",
        ) from error
