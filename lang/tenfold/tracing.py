"""Tracing: running a Python function on stand-ins for tensors to learn the program that it computes.

A `Trace` collects operations while a function runs; traces nest, and those of this thread that are under way form
a stack.  A `TensorValue` refers to a value: an array, a `Var` of a trace, or the result of a recorded call.  `lift`
brings anything that counts as a tensor into the innermost trace, arrays and numbers as constants, and `wrap` makes a
tensor of a `Var`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tenfold.default_dtype import default_complex, default_float
from tenfold.device import CPU, Device
from tenfold.dlpack import array_over
from tenfold.memory import Memory
from tenfold.python_numbers import holds_f64, long_integer, number_array, numbers_array, shown
from tenfold.specs import array_element_type
from tenfold.values import Kind, Storage, Value
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, TraceError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Location, Region
from tenfoldc.ir.core import Value as IRValue
from tenfoldc.ir.types import TensorType

if TYPE_CHECKING:
    from tenfold.gradients.graph import Edge
    from tenfold.tensor import Tensor

Array: TypeAlias = NDArray[Any]
Scalar: TypeAlias = "bool | int | float"
TensorLike: TypeAlias = "TensorValue | Array | np.generic | Scalar | Sequence[Any]"
"""What counts as a tensor: ours, NumPy's arrays and scalars, Python's numbers, and nested lists of numbers."""

_PACKAGES = tuple(
    str(Path(cast("str", sys.modules[name].__file__)).parent) + "/" for name in ("tenfold", "tenfoldc", "tenfold_rt")
)

_STANDARD_LIBRARY = str(Path(os.__file__).parent) + "/"


class Trace:
    """One function being traced; use as a context manager, inside which operations go to `builder`.

    One that is given `captures` takes tensors from outside as inputs; else they are constants.  `edges` are those of
    values that gradients flow to, for branches and loops that use them.  All of it is on one device: by default that
    of the trace around it.
    """

    def __init__(self, captures: Captures | None = None, placing: Placing | None = None) -> None:
        self.builder = Builder(locate)
        self.captures = captures
        around = _STATE.stack[-1].placing if _STATE.stack else ON_CPU
        self.placing = around if placing is None else placing
        self.device = self.placing.device
        self.edges: dict[IRValue, Edge] = {}
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

    def capture(self, ref: Reference) -> None:
        """Take the storage of a tensor from outside as an input, if this trace does that."""
        if self.captures is not None:
            self.captures.take(ref, self)

    def made(self, storage: Storage) -> None:
        """Take note of a storage that was made inside."""
        if self.captures is not None:
            self.captures.made(storage)

    def constant(self, array: Array) -> Var:
        """`array`'s present value; an array that is captured twice is one constant."""
        known = self._constants.get(id(array))
        if known is None:
            var = ops.constant(self.builder, array, array_element_type(array))
            known = self._constants[id(array)] = (array, var)
        return known[1]


@frozen
class Placing:
    """The device of a trace, and who chose it: the user or a tensor of the call ("given"), tensors of the CPU among the
    arguments ("arguments"), or nobody yet ("open")."""

    device: Device
    choice: Literal["given", "arguments", "open"] = "given"


ON_CPU = Placing(CPU)


class DeviceFound(BaseException):
    """The trace under way has to be on another device, and must begin anew there."""

    def __init__(self, device: Device) -> None:
        super().__init__(str(device))
        self.device = device


class Captures(Protocol):
    """What takes note of the tensors that a trace meets; `remembers` once one of them requires a gradient."""

    remembers: bool

    def take(self, ref: Reference, trace: Trace) -> None: ...
    def made(self, storage: Storage) -> None: ...
    def gradient(self, tensor: TensorValue, is_change: bool) -> None: ...
    def guard(self, read: Callable[[], Any], value: Any) -> None: ...
    def number(self, read: Callable[[], float], trace: Trace) -> Any: ...


class _State(threading.local):
    def __init__(self) -> None:
        self.stack: list[Trace] = []
        self.bodies = 0


_STATE = _State()


def is_tracing() -> bool:
    """Whether this thread is inside a trace."""
    return bool(_STATE.stack)


def is_remembering() -> bool:
    """Whether calls in this thread, which is inside a trace, are to be remembered for gradients: one was asked for."""
    captures = _STATE.stack[0].captures
    return captures is not None and captures.remembers and is_users()


def is_users() -> bool:
    """Whether this thread is inside the trace of a user's function, and not within the body of one of ours."""
    stack = _STATE.stack
    return len(stack) == 1 and not _STATE.bodies and stack[0].captures is not None


@contextmanager
def within_body() -> Generator[None]:
    """What is traced inside is the body of a function, called with traced tensors alone."""
    _STATE.bodies += 1
    try:
        yield
    finally:
        _STATE.bodies -= 1


def depth() -> int:
    """How many traces this thread is inside."""
    return len(_STATE.stack)


