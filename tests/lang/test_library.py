"""`tn.export` and `tn.load`: what was written is called from Python as the function was."""

from __future__ import annotations

from pathlib import Path
from types import BuiltinFunctionType

import numpy as np
import pytest

import tenfold as tn

Network = {"w": tn.f32[2], "b": tn.f32[()]}


@tn.compile
def scale(x: tn.f32[4], factor: tn.f32[()]):
    """The elements of x, each times factor."""
    return x * factor


@tn.compile(donate=("network",))
def update(network: Network, x: tn.f32[2]):
    return {"w": network["w"] - x, "b": network["b"] + 1}


X = np.arange(4, dtype=np.float32)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tn.LoadedLibrary:
    return tn.load(tn.export([scale, update], tmp_path_factory.mktemp("library") / "libboth.so"))


def test_a_function_of_a_library_is_its_compiled_code(library: tn.LoadedLibrary) -> None:
    assert isinstance(library.scale, BuiltinFunctionType)
    assert library.scale.__doc__ == scale.__doc__
    np.testing.assert_array_equal(library.scale(X, np.float32(2)), 2 * X)


@pytest.mark.parametrize(
    "x",
    [np.repeat(X, 2)[::2], X.astype(">f4"), [0.0, 1.0, 2.0, 3.0], tn.tensor(X)],
    ids=["strided", "big-endian", "list", "tensor"],
)
def test_a_function_takes_what_a_compiled_call_takes(library: tn.LoadedLibrary, x: object) -> None:
    if isinstance(x, list):
        with pytest.raises(
            tn.SpecError, match=r"the arguments are x\[0\], x\[1\], x\[2\], x\[3\], factor, but it takes"
        ):
            library.scale(x, 2)
        return
    result = library.scale(x, 2)
    assert type(result) is (tn.Tensor if isinstance(x, tn.Tensor) else np.ndarray)
    np.testing.assert_array_equal(np.asarray(result), 2 * X)


def test_arguments_have_names(library: tn.LoadedLibrary) -> None:
    np.testing.assert_array_equal(library.scale(factor=3, x=X), 3 * X)


def test_trees_go_in_whole_or_array_by_array(library: tn.LoadedLibrary) -> None:
    x = np.ones(2, np.float32)
    for arguments in [({"w": x + 4, "b": np.float32(7)}, x), (np.float32(7), x + 4, x)]:
        b, w = library.update(*arguments)
        assert b == 8
        np.testing.assert_array_equal(w, [4, 4])


def test_a_donated_array_is_updated_in_place_unless_it_is_read_only(library: tn.LoadedLibrary) -> None:
    w, b, x = np.ones(2, np.float32), np.zeros((), np.float32), np.ones(2, np.float32)
    assert np.shares_memory(library.update({"w": w, "b": b}, x)[1], w)
    w.flags.writeable = False
    np.testing.assert_array_equal(library.update({"w": w, "b": b}, x)[1], [-1, -1])
    np.testing.assert_array_equal(w, [0, 0])


@pytest.mark.parametrize(
    ("arguments", "names", "message"),
    [
        ((X[:3], 2), {}, "scale: argument `x` is f32[3], but must be f32[4]"),
        ((X.astype(float), 2), {}, "scale: argument `x` is f64[4], but must be f32[4]"),
        ((X, "two"), {}, "argument `factor` is a str, not a tensor"),
        ((X,), {}, "scale takes (x, factor), but was given 1 by position"),
        ((X,), {"x": X}, "scale takes (x, factor), but was given 1 by position, x="),
        ((X, 1, 2), {}, "scale takes (x, factor), but was given 3 by position"),
        (({"x": X}, 2), {}, "scale: the arguments are x.x, factor, but it takes x, factor"),
    ],
)
def test_a_call_that_does_not_fit_is_refused(
    library: tn.LoadedLibrary, arguments: tuple[object, ...], names: dict[str, object], message: str
) -> None:
    with pytest.raises(tn.SpecError) as caught:
        library.scale(*arguments, **names)
    assert message in str(caught.value)


def test_a_missing_function_is_named(library: tn.LoadedLibrary) -> None:
    assert not hasattr(library, "predict")
    with pytest.raises(AttributeError, match=r"libboth.so has no function predict; it has scale, update"):
        library.predict(X)


@pytest.mark.parametrize("content", [b"", b"not a library at all", b"\x7fELF" + bytes(100)])
def test_what_is_no_library_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "libx.so"
    with pytest.raises(tn.ArtifactError, match=r"libx\.so"):
        tn.load(path)
    path.write_bytes(content)
    with pytest.raises(tn.ArtifactError, match=r"libx\.so"):
        tn.load(path)


def test_functions_of_one_name_are_not_exported_together(tmp_path: Path) -> None:
    with pytest.raises(tn.RequestError, match="two functions are called scale; rename one"):
        tn.export([scale, scale], tmp_path / "libx.so")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("functions", "message"),
    [(scale, "a list of functions, not <compiled scale>"), ([abs], "compiled functions, not <built-in function abs>")],
)
def test_what_is_no_list_of_compiled_functions_is_not_exported(tmp_path: Path, functions: object, message: str) -> None:
    with pytest.raises(tn.ArgumentError) as caught:
        tn.export(functions, tmp_path / "libx.so")
    assert message in str(caught.value)
