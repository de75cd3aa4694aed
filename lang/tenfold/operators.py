"""Python's operators on tensors: the functions of `tenfold.functions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from tenfold.functions import arithmetic, elementwise, linear_algebra
from tenfold.tracing import TensorLike, TensorValue, is_scalar

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


class Operators(TensorValue):
    """What `x + y` and its kin mean for a tensor."""

    __slots__ = ()

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
        return cast("Tensor", self)

    def __abs__(self) -> Tensor:
        return elementwise.abs(self)

    def __invert__(self) -> Tensor:
        return arithmetic.bitwise_not(self)

    def __round__(self, decimals: int = 0) -> Tensor:
        return elementwise.round(self, decimals)

    def __eq__(self, other: object) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return arithmetic.equal(self, cast("TensorLike", other)) if _may_be_tensor(other) else NotImplemented

    def __ne__(self, other: object) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return arithmetic.not_equal(self, cast("TensorLike", other)) if _may_be_tensor(other) else NotImplemented

    def __lt__(self, other: TensorLike) -> Tensor:
        return arithmetic.less(self, other)

    def __le__(self, other: TensorLike) -> Tensor:
        return arithmetic.less_equal(self, other)

    def __gt__(self, other: TensorLike) -> Tensor:
        return arithmetic.greater(self, other)

    def __ge__(self, other: TensorLike) -> Tensor:
        return arithmetic.greater_equal(self, other)


def _may_be_tensor(other: object) -> bool:
    """Whether `other` can be compared with a tensor element by element; nothing else is equal to one."""
    if isinstance(other, (TensorValue, np.ndarray, np.generic, list, tuple, complex)) or is_scalar(other):
        return True
    return hasattr(other, "__dlpack__") or hasattr(other, "__array__")