def is_in_remembered_region() -> bool:
    """Whether this thread is inside a branch or a loop of a function in which gradients are asked for."""
    return len(_STATE.stack) > 1 and bool(_STATE.stack[0].edges)


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
    """The innermost frame outside Tenfold's packages and the standard library."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        file = frame.f_code.co_filename
        ours = _OURS.get(file)
        if ours is None:
            standard = file.startswith(_STANDARD_LIBRARY) and "-packages/" not in file
            ours = _OURS[file] = standard or file.startswith((*_PACKAGES, "<frozen "))
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


class Reference(Protocol):
    """What a tensor refers to: a storage, or a view of one."""

    @property
    def storage(self) -> Storage: ...

    @property
    def edge(self) -> Edge | None: ...
    @property
    def kind(self) -> Kind: ...
    def read(self) -> Value: ...
    def write(self, value: Value, edge: Edge | None) -> None: ...


class TensorValue:
    """The part of `Tensor` that tracing and recording know: a reference to where its value is."""

    __slots__ = ("__weakref__", "ref")
    _tensor: ClassVar[Callable[[Reference], Tensor]]

    @staticmethod
    def use(kind: type[Tensor]) -> None:
        """Make tensors of the class `kind`."""
        TensorValue._tensor = kind

    def __init__(self, ref: Reference) -> None:
        self.ref = ref

    @staticmethod
    def of_value(value: Value, edge: Edge | None = None) -> Tensor:
        """A tensor of its own with `value`."""
        storage = Storage(value, edge)
        if _STATE.stack:
            storage.trace = _STATE.stack[-1]
            if is_users():
                _STATE.stack[0].made(storage)
        return TensorValue._tensor(storage)

    @staticmethod
    def of_reference(ref: Reference) -> Tensor:
        """A tensor that refers to what another may refer to as well."""
        return TensorValue._tensor(ref)

    @staticmethod
    def of_array(array: Memory) -> Tensor:
        """A concrete tensor over `array`'s memory, which nobody else writes to and which may be a GPU's."""
        return TensorValue.of_value(Value.of_array(array))

    @staticmethod
    def of_var(var: Var, trace: Trace) -> Tensor:
        """A traced tensor."""
        return TensorValue.of_value(Value.of_var(var, trace))

    @property
    def value(self) -> Value:
        """The present value; inside a trace that takes tensors from outside as inputs, that input."""
        if _STATE.stack:
            self.take_note()
        return self.ref.read()

    def take_note(self) -> None:
        """Tell the trace under way of this tensor, if it is from outside."""
        if self.ref.storage.trace is None:
            _STATE.stack[0].capture(self.ref)

    @property
    def array(self) -> Array | None:
        """The elements of a concrete tensor, copied where they are in a GPU's memory; None while traced."""
        return self.value.array

    @property
    def memory(self) -> Memory | None:
        """The memory of a concrete tensor; None while traced."""
        return self.value.memory

    @property
    def tensor_type(self) -> TensorType:
        """Element type and shape."""
        return self.ref.kind.type

    def in_trace(self) -> Var:
        """This tensor in the innermost trace; `TraceError` where it belongs to one that has ended."""
        value = self.value
        if value.var is None:
            array = value.array
            assert array is not None
            return current().constant(array)
        require_trace(value)
        return current().builder.var(value.var.value)

    def assign(self, value: Value, edge: Edge | None) -> None:
        """Let the tensor, and what shares memory with it, have another value of the same type."""
        _require_own(self.ref)
        self.ref.write(value, edge)

    def may_be_assigned(self) -> bool:
        """Whether `assign` is possible in the innermost trace."""
        innermost, owner = _STATE.stack[-1], self.ref.storage.trace
        return owner is innermost or (owner is None and innermost.captures is not None)

    def known_array(self, asked: str, mend: str) -> Array:
        """The array; `TraceError` that `asked` needs it where this tensor is traced."""
        value = self.value
        array = value.array
        if array is None:
            require_trace(value)
            refuse_value(asked, value.type, mend)
        return array


def require_trace(value: Value) -> None:
    """`TraceError` where a value belongs to a trace that this thread is not inside."""
    if value.trace is not None and not value.trace.is_under_way:
        raise TraceError(
            f"a tensor {value.type} of a trace that has ended was used",
            where=here(),
            mend="return it from the traced function instead of keeping it in a variable outside",
        )


def _require_own(ref: Reference) -> None:
    """`TraceError` where the innermost trace may not change a storage: it was made around it."""
    if not _STATE.stack:
        return
    innermost, storage = _STATE.stack[-1], ref.storage
    if storage.trace is None and innermost.captures is not None:
        innermost.capture(ref)
    elif storage.trace is not innermost:
        raise TraceError(
            f"a tensor {storage.kind.type} was changed in place in a branch, loop, or transformed or exported function",
            where=here(),
            mend="return the new value from it instead",
        )


def note_gradient(tensor: TensorValue, *, is_change: bool = False) -> None:
    """Tell the trace under way, if there is one, that the gradient of a tensor is looked at or changed."""
    if _STATE.stack and (captures := _STATE.stack[0].captures) is not None:
        captures.gradient(tensor, is_change)


