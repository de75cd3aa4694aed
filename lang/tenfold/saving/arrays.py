"""What stands between tensors and files: their memory as arrays, and arrays of a file as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from tenfold.tensor import Tensor
from tenfold.tracing import Array, TensorValue, here
from tenfold_rt.errors import ArgumentError, DTypeError, FileFormatError


def array_of(tensor: TensorValue) -> Array:
    """The values of a tensor, over its own memory where it has some; `TraceError` for a traced one."""
    return tensor.known_array("saving", "save what the compiled function returns")


def tensor_over(array: Array, path: str, name: str) -> Tensor:
    """The tensor `name` of a file, over the memory of `array`; `FileFormatError` where its dtype is not ours."""
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    try:
        tensor = Tensor.of_array(native)
        _ = tensor.dtype
    except DTypeError as error:
        raise FileFormatError(f"load: {path}: {name}: {error}") from None
    return tensor


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
