"""Data sets and samplers: which samples they have, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import tenfold as tn
from tenfold.utils.data import (
    BatchSampler,
    ConcatDataset,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)


class Words(Dataset[str]):
    def __init__(self, words: str) -> None:
        self.words = words.split()

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> str:
        return self.words[index]


class Stream(IterableDataset[int]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))


def test_the_package_has_them_under_pytorchs_name() -> None:
    assert tn.utils.data.Dataset is Dataset


def test_added_data_sets_follow_each_other() -> None:
    both = Words("a b") + Words("") + Words("c d e")
    assert [both[i] for i in range(-len(both), len(both))] == ["a", "b", "c", "d", "e"] * 2
    for index in (5, -6):
        with pytest.raises(IndexError, match="out of range of 5"):
            both[index]
    assert list(both) == ["a", "b", "c", "d", "e"]
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2]


def test_what_cannot_be_concatenated_is_refused() -> None:
    for datasets, message in (([], "at least one"), ([Stream(1)], "ChainDataset")):
        with pytest.raises(tn.ArgumentError, match=message):
            ConcatDataset(datasets)


def test_tensor_data_sets_give_rows() -> None:
    dataset = TensorDataset(tn.tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([5, 6]))
    assert len(dataset) == 2
    x, y = dataset[1]
    assert (x.tolist(), y.item()) == ([3, 4], 6)


def test_tensors_of_other_sizes_are_refused() -> None:
    for shapes in ([(2, 3), (3,)], [()], []):
        with pytest.raises(tn.ShapeError, match="no first size in common"):
            TensorDataset(*(tn.tensor(np.zeros(shape)) for shape in shapes))


def test_subsets_have_the_samples_of_their_numbers() -> None:
    subset = Subset(Words("a b c d"), [3, 1])
    assert (len(subset), subset[0], subset[1]) == (2, "d", "b")


@pytest.mark.parametrize(
    ("lengths", "sizes"), [([6, 4], [6, 4]), ([0.5, 0.3, 0.2], [5, 3, 2]), ([0.55, 0.45], [6, 4]), ([10, 0], [10, 0])]
)
def test_random_split_deals_all_samples(lengths: list[float], sizes: list[int]) -> None:
    parts = random_split(range(10), lengths, generator=tn.Generator().manual_seed(1))
    assert [len(part) for part in parts] == sizes
    dealt = [part[i] for part in parts for i in range(len(part))]
    assert sorted(dealt) == list(range(10))
    assert dealt != list(range(10))


@pytest.mark.parametrize("lengths", [[3, 4], [11, -1], [0.5, 0.6], [1.5, -0.5], [2.5, 7.5]])
def test_lengths_that_are_not_the_whole_are_refused(lengths: list[float]) -> None:
    with pytest.raises(ValueError, match="random_split: the"):
        random_split(range(10), lengths)


def test_samplers_have_all_numbers() -> None:
    data = range(10)
    assert list(SequentialSampler(data)) == list(data)
    for sampler in (
        RandomSampler(data, generator=tn.Generator().manual_seed(0)),
        SubsetRandomSampler(list(data), tn.Generator().manual_seed(0)),
    ):
        first, second = list(sampler), list(sampler)
        assert sorted(first) == sorted(second) == list(data)
        assert first != second
        assert len(sampler) == 10


def test_random_samplers_take_as_many_as_they_are_asked_for() -> None:
    more = list(RandomSampler(range(10), num_samples=20))
    assert Counter(more) == dict.fromkeys(range(10), 2)
    fewer = RandomSampler(range(10), num_samples=4)
    assert (len(set(fewer)), len(fewer)) == (4, 4)
    drawn = list(RandomSampler(range(3), replacement=True, num_samples=100, generator=tn.Generator().manual_seed(0)))
    assert set(drawn) == {0, 1, 2}
    assert len(drawn) == 100


def test_weights_are_chances() -> None:
    drawn = Counter(WeightedRandomSampler([1, 0, 3], 4000, generator=tn.Generator().manual_seed(0)))
    assert set(drawn) == {0, 2}
    assert 900 < drawn[0] < 1100
    assert sorted(WeightedRandomSampler([1, 0, 3], 2, replacement=False)) == [0, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler(range(3), num_samples=0),
        lambda: WeightedRandomSampler([1], 0),
        lambda: WeightedRandomSampler([0, 0], 1),
        lambda: WeightedRandomSampler([1, -1], 1),
        lambda: WeightedRandomSampler([1, 0], 2, replacement=False),
        lambda: BatchSampler([0], True, False),
    ],
)
def test_samplers_that_cannot_draw_are_refused(make: Callable[[], Sampler[object]]) -> None:
    with pytest.raises(tn.ArgumentError):
        make()


def test_empty_data_sets_have_no_samples() -> None:
    for sampler in (
        SequentialSampler([]),
        RandomSampler([]),
        SubsetRandomSampler([]),
        RandomSampler([], num_samples=3),
    ):
        assert list(sampler) == []
