"""Classes and rows: `embedding` and `one_hot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import stop_gradient
from tenfold.functions.axes import reshape_to
from tenfold.functions.creation import counted, filled
from tenfold.functions.reductions import amax
from tenfold.promotion import convert
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


def embedding(
    input: TensorLike,
    weight: TensorLike,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that the indices name; the result has the indices' axes, then the row's.

    The row `padding_idx` gets no gradient.  `sparse` has no effect: gradients are dense.  `UnsupportedError` for
    `max_norm` and `scale_grad_by_freq`.
    """
    for name, given in (("max_norm", max_norm is not None), ("scale_grad_by_freq", scale_grad_by_freq)):
        if given:
            raise UnsupportedError(f"embedding: {name} is not supported", where=here(), mend="scale the rows yourself")
    return _embedding(input, weight, padding_idx)


@tensor_function
def _embedding(input: TensorLike, weight: TensorLike, padding_idx: int | None) -> Tensor:
    indices, table = lift(input), lift(weight)
    if table.rank != 2:
        raise ShapeError(f"embedding: weight is {table.type}, not (rows, features)", where=here())
    if not indices.dtype.is_integer:
        raise DTypeError(f"embedding: {indices.type} is not of integers", where=here())
    # Not the traced constant: indices that are known now are checked.
    rows = wrap(table)[wrap(indices) if isinstance(input, (int, list)) else input]
    if padding_idx is None:
        return rows
    number = padding_idx + table.sizes[0] if padding_idx < 0 else padding_idx
    if not 0 <= number < table.sizes[0]:
        raise ArgumentError(f"embedding: padding_idx {padding_idx} is no row of {table.type}", where=here())
    is_padding = ops.compare(indices, ops.full_like(indices, number), Direction.EQ)
    mask = ops.broadcast_in_dim(is_padding, rows.in_trace().sizes, range(indices.rank))
    return wrap(ops.select(mask, stop_gradient(rows).in_trace(), rows.in_trace()))


def one_hot(input: TensorLike, num_classes: int = -1, dtype: DTypeLike | None = None) -> Tensor:
    """1 where the position along a new last axis is the class, else 0; i64 by default.

    Without `num_classes` there is one more than the largest class, which must be known: not in a traced function.
    A class out of range has no 1.  `DTypeError` where `input` is not of integers.
    """
    return _one_hot(input, int(amax(input)) + 1 if num_classes == -1 else num_classes, dtype)


@tensor_function
def _one_hot(input: TensorLike, num_classes: int, dtype: DTypeLike | None) -> Tensor:
    value = lift(input)
    if not value.dtype.is_integer:
        raise DTypeError(f"one_hot: {value.type} is not of integers", where=here())
    if num_classes < 1:
        raise ArgumentError(f"one_hot: num_classes is {num_classes}, not positive", where=here())
    chosen = dtypes.i64 if dtype is None else element_type(dtype)
    return wrap(convert(is_class(value, value.rank, num_classes), chosen))


def is_class(classes: Var, axis: int, number: int) -> Var:
    """Whether the position along a new axis of size `number` is the class."""
    shape = (*classes.sizes[:axis], number, *classes.sizes[axis:])
    positions = counted(shape, axis, classes.dtype)
    kept = [i for i in range(len(shape)) if i != axis]
    return ops.compare(ops.broadcast_in_dim(classes, shape, kept), positions, Direction.EQ)


def picked(values: Var, classes: Var, axis: int) -> Var:
    """The element along `axis` that each of `classes` names, 0 where none; the axis goes.

    A select and a sum, which fuse with what makes `values`, and of which infinite others do no harm.
    """
    if values.sizes[axis] == 0:
        return filled(classes.sizes, 0, values.dtype)
    chosen = is_class(classes, axis, values.sizes[axis])
    return reshape_to(ops.reduce_sum(ops.select(chosen, values, ops.zeros_like(values)), (axis,)), classes.sizes)