def guarded(read: Callable[[], Any]) -> Any:
    """What `read` gives.  A function that is being compiled is compiled anew when that has changed."""
    value = read()
    if _STATE.stack and (captures := _STATE.stack[0].captures) is not None:
        captures.guard(read, value)
    return value


def host_number(read: Callable[[], float]) -> Any:
    """The number that `read` gives; in a function that is being compiled, one that is read anew at each call."""
    if _STATE.stack and (captures := _STATE.stack[0].captures) is not None:
        return captures.number(read, _STATE.stack[0])
    return read()


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


_INTEGER_BITS = 64
"""Bits of a Python integer that is an input, which fits all types of so many: unsigned ones by wrapping around."""


class Number:
    """A Python number that is an input of the innermost trace: its element type yields as any Python number's does.

    `integers` are the integer types that it has been used in, which not all such numbers fit.
    """

    __slots__ = ("integers", "kind", "var")

    def __init__(self, var: Var, kind: type) -> None:
        self.var, self.kind = var, kind
        self.integers: set[DType] = set()

    def in_trace(self, dtype: DType | None) -> Var:
        """The number as a scalar of `dtype`, or of its default."""
        chosen = default_dtype(self) if dtype is None else dtype
        if chosen.is_integer and not (self.kind is bool or (self.kind is int and chosen.bits == _INTEGER_BITS)):
            self.integers.add(chosen)
        return self.var if self.var.dtype is chosen else ops.convert(self.var, chosen)


def default_dtype(value: Scalar | Number) -> DType:
    """The element type that a Python number gets on its own: bool, i64, and the default float, f32 as a rule."""
    kind = value.kind if isinstance(value, Number) else type(value)
    if issubclass(kind, bool):
        return dtypes.bool_
    return dtypes.i64 if issubclass(kind, int) else default_float()


def is_scalar(value: object) -> bool:
    """Whether `value` is a Python number, whose element type yields to any tensor's of its family."""
    return isinstance(value, (bool, int, float, Number)) and not isinstance(value, np.generic)


def lift(value: TensorLike, dtype: DType | None = None) -> Var:
    """`value` in the innermost trace.  A Python number becomes a constant of `dtype` or of its default."""
    if isinstance(value, TensorValue):
        return value.in_trace()
    if isinstance(value, Number):
        return value.in_trace(dtype)
    if isinstance(value, np.ndarray):
        return current().constant(value)
    if is_scalar(value):
        return _scalar_constant(cast("Scalar", value), dtype)
    return current().constant(array_from(value))


def _scalar_constant(value: Scalar, dtype: DType | None) -> Var:
    chosen = default_dtype(value) if dtype is None else dtype
    try:
        array = number_array(value, chosen)
    except DTypeError as error:
        raise DTypeError(error.what, where=here(), mend="convert the tensor first") from None
    return ops.constant(current().builder, array)


def array_from(data: object, dtype: DType | None = None) -> Array:
    """`data` as an array without a copy where it is one: nested lists of Python floats are f32 (c64), of ints i64.

    Numbers become `dtype` where it is given, rounded once; what is an array, or holds complex numbers, stays.

    Takes NumPy's arrays and scalars, whatever offers `__dlpack__` or `__array__`, and numbers in nested lists.
    """
    if isinstance(data, (np.ndarray, np.generic)):
        return np.asarray(cast("Any", data))
    if hasattr(data, "__dlpack__"):
        return from_dlpack(data)
    if _holds_traced(data):
        raise DTypeError("a list of traced tensors is no tensor", where=here(), mend="join them with tn.stack")
    try:
        array: Array = np.asarray(data)
    except ValueError:
        raise ShapeError(
            f"a {type(data).__name__} whose parts differ in length is no tensor",
            where=here(),
            mend="fill the shorter ones up",
        ) from None
    if array.dtype == object or array.dtype.kind in "USV":
        if (number := long_integer(array)) is not None:
            raise DTypeError(f"{shown(number)} does not fit i64", where=here(), mend="give a float")
        raise DTypeError(
            f"a {type(data).__name__} of {array.dtype} elements cannot be a tensor",
            where=here(),
            mend="give numbers, or tn.stack a list of tensors",
        )
    if dtype is not None and array.dtype.kind in "biuf" and not hasattr(data, "__array__"):
        try:
            return numbers_array(array, dtype)
        except DTypeError as error:
            raise DTypeError(error.what, where=here()) from None
    default = {"float64": default_float, "complex128": default_complex}.get(array.dtype.name)
    if default is None or hasattr(data, "__array__") or holds_f64(data):
        return array
    with np.errstate(over="ignore"):  # a float that is too large is an infinity
        return array.astype(default().numpy)


def _holds_traced(data: object) -> bool:
    if isinstance(data, (list, tuple)):
        return any(_holds_traced(item) for item in cast("list[object]", data))
    return isinstance(data, TensorValue) and data.memory is None


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
