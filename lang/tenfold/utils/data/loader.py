"""`DataLoader`: an iterable of batches over a data set."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from tenfold import tree as pytree
from tenfold.random.generator import Generator
from tenfold.tracing import TensorValue, here
from tenfold.utils.data import draws
from tenfold.utils.data.collation import default_collate, default_convert
from tenfold.utils.data.datasets import IterableDataset, MapDataset, length, rows_at_once
from tenfold.utils.data.samplers import BatchSampler, RandomSampler, SequentialSampler
from tenfold.utils.data.workers import END, Worker, WorkerInfo, delivered
from tenfold_rt.errors import ArgumentError

if TYPE_CHECKING:
    from concurrent.futures import Future

T_co = TypeVar("T_co", covariant=True)
_PREFETCH = 2


class DataLoader(Generic[T_co]):
    """Batches of a data set's samples; each iteration is an epoch of its own.

    `batch_size` samples are collated by `collate_fn` (`default_collate`), the last ones too unless `drop_last`; with
    `batch_size=None` each sample is a batch.  `shuffle` reads in another random order in each epoch, drawn from
    `generator`; `sampler` gives the order and `batch_sampler` the batches instead.  With `num_workers` threads, each
    fetches `prefetch_factor` batches ahead, after calling `worker_init_fn` with its number; the batches come in the
    same order.  What a worker raises is raised in the loop; `WorkerTimeoutError` after `timeout` seconds without a
    batch, where it is not 0.

    `pin_memory`, `persistent_workers`, `multiprocessing_context`, `pin_memory_device` and `in_order` are PyTorch's and
    change nothing: workers are threads, which start at once, and batches are in the memory that computes with them.
    `ArgumentError` for options that exclude each other.
    """

    def __init__(
        self,
        dataset: MapDataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Sequence[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], object] | None = None,
        multiprocessing_context: object = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _require(num_workers >= 0, f"num_workers is {num_workers}, not at least 0")
        _require(timeout >= 0, f"timeout is {timeout}, not at least 0")
        _require(prefetch_factor is None or num_workers > 0, "prefetch_factor is of use with num_workers alone")
        _require(prefetch_factor is None or prefetch_factor > 0, "prefetch_factor is not at least 1")
        _require(not persistent_workers or num_workers > 0, "persistent_workers is of use with num_workers alone")
        _require(sampler is None or not shuffle, "sampler and shuffle exclude each other")
        if isinstance(dataset, IterableDataset):
            own = not shuffle and sampler is None and batch_sampler is None
            _require(own, "an iterable data set has its own order, without shuffle, sampler and batch_sampler")
        elif sampler is None:
            sized = cast("Sized", dataset)
            sampler = RandomSampler(sized, generator=generator) if shuffle else SequentialSampler(sized)
        if batch_sampler is not None:
            alone = batch_size == 1 and not shuffle and isinstance(sampler, SequentialSampler) and not drop_last
            _require(alone, "batch_sampler excludes batch_size, shuffle, sampler and drop_last")
            batch_size, drop_last = None, False
        elif batch_size is not None:
            batch_sampler = BatchSampler(() if sampler is None else sampler, batch_size, drop_last)
        else:
            _require(not drop_last, "drop_last is of use with a batch_size alone")
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.prefetch_factor = _PREFETCH if prefetch_factor is None and num_workers else prefetch_factor
        self.pin_memory, self.persistent_workers = pin_memory, persistent_workers
        default = default_convert if batch_sampler is None else default_collate
        self.collate_fn: Callable[[Any], Any] = default if collate_fn is None else collate_fn

    def __len__(self) -> int:
        """How many batches an epoch has; `TypeError` where the data set or the sampler does not say."""
        if not isinstance(self.dataset, IterableDataset):
            return length(self.sampler if self.batch_sampler is None else self.batch_sampler)
        samples = length(cast("object", self.dataset))
        if self.batch_size is None:
            return samples
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers:
            return self._with_workers()
        if isinstance(self.dataset, IterableDataset):
            return self._one_after_another()
        return map(self._fetch, self._numbers())

    def _one_after_another(self) -> Iterator[Any]:
        fetch = self._batches()
        while (batch := fetch()) is not END:
            yield batch

    def _with_workers(self) -> Iterator[Any]:
        seed = draws.seed(self.generator)
        infos = [WorkerInfo(i, self.num_workers, seed + i, self.dataset) for i in range(self.num_workers)]
        numbers = iter(()) if isinstance(self.dataset, IterableDataset) else self._numbers()
        fetches = {info.id: self._batches() for info in infos}
        workers: list[Worker] = []

        def start(worker: Worker) -> Future[Any] | None:
            if isinstance(self.dataset, IterableDataset):
                return worker.submit(_computed, fetches[worker.info.id])
            batch = next(numbers, END)
            return None if batch is END else worker.submit(_computed, self._fetch, batch)

        workers += [Worker(info, self.worker_init_fn) for info in infos]
        yield from delivered(workers, start, self.prefetch_factor or _PREFETCH, self.timeout)

    def _numbers(self) -> Iterator[Any]:
        """The numbers of the samples of each batch, or of each sample where there are no batches."""
        return iter(cast("Iterable[Any]", self.sampler if self.batch_sampler is None else self.batch_sampler))

    def _fetch(self, numbers: Any) -> Any:
        """The batch of the samples with these numbers."""
        dataset = cast("Any", self.dataset)
        if self.batch_sampler is None:
            return self.collate_fn(dataset[numbers])
        if self.collate_fn is default_collate:
            rows = rows_at_once(dataset, numbers)
            if rows is not None:
                return rows
        if hasattr(dataset, "__getitems__"):
            return self.collate_fn(dataset.__getitems__(numbers))
        return self.collate_fn([dataset[number] for number in numbers])

    def _batches(self) -> Callable[[], Any]:
        """What gives the next batch of an iterable data set at each call, and at last `END`."""
        samples: Iterator[Any] | None = None

        def fetch() -> Any:
            nonlocal samples
            if samples is None:
                samples = iter(cast("Iterable[Any]", self.dataset))
            if self.batch_size is None:
                sample = next(samples, END)
                return END if sample is END else self.collate_fn(sample)
            batch = list(itertools.islice(samples, self.batch_size))
            whole = len(batch) == self.batch_size or not self.drop_last
            return self.collate_fn(batch) if batch and whole else END

        return fetch


def _computed(fetch: Callable[..., Any], *arguments: Any) -> Any:
    """What `fetch` gives, its tensors computed here and not where they are used."""
    batch = fetch(*arguments)
    for leaf in pytree.flatten(batch)[0]:
        if isinstance(leaf, TensorValue):
            _ = leaf.array
    return batch


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise ArgumentError(f"DataLoader: {what}", where=here())
