"""Memory that tensors share with NumPy and with PyTorch: what is written on one side is seen on the other."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn


def test_a_tensor_over_an_array_sees_its_changes_and_makes_them() -> None:
    array = np.zeros(4, np.float32)
    tensor = tn.from_numpy(array)
    tensor.add_(1)
    assert array.tolist() == [1, 1, 1, 1]
    later = tensor * 2
    array[0] = 9
    assert tensor[0].item() == 9
    assert later[0].item() == 2  # recorded before the change
    tensor[1:3].mul_(3)
    assert array.tolist() == [9, 3, 3, 1]


def test_repeated_and_transposed_views_follow_the_array() -> None:
    array = np.arange(4, dtype=np.float32)
    tensor = tn.from_numpy(array)
    repeated, turned = tensor.expand(2, 4), tensor.reshape(2, 2).T
    before = repeated.sum()
    array[1] = 100
    assert (before.item(), repeated.sum().item()) == (12, 210)
    turned[0, 1] = 50
    assert array[2] == 50


def test_arrays_over_a_tensor_and_its_views_share_its_memory() -> None:
    tensor = tn.zeros(2, 3)
    whole, row, turned = tensor.numpy(), tensor[1].numpy(), tensor.T.numpy()
    whole[0, 0], row[:], turned[1, 0] = 5, 2, 7
    assert tensor.tolist() == [[5, 7, 0], [2, 2, 2]]
    later = tensor + 1
    tensor.mul_(0)
    assert whole.sum() == 0
    assert later.tolist() == [[6, 8, 1], [3, 3, 3]]


def test_views_are_right_after_an_array_that_was_written_to_is_gone() -> None:
    tensor = tn.zeros(2, 2)
    repeated = tensor.expand(2, 2, 2)
    assert repeated.sum().item() == 0
    array = tensor.numpy()
    array[0, 0] = 3
    del array
    assert repeated.sum().item() == 6


def test_layouts_of_arrays_are_kept() -> None:
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    tensor = tn.from_numpy(array)
    assert (tensor.stride(), tensor.is_contiguous(), tensor.T.is_contiguous()) == ((1, 2), False, True)
    tensor[0].mul_(10)
    assert array[0].tolist() == [0, 10, 20]
    tensor[1].numpy()[0] = -5
    assert array[1, 0] == -5
    every_other = np.arange(10, dtype=np.float32)
    sparse = tn.from_numpy(every_other[::2])
    sparse[1:3].zero_()
    assert (sparse.stride(), every_other[2:6].tolist()) == ((2,), [0, 3, 0, 5])


def test_memory_that_is_read_only_is_read_and_not_written() -> None:
    tensor = tn.from_numpy(np.frombuffer(b"\0" * 16, np.float32))
    assert (tensor + 1).sum().item() == 4
    with pytest.raises(ValueError, match="read-only; clone"):
        tensor.add_(1)
    assert tensor._version == 0


@pytest.mark.parametrize(
    "array",
    [
        np.arange(3.0)[::-1],
        np.zeros(3, [("a", np.float32), ("b", np.int16)])["a"],
        np.arange(3).astype(np.dtype(np.float32).newbyteorder()),
    ],
)
def test_arrays_whose_memory_no_tensor_can_have_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="from_numpy: an array"):
        tn.from_numpy(array)


def test_empty_arrays_and_numbers() -> None:
    empty = tn.from_numpy(np.zeros((0, 3), np.float32))
    empty.add_(1)
    assert empty[:, 1].numpy().shape == (0,)
    number = np.array(3.0)
    tensor = tn.from_numpy(number)
    tensor.add_(1)
    assert number == 4
    number[()] = 9
    assert tensor.item() == 9


def test_a_gradient_has_memory_of_its_own() -> None:
    weights = np.ones(3, np.float32)
    for given in (tn.from_numpy(weights), tn.ones(3)):
        leaf = tn.zeros(3, requires_grad=True)
        leaf.backward(given)
        leaf.grad.add_(1)
        leaf.grad.numpy()[0] = 44
        assert given.tolist() == [1, 1, 1]


def test_what_is_saved_of_a_tensor_is_its_value_before_the_change() -> None:
    leaf = tn.ones(3, requires_grad=True)
    twice = leaf * 2
    array = twice.detach().numpy()
    twice.mul_(twice).sum().backward()
    assert array.tolist() == [4, 4, 4]
    assert leaf.grad.tolist() == [8, 8, 8]


def test_pytorch_shares_memory_both_ways() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.zeros(3)
    ours = tn.from_dlpack(theirs)
    ours.add_(1)
    theirs[0] = 9
    assert (theirs.tolist(), ours.tolist()) == ([9, 1, 1], [9, 1, 1])
    own = tn.zeros(3)
    part = torch.from_dlpack(own[1:])
    part[0] = 4
    own.add_(1)
    assert (part.tolist(), own.tolist()) == ([5, 1], [1, 5, 1])
