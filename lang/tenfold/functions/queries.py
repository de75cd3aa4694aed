"""Questions about whole tensors, answered in Python: types, sizes, and whether two are equal or close.

`equal`, `allclose` and `is_nonzero` look at values; inside a trace the first two give a bool scalar instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions import arithmetic, reductions
from tenfold.functions.axes import broadcast_shape
from tenfold.promotion import family, type_of
from tenfold.promotion import promote_types as promoted_type
from tenfold.promotion import result_type as computed_type
from tenfold.size import Size
from tenfold.specs import ELEMENT_TYPES, DTypeLike, ElementType, element_type
from tenfold.tracing import TensorLike, TensorValue, here, is_tracing
from tenfold_rt.errors import ShapeError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "allclose",
    "broadcast_shapes",
    "can_cast",
    "equal",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_tensor",
    "numel",
    "promote_types",
    "result_type",
]


def numel(input: TensorLike) -> int:
    """The number of elements."""
    return type_of(input).size


def broadcast_shapes(*shapes: Sequence[int]) -> Size:
    """The shape that tensors of these shapes broadcast to; `ShapeError` where they do not."""
    return Size.of_shape(broadcast_shape("broadcast_shapes", *shapes))


def is_tensor(obj: object) -> bool:
    """Whether `obj` is a `tn.Tensor`."""
    return isinstance(obj, TensorValue)


def is_floating_point(input: TensorLike) -> bool:
    """Whether the elements are floats."""
    return type_of(input).dtype.is_float


def is_complex(input: TensorLike) -> bool:
    """Whether the elements are complex numbers."""
    return type_of(input).dtype.is_complex


def is_signed(input: TensorLike) -> bool:
    """Whether the elements may be negative."""
    dtype = type_of(input).dtype
    return not (dtype.is_unsigned or dtype.is_bool)


def is_same_size(input: TensorLike, other: TensorLike) -> bool:
    """Whether two tensors have one shape."""
    return type_of(input).sizes == type_of(other).sizes


def result_type(tensor1: TensorLike, tensor2: TensorLike) -> ElementType:
    """The element type of a computation on both; numbers and scalars yield to tensors with axes."""
    return ELEMENT_TYPES[computed_type(tensor1, tensor2)]


def promote_types(type1: DTypeLike, type2: DTypeLike) -> ElementType:
    """The element type that tensors of both are computed in."""
    return ELEMENT_TYPES[promoted_type(element_type(type1), element_type(type2))]


def can_cast(from_: DTypeLike, to: DTypeLike) -> bool:
    """Whether in-place arithmetic may turn the one element type into the other: not from floats to integers."""
    given, wanted = element_type(from_), element_type(to)
    if family(given) == family(wanted) == 1:
        return not (wanted.is_unsigned and given.is_signed)
    return family(given) <= family(wanted)


@tensor_function
def _all_equal(input: TensorLike, other: TensorLike) -> Tensor:
    return reductions.all(arithmetic.eq(input, other))


@tensor_function
def _all_close(input: TensorLike, other: TensorLike, rtol: float, atol: float, equal_nan: bool) -> Tensor:
    return reductions.all(arithmetic.isclose(input, other, rtol, atol, equal_nan))


def equal(input: TensorLike, other: TensorLike) -> bool | Tensor:
    """Whether two tensors have one shape and equal elements.  `eq` compares element by element."""
    if not is_same_size(input, other):
        return False
    answer = _all_equal(input, other)
    return answer if is_tracing() else bool(answer)


def allclose(
    input: TensorLike, other: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool | Tensor:
    """Whether all elements are as near as `isclose` asks; the shapes broadcast."""
    answer = _all_close(input, other, rtol, atol, equal_nan)
    return answer if is_tracing() else bool(answer)


def is_nonzero(input: TensorLike) -> bool:
    """Whether the only element is not 0; `ShapeError` where there are more or none."""
    if type_of(input).size != 1:
        raise ShapeError(f"is_nonzero: {type_of(input)} has not one element", where=here())
    return bool(input)
