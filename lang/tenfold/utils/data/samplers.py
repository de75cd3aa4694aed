"""Samplers: the numbers of samples in the order in which an epoch reads them, and in batches."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

from tenfold.random.generator import Generator
from tenfold.tracing import here
from tenfold.utils.data import draws
from tenfold_rt.errors import ArgumentError

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """What gives the numbers of samples: a subclass defines `__iter__`, and `__len__` where it knows how many."""

    def __init__(self, data_source: Sized | None = None) -> None:
        """Samplers of one's own need not call this."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} defines no __iter__")


class SequentialSampler(Sampler[int]):
    """All samples in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All samples in a random order, another one in each epoch; or `num_samples` of them.

    With `replacement` each is drawn from all; without, a number beyond the size begins another order.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if num_samples is not None and num_samples <= 0:
            raise ArgumentError(f"RandomSampler: num_samples is {num_samples}, not at least 1", where=here())
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """How many samples an epoch has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size = len(self.data_source)
        if self.replacement:
            yield from draws.integers(self.num_samples, size, self.generator)
            return
        left = self.num_samples if size else 0
        while left > 0:
            yield from draws.permutation(size, self.generator)[:left]
            left -= size

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Certain samples in a random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for place in draws.permutation(len(self.indices), self.generator):
            yield self.indices[place]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` samples, each drawn with a chance in proportion to its weight.

    Without `replacement` the draw is that of P. Efraimidis and P. Spirakis, "Weighted random sampling with a
    reservoir" (2006): those with the largest u^(1/weight), where u is uniform.
    """

    def __init__(
        self,
        weights: Iterable[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights = [float(weight) for weight in weights]
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator
        if num_samples <= 0:
            raise ArgumentError(f"WeightedRandomSampler: num_samples is {num_samples}, not at least 1", where=here())
        positive = sum(weight > 0 for weight in self.weights)
        if not all(0 <= weight < float("inf") for weight in self.weights) or not positive:
            raise ArgumentError("WeightedRandomSampler: weights are finite, none negative, some positive", where=here())
        if not replacement and num_samples > positive:
            raise ArgumentError(
                f"WeightedRandomSampler: {num_samples} samples of {positive} with positive weights",
                where=here(),
                mend="draw with replacement",
            )

    def __iter__(self) -> Iterator[int]:
        return iter(self._with_replacement() if self.replacement else self._without_replacement())

    def _with_replacement(self) -> list[int]:
        sums = list(itertools.accumulate(self.weights))
        last = max(number for number, weight in enumerate(self.weights) if weight > 0)
        uniform = draws.uniform(self.num_samples, self.generator)
        return [min(bisect.bisect_right(sums, u * sums[-1]), last) for u in uniform]

    def _without_replacement(self) -> list[int]:
        uniform = draws.uniform(len(self.weights), self.generator)
        chances = [u ** (1 / weight) if weight > 0 else -1.0 for u, weight in zip(uniform, self.weights, strict=True)]
        return sorted(range(len(chances)), key=chances.__getitem__, reverse=True)[: self.num_samples]

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Batches of what a sampler gives; the last one may be smaller, unless `drop_last`."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(f"batch_size is {batch_size!r}, not an int of at least 1", where=here())
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        while batch := list(itertools.islice(numbers, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        sampler: Any = self.sampler
        return len(sampler) // self.batch_size if self.drop_last else -(-len(sampler) // self.batch_size)
