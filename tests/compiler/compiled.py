"""Native code against the interpreter: tensor programs compiled into one library, loaded, called and compared.

A `Case` is a program with arrays to call it on; many cases make one library, since LLVM's start costs more than a
small function.  `check(cases, directory)` compiles them and compares every result with `tenfoldc.interpret`.
Memory for results is dirtied first, each entry is called twice, and parameters that are not donated must be left
alone: what is read before it is written, or written where it should not be, then shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.load import Library, load
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.types import TensorType
from tenfoldc.pipeline import compile_module
from tenfoldc.target import Target, host

Array = NDArray[Any]
Build = Callable[..., Var | Sequence[Var]]
Compare = Callable[[Array, Array], None]


def plain(array: Array) -> Array:
    """`array`, or where its floats have 16 bits, the same numbers in f32, on which NumPy's comparisons are defined."""
    return array.astype(np.float32) if type_of(array).dtype.is_half else array


def close(*, f32: float, f64: float) -> Compare:
    """Compares floats with a tolerance, relative and absolute at once, and all else exactly; NaN equals NaN."""

    def compare(actual: Array, expected: Array) -> None:
        actual, expected = plain(actual), plain(expected)
        if expected.dtype.kind == "f":
            tolerance = f64 if expected.dtype == np.float64 else f32
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            np.testing.assert_array_equal(actual, expected)

    return compare


ROUNDINGS = close(f32=2e-6, f64=4e-15)
"""A few roundings of numbers near 1."""


def same_bits(actual: Array, expected: Array) -> None:
    """Equal bit for bit, except that any NaN is any other."""
    actual, expected = plain(actual), plain(expected)
    if expected.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(actual) & (actual == 0), np.signbit(expected) & (expected == 0))
    np.testing.assert_array_equal(actual, expected)


def within_ulps(bound: int) -> Compare:
    """Floats within `bound` units of the last place (one, where they are of 16 bits), zeros of the same sign; all else
    exactly.
    """

    def compare(actual: Array, expected: Array) -> None:
        is_half = type_of(expected).dtype.is_half
        units = min(bound, 1) if is_half else bound
        with np.errstate(all="ignore"):
            unit = plain(np.spacing(np.abs(expected))) if is_half or expected.dtype.kind == "f" else None
        actual, expected = plain(actual), plain(expected)
        if unit is None:
            return np.testing.assert_array_equal(actual, expected)
        with np.errstate(all="ignore"):
            near = np.abs(actual - expected) <= units * unit
        equal = (actual == expected) & ((expected != 0) | (np.signbit(actual) == np.signbit(expected)))
        right = equal | (np.isnan(actual) & np.isnan(expected)) | (near & (expected != 0))
        assert right.all(), f"{actual[~right][:4]} instead of {expected[~right][:4]} at {np.argwhere(~right)[:4]}"
        return None

    return compare


@dataclass(frozen=True)
class Case:
    """A function (or a module and the functions that its `main` calls), and arrays for its parameters."""

    label: str
    module: Module
    arrays: tuple[Array, ...]
    compare: Compare = same_bits


def case(
    label: str,
    build: Build,
    *arrays: Any,
    compare: Compare = same_bits,
    donated: Sequence[tuple[int, int]] = (),
) -> Case:
    """The program that `build` makes of one parameter per array."""
    given = tuple(np.asarray(array) for array in arrays)
    return Case(label, single(build, [type_of(array) for array in given], donated), given, compare)


def single(build: Build, types: Sequence[TensorType], donated: Sequence[tuple[int, int]] = ()) -> Module:
    """A module with one function, `main`."""
    builder = Builder()
    parameters = [builder.parameter(type_) for type_ in types]
    results = build(*parameters) if parameters else build(builder)
    body = builder.region(parameters, [results] if isinstance(results, Var) else list(results))
    return Module({"main": Function("main", body, donated=tuple(donated))})


def type_of(array: Array) -> TensorType:
    """The tensor type of an array."""
    dtype = dtypes.from_numpy(array.dtype)
    assert dtype is not None
    return TensorType(dtype, array.shape)


def compile_library(
    modules: Iterable[Module], directory: Path, name: str = "tested", target: Target | None = None
) -> Library:
    """The `main` of each module as entry `main0`, `main1`, … of one loaded library, for this machine or `target`.

    Functions that several modules call by one name must be one function.
    """
    functions: dict[str, Function] = {}
    entries: list[str] = []
    for number, module in enumerate(modules):
        entry = f"main{number}"
        functions |= {key: function for key, function in module.functions.items() if key != "main"}
        functions[entry] = replace(module["main"], name=entry)
        entries.append(entry)
    machine = host() if target is None else target
    code, _ = compile_module(Module(functions, tuple(entries)), target=machine, library=name)
    path = directory / f"{name}{len(list(directory.glob('*.so')))}.so"
    path.write_bytes(code)
    return load(path)


def call(library: Library, module: Module, arrays: Sequence[Array], entry: str = "main0") -> list[Array]:
    """The results of an entry, called twice on dirty memory; checks that the calls agree and spare the parameters."""
    donated = {parameter for parameter, _ in module["main"].donated}
    first, second = (_call_once(library, module["main"], arrays, donated, entry) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes(), "two calls differ"
    return first


def _call_once(
    library: Library, function: Function, arrays: Sequence[Array], donated: set[int], entry: str
) -> list[Array]:
    given = [np.array(array, order="C") for array in arrays]
    _dirty(function.type.results)
    results = library.call(entry, given)
    for number, (before, after) in enumerate(zip(arrays, given, strict=True)):
        if number not in donated:
            assert np.asarray(before).tobytes() == after.tobytes(), f"parameter {number} was written to"
    return [np.array(result) for result in results]


def _dirty(types: Sequence[TensorType]) -> None:
    """Leave a pattern in the memory that NumPy will likely give to the results."""
    sizes = [type_.size * type_.dtype.itemsize for type_ in types]
    for memory in [np.empty(size, np.uint8) for size in sizes]:
        memory.fill(0xA5)


def check(cases: Sequence[Case], directory: Path) -> None:
    """Compile all cases into one library; every result has the type and, as its case compares, the value expected."""
    library = compile_library([case.module for case in cases], directory)
    failures: dict[str, str] = {}
    for number, case in enumerate(cases):
        try:
            actual = call(library, case.module, case.arrays, f"main{number}")
            compare_all(actual, interpret(case.module, case.arrays), case.compare)
        except AssertionError as error:
            failures[case.label] = str(error)
    assert not failures, "\n".join(f"--- {label}\n{message}" for label, message in failures.items())


def compare_all(actual: Sequence[Array], expected: Sequence[Array], compare: Compare) -> None:
    """Compare results one by one, types first."""
    assert len(actual) == len(expected)
    for number, (one, other) in enumerate(zip(actual, expected, strict=True)):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), f"result {number} has another type"
        try:
            compare(one, other)
        except AssertionError as error:
            raise AssertionError(f"result {number}: {error}") from None
