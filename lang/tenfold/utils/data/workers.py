"""Worker threads, which fetch batches ahead of the loop that uses them and deliver them in order.

Each worker is a thread of its own with a queue of fetches.  Batch `k` is fetched by worker `k % num_workers`, as in
PyTorch; a batch that is delivered makes room for the worker's next one.
"""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tenfold_rt.errors import WorkerTimeoutError
from tenfold_rt.frozen import frozen

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


@frozen
class WorkerInfo:
    """Which worker of how many runs, with which seed and for which data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Local(threading.local):
    info: WorkerInfo | None = None


_LOCAL = _Local()
END: Any = object()
"""What a fetch gives where there is nothing left."""


def get_worker_info() -> WorkerInfo | None:
    """The worker that calls; None outside the workers of a `DataLoader`."""
    return _LOCAL.info


class Worker:
    """A thread that fetches; its first task is `init`, with its number."""

    def __init__(self, info: WorkerInfo, init: Callable[[int], object] | None) -> None:
        self.info = info
        self._futures = importlib.import_module("concurrent.futures")  # of use to few programs, and slow to import
        self._executor: ThreadPoolExecutor = self._futures.ThreadPoolExecutor(1, f"tenfold-data-{info.id}")
        self._ready = self._executor.submit(self._begin, init)

    def _begin(self, init: Callable[[int], object] | None) -> None:
        _LOCAL.info = self.info
        if init is not None:
            init(self.info.id)

    def submit(self, fetch: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have the thread call `fetch` after what it was given before."""
        return self._executor.submit(fetch, *arguments)

    def result(self, fetched: Future[Any], timeout: float) -> Any:
        """What a fetch gave.  What it raised, or `init` did, is raised with the worker's traceback."""
        for future in (self._ready, fetched):
            if not self._futures.wait([future], timeout or None).done:
                raise WorkerTimeoutError(
                    f"DataLoader: worker {self.info.id} has not delivered a batch in {timeout} seconds",
                    mend="give a longer timeout, or 0 for none",
                )
            error = future.exception()
            if error is not None:
                error.add_note(f"raised in worker {self.info.id} of a DataLoader")
                raise error
        return fetched.result()

    def stop(self, *, waiting: bool) -> None:
        """Drop what is queued and end the thread, after what it is doing."""
        self._executor.shutdown(wait=waiting, cancel_futures=True)


def delivered(
    workers: list[Worker], start: Callable[[Worker], Future[Any] | None], ahead: int, timeout: float
) -> Iterator[Any]:
    """The batches that workers fetch, in order, up to `ahead` of them per worker before they are asked for.

    `start` has a worker begin its next fetch, or gives None.  When the loop is left, for whatever reason, the threads
    end; one that has passed the timeout is not waited for.
    """
    pending: deque[tuple[Worker, Future[Any] | None]] = deque()
    waiting = True
    try:
        pending.extend((worker, start(worker)) for _ in range(ahead) for worker in workers)
        while pending:
            worker, fetched = pending.popleft()
            batch = END if fetched is None else worker.result(fetched, timeout)
            if batch is END:
                continue
            pending.append((worker, start(worker)))
            yield batch
    except WorkerTimeoutError:
        waiting = False
        raise
    finally:
        pending.clear()
        for worker in workers:
            worker.stop(waiting=False)
        for worker in workers if waiting else ():
            worker.stop(waiting=True)
