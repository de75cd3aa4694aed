"""Data sets: samples by their number (`Dataset`), or one after another (`IterableDataset`)."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, cast

import numpy as np

from tenfold.construction import tensor
from tenfold.functions.taking import index_select
from tenfold.random.generator import Generator
from tenfold.tensor import Tensor
from tenfold.tracing import TensorLike, here
from tenfold.utils.data import draws
from tenfold_rt.errors import ArgumentError, RangeError, ShapeError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
MapDataset: TypeAlias = "Dataset[T_co] | Sequence[T_co]"
"""What gives samples by number and knows how many there are."""


class Dataset(Generic[T_co]):
    """Samples by number: a subclass defines `__getitem__`, and `__len__` where it knows how many there are."""

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} defines no __getitem__")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Samples one after another: a subclass defines `__iter__`.

    Each worker of a `DataLoader` iterates over the whole; `get_worker_info` tells it which part to leave to others.
    """

    def __add__(self, other: Dataset[T_co]) -> ChainDataset[T_co]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ChainDataset([self, cast("IterableDataset[T_co]", other)])


class ChainDataset(IterableDataset[T_co]):
    """The samples of several iterable data sets, one set after another."""

    def __init__(self, datasets: Iterable[IterableDataset[T_co]]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[T_co]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(length(dataset) for dataset in self.datasets)


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors whose first axes have one size: sample `i` is the tuple of their rows `i`.  `ShapeError` where not."""

    def __init__(self, *tensors: TensorLike) -> None:
        self.tensors = tuple(map(tensor, tensors))
        rows = {made.shape[:1] for made in self.tensors}
        if len(rows) != 1 or () in rows:
            shapes = ", ".join(str(list(made.shape)) for made in self.tensors)
            raise ShapeError(f"TensorDataset: the shapes {shapes} have no first size in common", where=here())

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(values[index] for values in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def rows(self, numbers: Sequence[int]) -> list[Tensor]:
        """The batch of these samples, each tensor indexed once.  `RangeError` for a number that is out of range."""
        indices = np.asarray(numbers, np.int64)
        count = len(self)
        if indices.size and (indices.min() < -count or indices.max() >= count):
            raise RangeError(f"TensorDataset: a sample among {list(numbers)} is out of range of {count}", where=here())
        indices[indices < 0] += count
        return [index_select(values, 0, indices) for values in self.tensors]


class ConcatDataset(Dataset[T_co]):
    """The samples of several data sets, numbered on from one to the next."""

    def __init__(self, datasets: Iterable[MapDataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: takes at least one data set", where=here())
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise ArgumentError(
                "ConcatDataset: an iterable data set has no numbers", where=here(), mend="use ChainDataset"
            )
        self.cumulative_sizes = list(itertools.accumulate(map(length, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        count = len(self)
        if not -count <= index < count:
            raise RangeError(f"ConcatDataset: sample {index} is out of range of {count}", where=here())
        number = index % count
        which = bisect.bisect_right(self.cumulative_sizes, number)
        return self.datasets[which][number - (self.cumulative_sizes[which - 1] if which else 0)]


class Subset(Dataset[T_co]):
    """The samples of a data set that have certain numbers, in the order of these."""

    def __init__(self, dataset: MapDataset[T_co], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> T_co:
        return self.dataset[self.indices[index]]

    def __getitems__(self, numbers: Sequence[int]) -> Sequence[T_co]:
        """These samples, asked for together where the data set can give them so."""
        chosen = [self.indices[number] for number in numbers]
        together = getattr(self.dataset, "__getitems__", None)
        return [self.dataset[number] for number in chosen] if together is None else together(chosen)

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: MapDataset[T], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[T]]:
    """Subsets of the given lengths, or fractions that add up to 1, whose samples are drawn without repetition.

    What fractions leave over goes to the subsets one by one.  `ArgumentError` where lengths are not the whole.
    """
    count = length(dataset)
    sizes = _sizes(count, lengths)
    order = iter(draws.permutation(count, generator))
    return [Subset(dataset, list(itertools.islice(order, size))) for size in sizes]


def _sizes(count: int, lengths: Sequence[int | float]) -> list[int]:
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        if not all(0 <= fraction <= 1 for fraction in lengths):
            raise ArgumentError(f"random_split: the fractions {list(lengths)} are not from 0 to 1", where=here())
        sizes = [math.floor(count * fraction) for fraction in lengths]
        for place in range(count - sum(sizes)):
            sizes[place % len(sizes)] += 1
        return sizes
    if sum(lengths) != count or any(size < 0 or size != int(size) for size in lengths):
        raise ArgumentError(
            f"random_split: the lengths {list(lengths)} do not make up the {count} samples",
            where=here(),
            mend="give lengths that add up to them, or fractions that add up to 1",
        )
    return [int(size) for size in lengths]


def length(dataset: object) -> int:
    """How many samples a data set has; `TypeError` where it does not say."""
    return len(cast("Sequence[object]", dataset))


def rows_at_once(dataset: object, numbers: Sequence[int]) -> list[Tensor] | None:
    """The batch of samples that are rows of tensors, also through subsets; None where they are something else."""
    if type(dataset) is Subset:
        subset = cast("Subset[Any]", dataset)
        return rows_at_once(subset.dataset, [subset.indices[number] for number in numbers])
    if isinstance(dataset, TensorDataset) and type(dataset).__getitem__ is TensorDataset.__getitem__:
        return dataset.rows(numbers)
    return None
