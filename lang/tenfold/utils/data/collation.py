"""Collation: samples into a batch, structure by structure, arrays and numbers into tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tenfold.construction import tensor
from tenfold.functions.shapes import stack
from tenfold.tensor import Tensor
from tenfold.tracing import Array, TensorValue, here
from tenfold_rt.errors import DTypeError, ShapeError

_TEXT = "SUO"
"""NumPy's kinds of strings and objects."""


def default_collate(batch: Sequence[Any]) -> Any:
    """The batch of samples that are alike: tensors, arrays and numbers are stacked along a new first axis.

    Dicts, tuples, namedtuples and lists give their own kind of batches, tuples a list; strings and bytes a list of
    them.  `ShapeError` where samples differ in size, `DTypeError` for samples of another kind.
    """
    first = batch[0]
    if isinstance(first, TensorValue):
        return _stacked_tensors(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return _stacked([np.asarray(sample) for sample in batch])
    if isinstance(first, (bool, int)):
        return tensor(np.array(batch))
    if isinstance(first, float):
        return tensor(np.array(batch, np.float64))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _collated_mapping(cast("Sequence[Mapping[Any, Any]]", batch))
    if isinstance(first, Sequence):
        return _collated_sequence(cast("Sequence[Sequence[Any]]", batch))
    raise DTypeError(
        f"default_collate: a batch holds tensors, arrays, numbers, strings, dicts or lists, not {type(first).__name__}",
        where=here(),
        mend="give the DataLoader a collate_fn",
    )


def default_convert(data: Any) -> Any:
    """`data` with arrays made tensors, wherever in dicts, tuples and lists they are; tuples become lists."""
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(cast("Any", data))
        return cast("Any", data) if array.dtype.kind in _TEXT else tensor(array)
    if isinstance(data, Mapping):
        mapping = cast("Mapping[Any, Any]", data)
        return _like_mapping(mapping, {key: default_convert(value) for key, value in mapping.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        items = cast("Sequence[Any]", data)
        converted = [default_convert(item) for item in items]
        return converted if type(items) is tuple else _like_sequence(items, converted)
    return data


def _stacked_tensors(batch: Sequence[Tensor]) -> Tensor:
    """Tensors with values are copied beside each other; traced ones, and those with gradients, are stacked."""
    if any(sample.memory is None or getattr(sample, "requires_grad", False) for sample in batch):
        return stack(list(batch))
    return _stacked([cast("Array", sample.array) for sample in batch])


def _stacked(arrays: Sequence[Array]) -> Tensor:
    if arrays[0].dtype.kind in _TEXT:
        raise DTypeError(f"default_collate: arrays of {arrays[0].dtype} are no tensors", where=here())
    for place, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {list(arrays[0].shape)} at entry 0"
                f" and {list(array.shape)} at entry {place}",
                where=here(),
                mend="give the DataLoader a collate_fn that pads them",
            )
    return tensor(np.stack(arrays))


def _collated_mapping(batch: Sequence[Mapping[Any, Any]]) -> Any:
    return _like_mapping(batch[0], {key: default_collate([sample[key] for sample in batch]) for key in batch[0]})


def _collated_sequence(batch: Sequence[Sequence[Any]]) -> Any:
    first = batch[0]
    if any(len(sample) != len(first) for sample in batch):
        raise ShapeError("each element in list of batch should be of equal size", where=here())
    parts = [default_collate(part) for part in zip(*batch, strict=True)]
    return parts if type(first) is tuple else _like_sequence(first, parts)


def _like_mapping(original: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """`items` as the kind of mapping that `original` is, where that can be made of a dict."""
    try:
        return cast("Callable[[Any], Any]", type(original))(items)
    except TypeError:
        return items


def _like_sequence(original: Sequence[Any], items: list[Any]) -> Any:
    """`items` as the kind of sequence that `original` is, where that can be made of a list."""
    kind = cast("Callable[..., Any]", type(original))
    if hasattr(original, "_fields"):
        return kind(*items)
    try:
        return kind(items)
    except TypeError:
        return items
