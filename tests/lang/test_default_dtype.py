"""`tn.set_default_dtype`: what Python's floats, and tensors made without an element type, become."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import DTypeError


@pytest.fixture(autouse=True)
def restored():
    yield
    tn.set_default_dtype(tn.float32)


EXPRESSIONS = {
    "a float": lambda lib: lib.tensor(0.1),
    "floats": lambda lib: lib.tensor([[0.1], [0.2]]),
    "ints": lambda lib: lib.tensor([1, 2]),
    "a bool": lambda lib: lib.tensor(True),
    "zeros": lambda lib: lib.zeros(2),
    "ones": lambda lib: lib.ones((2,)),
    "full": lambda lib: lib.full((2,), 0.5),
    "whole full": lambda lib: lib.full((2,), 3),
    "eye": lambda lib: lib.eye(2),
    "arange": lambda lib: lib.arange(3),
    "arange of floats": lambda lib: lib.arange(0.0, 1.0, 0.25),
    "linspace": lambda lib: lib.linspace(0, 1, 5),
    "an int divided": lambda lib: lib.tensor([1, 2]) / 2,
    "an int and a float": lambda lib: lib.tensor([1, 2]) + 0.5,
    "a function of ints": lambda lib: lib.exp(lib.tensor([0])),
    "f32 and a float": lambda lib: lib.ones(2, dtype=lib.float32) * 0.5,
    "f16 and a float": lambda lib: lib.ones(2, dtype=lib.float16) * 0.5,
}


@pytest.mark.parametrize("default", ["float64", "float16", "bfloat16", "float32"])
def test_defaults_are_those_of_torch(default) -> None:
    torch = pytest.importorskip("torch")
    try:
        for library in (torch, tn):
            library.set_default_dtype(getattr(library, default))
            assert repr(library.get_default_dtype()) == f"torch.{default}"
        for name, expression in EXPRESSIONS.items():
            assert repr(expression(tn)) == repr(expression(torch)), name
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_call_is_compiled_anew_for_another_default() -> None:
    seen = []
    for default in (tn.float32, tn.float64, tn.float32):
        tn.set_default_dtype(default)
        seen.append((tn.zeros(3).dtype, (tn.tensor([1]) / 2).dtype, tn.exp(np.ones(2, np.int64)).dtype))
    assert seen == [(tn.f32,) * 3, (tn.f64,) * 3, (tn.f32,) * 3]


def test_arrays_keep_their_element_types() -> None:
    tn.set_default_dtype(tn.float64)
    assert tn.tensor(np.ones(2, np.float32)).dtype == tn.f32
    assert tn.exp(np.ones(2, np.float32)).dtype == np.float32


@pytest.mark.parametrize("wrong", [tn.int64, tn.complex64, tn.bool, "float64", float])
def test_only_float_types_can_be_the_default(wrong) -> None:
    with pytest.raises(DTypeError, match="not a float type"):
        tn.set_default_dtype(wrong)
    assert tn.get_default_dtype() is tn.float32
