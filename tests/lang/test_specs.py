"""Specs and element types as users write them."""

from __future__ import annotations

import copy
import pickle
from typing import Annotated

import numpy as np
import pytest

import tenfold as tn
from tenfold.specs import annotated_specs, element_type
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, SpecError, UnsupportedError

Network = {"w": tn.f32[3, 4], "b": tn.f32[4]}


def test_a_spec_reads_as_it_is_written() -> None:
    assert [str(spec) for spec in (tn.f32[32, 784], tn.i64[()], tn.f32["n", 3])] == [
        "f32[32, 784]",
        "i64[]",
        "f32[n, 3]",
    ]


def test_equal_specs_are_one_key() -> None:
    assert {tn.f32[2, 3], tn.float32[2, 3]} == {tn.f32[2, 3]}


def test_specs_are_equal_to_their_copies() -> None:
    assert copy.deepcopy(Network) == Network
    assert pickle.loads(pickle.dumps(tn.f32)) == tn.f32


@pytest.mark.parametrize("size", [-1, 2.5, True, "not a name"])
def test_a_size_that_is_none_is_refused(size) -> None:
    with pytest.raises(ArgumentError, match="size"):
        tn.f32[size]


@pytest.mark.parametrize("name", ["f32", "float32", np.float32, np.dtype("f4"), tn.f32, ">f4"])
def test_an_element_type_has_many_names(name) -> None:
    assert element_type(name) is dtypes.f32


@pytest.mark.parametrize(("kind", "dtype"), [(bool, tn.bool), (int, tn.int64), (float, tn.float64), (complex, tn.c128)])
def test_types_of_python_are_wide_as_in_torch_and_numpy(kind, dtype) -> None:
    assert element_type(kind) is dtype.element


def test_what_is_no_element_type_is_refused() -> None:
    with pytest.raises(DTypeError, match="'f33' is not an element type"):
        element_type("f33")


def test_element_types_compare_with_those_of_numpy() -> None:
    assert tn.f32 == np.dtype("f4")
    assert np.dtype("f4") == tn.f32
    assert tn.f32 == np.float32
    assert tn.f32 != np.float64
    assert np.zeros(2, tn.f32).dtype == np.float32


def test_string_annotations_are_evaluated() -> None:
    def function(network: Network, x: tn.f32[2, 3], y: Annotated[tn.Tensor, tn.f64[4]], z: int, t) -> tn.f32[2]: ...

    assert annotated_specs(function) == {"network": Network, "x": tn.f32[2, 3], "y": tn.f64[4]}


def test_annotations_that_cannot_be_evaluated_are_no_specs() -> None:
    def function(x: OnlyForTypeCheckers): ...  # noqa: F821

    assert annotated_specs(function) == {}


@tn.compile
def model(network: Network, x: tn.f32[2, 3], scale: tn.f32[()] = 2.0):
    return x @ network["w"] * scale + network["b"]


def test_lower_needs_no_arguments_where_all_have_specs() -> None:
    function = model.lower().module["model"]
    assert function.parameter_names == ("network.b", "network.w", "x", "scale")
    assert [str(type_) for type_ in function.type.parameters] == ["f32[4]", "f32[3, 4]", "f32[2, 3]", "f32[]"]


def test_an_argument_without_spec_is_named() -> None:
    @tn.compile
    def function(x: tn.f32[2], y):
        return x + y

    with pytest.raises(SpecError, match="`y` has no spec"):
        function.lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ({"w": np.ones((3, 4), "f4"), "b": np.ones(4)}, np.ones((2, 3), "f4")),
            "`network.b` is f64.4., but .* f32.4.",
        ),
        (({"w": np.ones((3, 5), "f4"), "b": np.ones(4, "f4")}, np.ones((2, 3), "f4")), "`network.w` is f32.3, 5."),
        (({"w": np.ones((3, 4), "f4")}, np.ones((2, 3), "f4")), "`network` has the structure {'w': .}"),
        (({"w": np.ones((3, 4), "f4"), "b": np.ones(4, "f4")},), "missing a required argument: 'x'"),
        (({"w": np.ones((3, 4), "f4"), "b": "bias"}, np.ones((2, 3), "f4")), "`network.b` is a str"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments, message) -> None:
    with pytest.raises(SpecError, match=message):
        model(*arguments)


def test_open_sizes_are_not_compiled_yet() -> None:
    with pytest.raises(UnsupportedError, match=r"`x` is f32\[n, 3\], and open sizes are not compiled"):
        tn.compile(lambda x: x + 1).lower(tn.f32["n", 3])
