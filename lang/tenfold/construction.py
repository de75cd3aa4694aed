"""Tensors made of what is not one: numbers, nested lists, arrays, tensors of other libraries."""

from __future__ import annotations

from typing import cast

import numpy as np

from tenfold.device import Device, asked_device, default_device
from tenfold.functions import elementwise
from tenfold.memory import on_device
from tenfold.sharing import shared
from tenfold.specs import DTypeLike, element_type
from tenfold.tensor import Tensor
from tenfold.tracing import Array, array_from, here
from tenfold.values import Value
from tenfold_rt.errors import ArgumentError, DTypeError


def tensor(
    data: object,
    dtype: DTypeLike | None = None,
    device: str | Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with a copy of `data`: an array, a number, nested lists of numbers, or a tensor.

    Python floats become the default float, ints i64, bools bool; an array keeps its element type.  `dtype` converts;
    `DTypeError` for a number that an integer type does not have.
    """
    asked, chosen = asked_device(device), None if dtype is None else element_type(dtype)
    if isinstance(data, Tensor):
        source = data.detach()
        made = elementwise.clone(source) if asked in (None, source.device) else source.to(asked)
    else:
        array = np.array(array_from(_without_tensors(data), chosen), order="C")
        made = Tensor.of_array(on_device(array, default_device() if asked is None else asked))
    if dtype is not None and made.tensor_type.dtype is not chosen:
        made = elementwise.to(made, dtype)
    return made.requires_grad_() if requires_grad else made


def _without_tensors(data: object) -> object:
    """Nested lists with tensors of one number as these numbers."""
    if isinstance(data, (list, tuple)):
        return [_without_tensors(item) for item in cast("list[object]", data)]
    if isinstance(data, Tensor) and data.memory is not None:
        return data.detach().cpu().numpy() if data.ndim else data.item()
    return data


def as_tensor(data: object, dtype: DTypeLike | None = None, device: str | Device | None = None) -> Tensor:
    """A tensor of `data`, over its memory where it is an array; a tensor is given back as it is."""
    asked = asked_device(device)
    if isinstance(data, Tensor):
        made = data
    elif isinstance(data, np.ndarray):
        made = from_numpy(cast("Array", data))
    elif hasattr(data, "__dlpack__"):
        made = from_dlpack(data)
    else:
        return tensor(data, dtype, asked)
    there = made if asked is None else made.to(asked)
    return there if dtype is None else there.to(dtype)


def asarray(data: object, dtype: DTypeLike | None = None) -> Tensor:
    """`as_tensor` by NumPy's name."""
    return as_tensor(data, dtype)


def from_numpy(array: Array) -> Tensor:
    """A tensor over the memory of an array: what is written to one is seen in the other.

    `DTypeError` for an element type that tensors do not have, `ArgumentError` for negative strides, those that are no
    whole number of elements, and bytes in another order.
    """
    if not isinstance(cast("object", array), np.ndarray):
        raise DTypeError(f"from_numpy: expected an np.ndarray, got a {type(array).__name__}", where=here())
    if any(stride < 0 for stride in array.strides):
        raise ArgumentError("from_numpy: an array with negative strides", where=here(), mend="give array.copy()")
    if any(stride % array.itemsize for stride in array.strides) or not array.dtype.isnative:
        raise ArgumentError(
            "from_numpy: an array whose strides are no whole number of elements, or whose bytes are in another order",
            where=here(),
            mend="give array.copy(), or array.astype(...) for the order of bytes",
        )
    return Tensor.of_value(Value.of_array(array_from(array), foreign=True))


def from_dlpack(data: object) -> Tensor:
    """A tensor over the memory of another library's tensor; `ArgumentError` where it cannot be shared."""
    return Tensor.of_value(shared(data))
