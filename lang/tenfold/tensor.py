"""`tn.Tensor`: an array that compiled code computes with, or its stand-in while a function is traced.

A concrete tensor holds a NumPy array without copying it; a traced one has an element type and a shape but no
values yet.  Operators and methods are the functions of `tenfold.functions`; NumPy's functions on tensors lead to
the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from tenfold import numpy_dispatch
from tenfold.dlpack import capsule_over
from tenfold.functions import arithmetic, elementwise, indexing, linear_algebra, neural, reductions, shapes, sorting
from tenfold.functions.indexing import At, Index
from tenfold.printing import tensor_text
from tenfold.size import Size
from tenfold.specs import ELEMENT_TYPES, DTypeLike, ElementType, element_type
from tenfold.tracing import Array, Scalar, TensorLike, TensorValue, array_from, here
from tenfold.tracing import from_dlpack as shared_array
from tenfold_rt.errors import ArgumentError

_BRANCH = "use tn.cond, tn.while_loop or tn.where(condition, x, y), or mark the argument static with static_argnames"
_NUMBER = "keep it a tensor, or mark the argument static with static_argnames"
_RETURN = "return it from the traced function and look at the result"


class Tensor(TensorValue):
    """A dense tensor; make one with `tn.tensor`, or get one as the result of a function of `tenfold`."""

    __slots__ = ()
    __array_priority__ = 1000  # NumPy's operators leave the work to ours

    @property
    def dtype(self) -> ElementType:
        """The element type."""
        return ELEMENT_TYPES[self.type.dtype]

    @property
    def shape(self) -> Size:
        """The size of each axis."""
        return Size.of_shape(self.type.sizes)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.type.rank

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.type.size

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The axes in reverse order."""
        return shapes.transpose(self)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The last two axes exchanged."""
        return shapes.swapaxes(self, -1, -2)

    @property
    def at(self) -> At:
        """`x.at[index].set(values)` and its kin: a copy with elements changed."""
        return At(self)

    def numpy(self) -> Array:
        """The values, as an array over the same memory."""
        return self.known_array("numpy()", _RETURN)

    def item(self) -> Scalar:
        """The only element, as a Python number."""
        return cast("Scalar", self.known_array("item()", _NUMBER).item())

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.known_array("tolist()", _RETURN).tolist()

    def __bool__(self) -> bool:
        return bool(self.known_array("bool() or `if`", _BRANCH))

    def __int__(self) -> int:
        return int(self.known_array("int()", _NUMBER))

    def __float__(self) -> float:
        return float(self.known_array("float()", _NUMBER))

    def __index__(self) -> int:
        return self.known_array("an integer of Python's", _NUMBER).__index__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.known_array("a NumPy array", _RETURN)
        return np.array(array, dtype) if copy else np.asarray(array, dtype)

    def __dlpack__(self, **arguments: Any) -> Any:
        return capsule_over(self.known_array("__dlpack__", _RETURN), **arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.known_array("__dlpack_device__", _RETURN).__dlpack_device__()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **arguments: Any) -> Any:
        return numpy_dispatch.call_ufunc(ufunc, method, inputs, arguments)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return numpy_dispatch.call_function(function, args, kwargs)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a tensor with no axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a tensor with no axes")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, index: Index) -> Tensor:
        return indexing.getitem(self, index)

    def __setitem__(self, index: Index, values: TensorLike) -> None:
        raise ArgumentError("a tensor cannot be changed in place", where=here(), mend="use x = x.at[index].set(values)")

    def __repr__(self) -> str:
        if self.array is None:
            return f"Tensor({self.type}, traced)"
        return tensor_text(self.array)

    def __format__(self, spec: str) -> str:
        if self.ndim > 0 or (self.array is None and not spec):
            return super().__format__(spec)
        return format(self.item(), spec)

    __hash__ = object.__hash__

    def __add__(self, other: TensorLike) -> Tensor:
        return arithmetic.add(self, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return arithmetic.add(other, self)

    def __sub__(self, other: TensorLike) -> Tensor:
        return arithmetic.subtract(self, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return arithmetic.subtract(other, self)

    def __mul__(self, other: TensorLike) -> Tensor:
        return arithmetic.multiply(self, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return arithmetic.multiply(other, self)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return arithmetic.divide(self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return arithmetic.divide(other, self)

    def __floordiv__(self, other: TensorLike) -> Tensor:
        return arithmetic.floor_divide(self, other)

    def __rfloordiv__(self, other: TensorLike) -> Tensor:
        return arithmetic.floor_divide(other, self)

    def __mod__(self, other: TensorLike) -> Tensor:
        return arithmetic.remainder(self, other)

    def __rmod__(self, other: TensorLike) -> Tensor:
        return arithmetic.remainder(other, self)

    def __divmod__(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        return arithmetic.floor_divide(self, other), arithmetic.remainder(self, other)

    def __pow__(self, other: TensorLike) -> Tensor:
        return arithmetic.pow(self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return arithmetic.pow(other, self)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return linear_algebra.matmul(self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return linear_algebra.matmul(other, self)

    def __and__(self, other: TensorLike) -> Tensor:
        return arithmetic.bitwise_and(self, other)

    def __rand__(self, other: TensorLike) -> Tensor:
        return arithmetic.bitwise_and(other, self)

    def __or__(self, other: TensorLike) -> Tensor:
        return arithmetic.bitwise_or(self, other)

    def __ror__(self, other: TensorLike) -> Tensor:
        return arithmetic.bitwise_or(other, self)

    def __xor__(self, other: TensorLike) -> Tensor:
        return arithmetic.bitwise_xor(self, other)

    def __rxor__(self, other: TensorLike) -> Tensor:
        return arithmetic.bitwise_xor(other, self)

    def __lshift__(self, other: TensorLike) -> Tensor:
        return arithmetic.left_shift(self, other)

    def __rlshift__(self, other: TensorLike) -> Tensor:
        return arithmetic.left_shift(other, self)

    def __rshift__(self, other: TensorLike) -> Tensor:
        return arithmetic.right_shift(self, other)

    def __rrshift__(self, other: TensorLike) -> Tensor:
        return arithmetic.right_shift(other, self)

    def __neg__(self) -> Tensor:
        return arithmetic.negative(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return elementwise.abs(self)

    def __invert__(self) -> Tensor:
        return arithmetic.bitwise_not(self)

    def __round__(self, decimals: int = 0) -> Tensor:
        return elementwise.round(self, decimals)

    def __eq__(self, other: object) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return arithmetic.equal(self, cast("TensorLike", other))

    def __ne__(self, other: object) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return arithmetic.not_equal(self, cast("TensorLike", other))

    def __lt__(self, other: TensorLike) -> Tensor:
        return arithmetic.less(self, other)

    def __le__(self, other: TensorLike) -> Tensor:
        return arithmetic.less_equal(self, other)

    def __gt__(self, other: TensorLike) -> Tensor:
        return arithmetic.greater(self, other)

    def __ge__(self, other: TensorLike) -> Tensor:
        return arithmetic.greater_equal(self, other)

    # Methods: the functions of the same names, with this tensor as the first argument.

    to = astype = elementwise.to
    abs = elementwise.abs
    exp = elementwise.exp
    log = elementwise.log
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    sin = elementwise.sin
    cos = elementwise.cos
    tanh = elementwise.tanh
    sigmoid = elementwise.sigmoid
    erf = elementwise.erf
    sign = elementwise.sign
    floor = elementwise.floor
    ceil = elementwise.ceil
    round = elementwise.round
    isfinite = elementwise.isfinite
    isnan = elementwise.isnan
    isinf = elementwise.isinf

    add = arithmetic.add
    sub = subtract = arithmetic.subtract
    mul = multiply = arithmetic.multiply
    div = divide = arithmetic.divide
    pow = arithmetic.pow
    square = arithmetic.square
    reciprocal = arithmetic.reciprocal
    maximum = arithmetic.maximum
    minimum = arithmetic.minimum
    clamp = arithmetic.clamp
    clip = arithmetic.clip
    logical_not = arithmetic.logical_not
    detach = arithmetic.stop_gradient

    sum = reductions.sum
    prod = reductions.prod
    mean = reductions.mean
    var = reductions.var
    std = reductions.std
    max = reductions.max
    min = reductions.min
    amax = reductions.amax
    amin = reductions.amin
    argmax = reductions.argmax
    argmin = reductions.argmin
    any = reductions.any
    all = reductions.all
    logsumexp = reductions.logsumexp
    cumsum = sorting.cumsum
    cumprod = sorting.cumprod
    sort = sorting.sort
    argsort = sorting.argsort
    topk = sorting.topk

    reshape = view = shapes.reshape
    flatten = shapes.flatten
    ravel = shapes.ravel
    permute = shapes.permute
    transpose = shapes.transpose
    swapaxes = shapes.swapaxes
    squeeze = shapes.squeeze
    unsqueeze = shapes.unsqueeze
    expand = shapes.expand
    broadcast_to = shapes.broadcast_to
    split = shapes.split
    chunk = shapes.chunk
    flip = shapes.flip
    roll = shapes.roll
    diagonal = shapes.diagonal
    take = indexing.take
    gather = indexing.gather

    matmul = linear_algebra.matmul
    dot = linear_algebra.dot
    softmax = neural.softmax
    log_softmax = neural.log_softmax
    relu = neural.relu


def tensor(data: object, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor of `data`: an array (shared, not copied), a number, nested lists of numbers, or a tensor.

    Python floats become f32, ints i64, bools bool; an array keeps its element type.  `dtype` converts.
    """
    value = data if isinstance(data, Tensor) else Tensor.of_array(array_from(data))
    return value if dtype is None or value.dtype.element is element_type(dtype) else value.to(dtype)


def asarray(data: object, dtype: DTypeLike | None = None) -> Tensor:
    """`tensor` by NumPy's name."""
    return tensor(data, dtype)


def from_dlpack(data: object) -> Tensor:
    """A tensor over the memory of another library's tensor; `ArgumentError` where it cannot be shared."""
    return Tensor.of_array(shared_array(data))
