"""`tn.Size`: a tuple of ints that stays a size."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import DTypeError

SIZE = tn.Size([2, 3, 4])

EXPRESSIONS = {
    "torch.Size([2, 3, 4])": lambda size: size,
    "torch.Size([2, 3])": lambda size: size[:2],
    "torch.Size([])": lambda size: size[3:],
    "torch.Size([2, 3, 4, 5])": lambda size: size + (5,),  # noqa: RUF005
    "torch.Size([5, 2, 3, 4])": lambda size: (5,) + size,  # noqa: RUF005
    "torch.Size([2, 3, 4, 2, 3, 4])": lambda size: 2 * size,
    "4": lambda size: size[-1],
    "24": lambda size: size.numel(),
    "True": lambda size: size == (2, 3, 4),
    "(2, 4)": lambda size: (size[0], size[2]),
}


@pytest.mark.parametrize(("text", "expression"), EXPRESSIONS.items(), ids=list(EXPRESSIONS))
def test_what_is_made_of_a_size(text, expression) -> None:
    assert repr(expression(SIZE)) == text


@pytest.mark.parametrize(("text", "expression"), EXPRESSIONS.items(), ids=list(EXPRESSIONS))
def test_a_size_is_shown_as_that_of_torch(text, expression) -> None:
    torch = pytest.importorskip("torch")
    assert repr(expression(torch.Size([2, 3, 4]))) == text


def test_sizes_are_ints() -> None:
    assert tn.Size(np.array([1, 2])) == (1, 2)
    assert type(tn.Size([np.int32(3)])[0]) is int
    with pytest.raises(DTypeError, match="item 1 is a float"):
        tn.Size([1, 2.0])
    with pytest.raises(TypeError, match="list"):
        operator.add(SIZE, [1])


def test_a_copied_size_is_a_size() -> None:
    for copied in (pickle.loads(pickle.dumps(SIZE)), copy.deepcopy(SIZE)):
        assert (type(copied), copied) == (tn.Size, SIZE)


def test_a_shape_is_a_size_and_is_taken_as_one() -> None:
    tensor = tn.zeros(SIZE[:2])
    assert repr(tensor.shape) == "torch.Size([2, 3])"
    assert tn.ones(tensor.shape).reshape(tensor.shape[::-1]).shape == (3, 2)
    assert tn.compile(lambda x: tn.broadcast_to(x, (4, *x.shape)).reshape(x.shape + (4,)))(tensor).shape == (2, 3, 4)  # noqa: RUF005
