"""Element types as PyTorch names them, and the limits of their numbers."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tenfold as tn
from tenfold.specs import ELEMENT_TYPES
from tenfold_rt.errors import DTypeError

NAMES = (
    *("float", "double", "half", "bfloat16", "float16", "float32", "float64", "cfloat", "cdouble", "complex64"),
    *("complex128", "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("short", "int", "long"),
)


def test_names_and_aliases() -> None:
    assert (tn.float, tn.double, tn.half) == (tn.f32, tn.f64, tn.f16)
    assert (tn.short, tn.int, tn.long, tn.cfloat, tn.cdouble) == (tn.i16, tn.i32, tn.i64, tn.c64, tn.c128)
    assert (repr(tn.f32), str(tn.bool), f"{tn.i64}") == ("torch.float32", "torch.bool", "torch.int64")


def test_a_copied_element_type_is_the_same_object() -> None:
    for element_type in ELEMENT_TYPES.values():
        assert copy.deepcopy(element_type) is pickle.loads(pickle.dumps(element_type)) is element_type


@pytest.mark.parametrize("name", NAMES)
def test_an_element_type_is_that_of_torch(name) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(tn, name), getattr(torch, name)
    for fact in ("is_floating_point", "is_complex", "is_signed", "itemsize"):
        assert getattr(ours, fact) == getattr(theirs, fact), fact
    assert repr(ours) == repr(theirs)


FLOAT_FACTS = ("bits", "eps", "max", "min", "smallest_normal", "tiny", "resolution", "dtype")


@pytest.mark.parametrize("name", NAMES)
def test_limits_are_those_of_torch(name) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(tn, name), getattr(torch, name)
    for limits, facts in (("finfo", FLOAT_FACTS), ("iinfo", ("bits", "max", "min", "dtype"))):
        try:
            expected = getattr(torch, limits)(theirs)
        except TypeError:
            with pytest.raises(TypeError, match=limits):
                getattr(tn, limits)(ours)
            continue
        found = getattr(tn, limits)(ours)
        assert repr(found) == repr(expected)
        assert [getattr(found, fact) for fact in facts] == [getattr(expected, fact) for fact in facts]


def test_limits_without_torch() -> None:
    assert (tn.finfo() == tn.finfo(tn.c64), tn.finfo(tn.f32) == tn.finfo(tn.f64)) == (True, False)
    assert tn.finfo(tn.bf16).eps == 2.0**-7
    assert repr(tn.iinfo(tn.u8)) == "iinfo(min=0, max=255, dtype=uint8)"
    for element_type in ELEMENT_TYPES.values():
        if element_type.element.is_integer:
            assert tn.iinfo(element_type).max == np.iinfo(element_type.dtype).max
    with pytest.raises(DTypeError, match="bool is not an integer type"):
        tn.iinfo(tn.bool)
