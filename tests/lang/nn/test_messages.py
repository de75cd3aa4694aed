"""Errors and warnings of modules name the line of the caller."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import tenfold as tn
from tenfold import nn

HERE = Path(__file__).name

CASES: dict[str, Callable[[], object]] = {
    "input_size": lambda: nn.LSTM(3, 4)(tn.ones(2, 2, 5)),
    "num_heads": lambda: nn.MultiheadAttention(5, 2),
    "probability": lambda: nn.Dropout(2),
    "larger than any memory": lambda: tn.zeros(2**33, 2**33),
    "does not fit weight": lambda: nn.Linear(4, 2)(tn.ones(3, 5)),
}


@pytest.mark.parametrize("words", CASES)
def test_an_error_names_the_line(words: str) -> None:
    with pytest.raises(tn.TenfoldError, match=words) as caught:
        CASES[words]()
    assert HERE in str(caught.value)


def test_a_warning_names_the_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.functional.mse_loss(tn.ones(5, 1), tn.ones(5))
    assert [Path(each.filename).name for each in caught] == [HERE]


def test_the_axes_of_a_scalar_can_be_exchanged() -> None:
    assert tn.tensor(2.0).transpose(0, -1).item() == 2
    with pytest.raises(IndexError):
        tn.tensor(2.0).transpose(0, 1)
