"""`DataLoader`: batches in order, with and without worker threads, which end when the loop does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    WorkerInfo,
    get_worker_info,
)

WORKERS = pytest.mark.parametrize("num_workers", [0, 1, 3])


class Squares(Dataset[int]):
    """The squares of numbers; those first asked for take the longest."""

    def __init__(self, count: int = 10, slow: float = 0.0) -> None:
        self.count, self.slow = count, slow

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        time.sleep(self.slow * (self.count - index))
        return index * index


class Failing(Squares):
    def __getitem__(self, index: int) -> int:
        if index == 5:
            raise LookupError("sample 5 is lost")
        return index


class Counting(IterableDataset[int]):
    """Numbers, of which each worker gives its share."""

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        return iter(range(7)) if info is None else iter(range(info.id, 7, info.num_workers))

    def __len__(self) -> int:
        return 7


def lists(batches: Any) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert [thread for thread in threading.enumerate() if thread not in before and "data" in thread.name] == []


@WORKERS
def test_batches_come_in_order(num_workers: int) -> None:
    loader = DataLoader(Squares(slow=0.0005), batch_size=4, num_workers=num_workers)
    wanted = [[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]
    assert lists(loader) == lists(loader) == wanted
    assert len(loader) == 3
    assert lists(DataLoader(Squares(), 4, drop_last=True, num_workers=num_workers)) == wanted[:2]


@WORKERS
def test_two_iterations_at_once_do_not_meet(num_workers: int) -> None:
    loader = DataLoader(Squares(6), batch_size=2, num_workers=num_workers)
    pairs = [(one.tolist(), other.tolist()) for one, other in zip(loader, loader, strict=True)]
    assert pairs == [([0, 1], [0, 1]), ([4, 9], [4, 9]), ([16, 25], [16, 25])]


@WORKERS
def test_an_error_is_raised_where_the_batch_is_due(num_workers: int) -> None:
    batches = iter(DataLoader(Failing(), batch_size=2, num_workers=num_workers))
    assert [next(batches).tolist(), next(batches).tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(LookupError, match="sample 5 is lost") as caught:
        next(batches)
    assert caught.traceback[-1].name == "__getitem__"
    if num_workers:
        assert caught.value.__notes__ == [f"raised in worker {2 % num_workers} of a DataLoader"]


def test_a_loop_that_is_left_leaves_no_thread() -> None:
    for _ in DataLoader(Squares(100, slow=0.0001), num_workers=3):
        break
    assert not [thread for thread in threading.enumerate() if "tenfold-data" in thread.name]


def test_workers_fetch_ahead_and_not_too_far() -> None:
    asked: list[int] = []

    class Noting(Squares):
        def __getitem__(self, index: int) -> int:
            asked.append(index)
            return index

    batches = iter(DataLoader(Noting(100), num_workers=2, prefetch_factor=3))
    assert next(batches).tolist() == [0]
    deadline = time.monotonic() + 5
    while len(asked) < 7 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert sorted(asked) == list(range(7))
    batches.close()  # type: ignore[attr-defined]


def test_each_worker_fetches_its_turn() -> None:
    seen: dict[int, int] = {}
    infos: list[WorkerInfo] = []

    class Noting(Squares):
        def __getitem__(self, index: int) -> int:
            info = get_worker_info()
            assert info is not None
            seen[index] = info.id
            infos.append(info)
            return index

    dataset, begun = Noting(6), list[int]()
    assert len(list(DataLoader(dataset, num_workers=2, worker_init_fn=begun.append))) == 6
    assert seen == {0: 0, 1: 1, 2: 0, 3: 1, 4: 0, 5: 1}
    assert sorted(begun) == [0, 1]
    assert {info.seed - info.id for info in infos} == {infos[0].seed - infos[0].id}
    assert all(info.dataset is dataset and info.num_workers == 2 for info in infos)
    assert get_worker_info() is None


def test_an_error_of_worker_init_fn_is_raised() -> None:
    def fail(number: int) -> None:
        raise OSError(f"worker {number} has no file")

    with pytest.raises(OSError, match="worker 0 has no file"):
        list(DataLoader(Squares(), num_workers=2, worker_init_fn=fail))


def test_a_worker_that_takes_too_long_is_told() -> None:
    release = threading.Event()

    class Stuck(Squares):
        def __getitem__(self, index: int) -> int:
            release.wait(10)
            return index

    with pytest.raises(tn.WorkerTimeoutError, match=r"worker 0 has not delivered a batch in 0.05 seconds") as caught:
        list(DataLoader(Stuck(), num_workers=1, timeout=0.05))
    assert isinstance(caught.value, (TimeoutError, RuntimeError))
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("tenfold-data"):
            thread.join(10)


def test_iterable_data_sets_are_read_to_their_end() -> None:
    assert lists(DataLoader(Counting(), batch_size=3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert lists(DataLoader(Counting(), batch_size=3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert lists(DataLoader(Counting(), batch_size=2, num_workers=3)) == [[0, 3], [1, 4], [2, 5], [6]]
    assert list(DataLoader(Counting(), batch_size=None, num_workers=2)) == list(range(7))
    assert [len(DataLoader(Counting(), batch_size=3, drop_last=drop)) for drop in (False, True)] == [3, 2]


@WORKERS
def test_samples_may_be_batches(num_workers: int) -> None:
    samples = [np.array([1, 2]), (3.5, "x")]
    got = list(DataLoader(samples, batch_size=None, num_workers=num_workers))
    assert got[0].tolist() == [1, 2]
    assert got[1] == [3.5, "x"]


def test_samplers_give_the_order() -> None:
    assert lists(DataLoader(Squares(), 2, sampler=[3, 1, 2])) == [[9, 1], [4]]
    assert lists(DataLoader(Squares(), batch_sampler=[[0], [3, 2]])) == [[0], [9, 4]]
    loader = DataLoader(Squares(), batch_sampler=BatchSampler(SequentialSampler(range(5)), 2, True))
    assert lists(loader) == [[0, 1], [4, 9]]
    assert (len(loader), loader.batch_size) == (2, None)


def test_collate_fn_gets_the_samples() -> None:
    assert list(DataLoader(Squares(5), 2, collate_fn=sum)) == [1, 13, 16]


def test_samples_are_asked_for_together_where_they_can_be() -> None:
    class Together(Squares):
        def __getitems__(self, numbers: list[int]) -> list[int]:
            return [-number for number in numbers]

    assert lists(DataLoader(Together(4), 2)) == [[0, -1], [-2, -3]]
    assert lists(DataLoader(Subset(Together(4), [3, 1]), 2)) == [[-3, -1]]


def test_the_seed_of_all_random_numbers_is_that_of_shuffling() -> None:
    orders: list[list[list[int]]] = []
    for workers in (0, 0, 2):
        tn.manual_seed(4)
        loader = DataLoader(TensorDataset(tn.arange(30)), 30, shuffle=True, num_workers=workers)
        orders.append([rows.tolist() for _ in range(2) for (rows,) in loader])
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
    assert all(sorted(order) == list(range(30)) for order in orders[2])


def test_shuffled_epochs_differ_and_a_seed_gives_them_again() -> None:
    def epochs() -> list[list[list[int]]]:
        loader = DataLoader(Squares(7), 4, shuffle=True, generator=tn.Generator().manual_seed(3))
        return [lists(loader), lists(loader)]

    first, second = epochs()
    assert first != second
    assert first[0] != [0, 1, 4, 9]
    for epoch in (first, second):
        assert sorted(epoch[0] + epoch[1]) == [i * i for i in range(7)]
    assert epochs() == [first, second]


def test_rows_of_tensors_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(10)
    dataset = TensorDataset(tn.tensor(x), tn.tensor(y))
    nested = Subset(Subset(dataset, range(9, -1, -1)), [0, 2, 4, -1])
    with monkeypatch.context() as patch:
        patch.setattr(tn.Tensor, "__getitem__", None)
        batches = [list(DataLoader(data, 2, num_workers=n)) for data in (dataset, nested) for n in (0, 2)]
    for got in batches[:2]:
        np.testing.assert_array_equal(np.concatenate([batch[0].numpy() for batch in got]), x)
        np.testing.assert_array_equal(np.concatenate([batch[1].numpy() for batch in got]), y)
    for got in batches[2:]:
        assert [batch[1].tolist() for batch in got] == [[9, 7], [5, 0]]


def test_what_a_subclass_of_tensor_dataset_gives_is_collated() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return {"twice": 2 * index}

    (batch,) = DataLoader(Doubled(tn.tensor([1, 2])), 2)
    assert batch["twice"].tolist() == [0, 2]


def test_numbers_out_of_range_are_refused() -> None:
    loader = DataLoader(TensorDataset(tn.tensor([1, 2])), 2, sampler=[0, 2])
    with pytest.raises(IndexError, match="out of range of 2"):
        list(loader)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"timeout": -1}, "timeout is -1"),
        ({"prefetch_factor": 2}, "num_workers alone"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor is not"),
        ({"persistent_workers": True}, "num_workers alone"),
        ({"sampler": [0], "shuffle": True}, "exclude each other"),
        ({"batch_sampler": [[0]], "shuffle": True}, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "sampler": [0]}, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler excludes"),
        ({"batch_size": None, "drop_last": True}, "batch_size alone"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        DataLoader(Squares(), **options)
    assert isinstance(caught.value, tn.ArgumentError)


def test_iterable_data_sets_have_their_own_order() -> None:
    for options in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(tn.ArgumentError, match="its own order"):
            DataLoader(Counting(), **options)  # type: ignore[arg-type]


def test_options_of_pytorch_without_effect_are_accepted() -> None:
    loader = DataLoader(Squares(2), 2, num_workers=1, pin_memory=True, persistent_workers=True, in_order=True)
    assert lists(loader) == [[0, 1]]
