"""What stands between tensors and files: their memory as arrays, and arrays of a file as tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from tenfold.functions import shapes
from tenfold.gradients.modes import no_grad
from tenfold.layouts import Layout
from tenfold.memory import array_part
from tenfold.tensor import Tensor
from tenfold.tracing import Array, TensorValue, here
from tenfold.values import Value
from tenfold.views import Alias, View
from tenfold_rt.cuda.memory import DeviceArray
from tenfold_rt.errors import ArgumentError, DTypeError, FileFormatError


def array_of(tensor: TensorValue) -> Array:
    """The values of a tensor, over its own memory where the CPU has that; `TraceError` for a traced one."""
    array, ref = tensor.known_array("saving", "save what the compiled function returns"), tensor.ref
    shared = ref.shared() if isinstance(ref, (View, Alias)) else None
    return array if shared is None or isinstance(shared, DeviceArray) else shared


def tensor_over(array: Array, path: str, name: str) -> Tensor:
    """The tensor `name` of a file, over the memory of `array`; `FileFormatError` where its dtype is not ours."""
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    try:
        tensor = Tensor.of_array(native)
        _ = tensor.dtype
    except DTypeError as error:
        raise FileFormatError(f"load: {path}: {name}: {error}") from None
    return tensor


def view_of(base: Tensor, layout: Layout) -> Tensor:
    """The elements of `base`, which are dense, that a layout names; a change of one is a change of the other.

    It is a view where the elements lie without gaps and are computed with; else both are over memory that others may
    write to.
    """
    order = sorted(range(len(layout.shape)), key=lambda axis: -layout.strides[axis])
    dense = tuple(layout.shape[axis] for axis in order)
    has_no_gaps = Layout(dense, tuple(layout.strides[axis] for axis in order)).is_dense
    if has_no_gaps and base.tensor_type.dtype.compiled:
        with no_grad():
            part = shapes.reshape(base, (-1,))[layout.offset : layout.offset + math.prod(dense)]
            return shapes.permute(shapes.reshape(part, dense), tuple(sorted(order, key=order.__getitem__)))
    value = base.detach().value
    array = value.array
    assert array is not None
    value.foreign = True
    return Tensor.of_value(Value.of_array(array_part(array, layout), foreign=True))


def named_arrays(obj: object, suffix: str) -> dict[str, Array]:
    """The arrays of a flat dict of tensors, C-contiguous; `ArgumentError` where `obj` is anything else."""
    mend = "save a flat dict of tensors, such as a state dict, or give the file the suffix .pt"
    if not isinstance(obj, Mapping):
        raise ArgumentError(f"save: a {suffix} file holds a dict, not a {type(obj).__name__}", where=here(), mend=mend)
    arrays: dict[str, Array] = {}
    for name, value in cast("Mapping[object, object]", obj).items():
        if not isinstance(name, str):
            raise ArgumentError(f"save: a key of a {suffix} file is a string, not {name!r}", where=here(), mend=mend)
        arrays[name] = np.require(_array(value, name, suffix, mend), requirements="C")
    return arrays


def _array(value: object, name: str, suffix: str, mend: str) -> Array:
    if isinstance(value, TensorValue):
        return array_of(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(cast("Any", value))
    raise ArgumentError(
        f"save: {name!r} is a {type(value).__name__}, but a {suffix} file holds tensors alone", where=here(), mend=mend
    )
