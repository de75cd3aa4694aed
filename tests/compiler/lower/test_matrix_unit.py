"""Products on the matrix unit, emulated: f32 through parts in bf16, and vectors where these do not stand for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import call, compile_library, single, type_of
from numpy.typing import NDArray
from plain_context import Lowering

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.loops.ir import MultiplyPanels, MultiplyStrip
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.lower.context import LoweringRule
from tenfoldc.lower.products import tiling
from tenfoldc.lower.products.contraction import lower_dot_general
from tenfoldc.ops.convolution import ConvDimensionNumbers
from tenfoldc.pipeline import stage_text
from tenfoldc.target import EMULATED_TILES, host, named
from tenfoldc.tuning import Decisions

Array = NDArray[Any]
Build = Callable[..., Var]

EMULATED = replace(host(), features=(*host().features, EMULATED_TILES))
BF16 = dtypes.bf16.numpy


@pytest.fixture
def tiles_always_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "_pays", lambda product, parts, target: True)


class Both:
    """Programs for the emulated matrix unit and for vectors."""

    def __init__(self, builds: Sequence[Build], arguments: Sequence[Sequence[Array]], directory: Path) -> None:
        self.arguments = [[np.ascontiguousarray(array) for array in arrays] for arrays in arguments]
        self.modules = [single(b, [type_of(a) for a in arrays]) for b, arrays in zip(builds, arguments, strict=True)]
        self.tiles = compile_library(self.modules, directory, "tiles", EMULATED)
        self.vectors = compile_library(self.modules, directory, "vectors")

    def results(self, number: int = 0, arguments: Sequence[Array] | None = None) -> tuple[Array, Array]:
        """What program `number` gives on tiles and by vectors."""
        given = self.arguments[number] if arguments is None else arguments
        libraries = (self.tiles, self.vectors)
        tiles, vectors = (call(library, self.modules[number], given, f"main{number}")[0] for library in libraries)
        return tiles, vectors


def product(lhs: int = 1, rhs: int = 0, **options: Any) -> Build:
    return lambda x, y: ops.dot_general(x, y, lhs_contracting=(lhs,), rhs_contracting=(rhs,), **options)


def batched(x: Var, y: Var) -> Var:
    return ops.dot_general(x, y, lhs_contracting=(2,), rhs_contracting=(1,), lhs_batching=(0,), rhs_batching=(0,))


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def error(result: Array, x: Array, y: Array) -> Array:
    """How wrong each element is, in units of the last place of the sum of its terms' magnitudes."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    return np.abs(result - x @ y) / (np.abs(x) @ np.abs(y)) * 2.0**24


LAYOUTS = {"plain": (1, 0), "lhs transposed": (0, 0), "rhs transposed": (1, 1), "both transposed": (0, 1)}


@pytest.mark.usefixtures("tiles_always_pay")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_products_of_f32_are_at_least_as_exact_as_by_vectors(layout: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(list(LAYOUTS).index(layout))
    axes = LAYOUTS[layout]
    shapes = [(32, 64, 32), (33, 31, 65), (2, 40, 17), (17, 600, 16)]
    shapes.append(tuple(map(int, rng.integers(10, 71, 3))))
    pairs = [(normal(rng, m, k), normal(rng, k, n)) for m, k, n in shapes]
    laid = [(x.T if axes[0] == 0 else x, y.T if axes[1] == 1 else y) for x, y in pairs]
    both = Both([product(*axes)] * len(pairs), laid, tmp_path)
    errors: list[list[Array]] = [[], []]
    for number, (x, y) in enumerate(pairs):
        for found, result in zip(errors, both.results(number), strict=True):
            found.append(error(result, x, y).ravel())
    tiles, vectors = map(np.concatenate, errors)
    assert (tiles != vectors).any()
    assert tiles.max() <= max(1.0, vectors.max())
    assert np.sqrt((tiles**2).mean()) <= np.sqrt((vectors**2).mean())


@pytest.mark.usefixtures("tiles_always_pay")
def test_long_sums_of_positive_numbers_are_at_least_as_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x, y = np.abs(normal(rng, 40, 1500)), np.abs(normal(rng, 1500, 40))
    tiles, vectors = (error(result, x, y) for result in Both([product()], [(x, y)], tmp_path).results())
    assert tiles.max() < vectors.max()
    assert np.sqrt((tiles**2).mean()) < np.sqrt((vectors**2).mean())


@pytest.mark.usefixtures("tiles_always_pay")
def test_products_of_a_batch(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x, y = normal(rng, 3, 40, 50), normal(rng, 3, 50, 35)
    tiles, _ = Both([batched], [(x, y)], tmp_path).results()
    assert error(tiles, x, y).max() < 4


SPECIAL = {
    "NaN": np.nan,
    "infinity": np.inf,
    "negative infinity": -np.inf,
    "huge": 3e38,
    "denormal": 1e-40,
    "least denormal": 1e-45,
    "tiny": 1.2e-38,
    "less than a third part can be": 1e-30,
}


@pytest.mark.usefixtures("tiles_always_pay")
def test_where_parts_do_not_stand_for_a_number_the_result_is_that_of_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x, y = normal(rng, 37, 550), normal(rng, 550, 43)
    both = Both([product(), product(0, 1)], [(x, y), (x.T, y.T)], tmp_path)
    for value in SPECIAL.values():
        for which, place in ((0, (36, 549)), (0, (0, 0)), (1, (549, 42)), (1, (300, 5))):
            given = [x.copy(), y.copy()]
            given[which][place] = value
            tiles, vectors = both.results(0, given)
            np.testing.assert_array_equal(tiles, vectors)
            tiles, vectors = both.results(1, [np.ascontiguousarray(array.T) for array in given])
            np.testing.assert_array_equal(tiles, vectors)


@pytest.mark.usefixtures("tiles_always_pay")
def test_zeros_and_numbers_of_usual_size_are_no_exception(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    x, y = normal(rng, 64, 64), normal(rng, 64, 64)
    both = Both([product()], [(x, y)], tmp_path)
    x[:5], y[:, 7], x[9, 9], y[8, 8] = 0, 0, 1e-12, -1e15
    tiles, vectors = both.results(0, [x, y])
    assert (tiles != vectors).any()
    zero = np.zeros_like(x)
    np.testing.assert_array_equal(both.results(0, [zero, y])[0], zero)


@pytest.mark.usefixtures("tiles_always_pay")
def test_sums_that_would_overflow_on_the_way_are_left_to_vectors(tmp_path: Path) -> None:
    x, y = np.full((32, 64), 1e19, np.float32), np.full((64, 32), 1e19, np.float32)
    y[1::2] *= -1
    tiles, vectors = Both([product()], [(x, y)], tmp_path).results()
    np.testing.assert_array_equal(tiles, vectors)


def rounded(array: Array) -> Array:
    return array.astype(BF16)


@pytest.mark.usefixtures("tiles_always_pay")
def test_products_of_bf16(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    shapes = [(33, 65, 47), (64, 64, 64), (20, 1100, 31)]
    pairs = [(rounded(normal(rng, m, k)), rounded(normal(rng, k, n))) for m, k, n in shapes]
    wide = [product(result_dtype=dtypes.f32)] * len(pairs)
    both = Both([*wide, *[product()] * len(pairs)], pairs * 2, tmp_path)
    for number, (x, y) in enumerate(pairs):
        exact, narrow = (both.results(number + offset)[0] for offset in (0, len(pairs)))
        assert error(exact, x.astype(np.float32), y.astype(np.float32)).max() < 4
        np.testing.assert_array_equal(narrow.view(np.uint16), rounded(exact).view(np.uint16))


@pytest.mark.usefixtures("tiles_always_pay")
def test_numbers_that_were_narrow_have_fewer_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    narrow = {dtypes.bf16: 1, dtypes.f16: 2, dtypes.i8: 1}
    x, y = normal(rng, 40, 70), 10 * normal(rng, 70, 33)
    pairs = [(x, y.astype(dtype.numpy)) for dtype in narrow]
    build = lambda x, y: product()(x, ops.convert(y, dtypes.f32))  # noqa: E731
    both = Both([build] * len(pairs), pairs, tmp_path)
    for number, ((_, rhs), parts) in enumerate(zip(pairs, narrow.values(), strict=True)):
        tiles, vectors = both.results(number)
        assert (tiles != vectors).any()
        assert error(tiles, x, rhs.astype(np.float32)).max() < 4
        loops = stage_text(both.modules[number], "loops", target=EMULATED)
        assert re.search(rf"rhs_tiles\d+: u32\[2, 3, {parts},", loops)


def rule_for(level: str) -> LoweringRule:
    """How a product is lowered for a processor of this level."""
    return lambda operation, context: lower_dot_general(operation, context, named(level), Decisions())


def lower_for_tiles(operation: Any, context: Any) -> Any:
    return lower_dot_general(operation, context, EMULATED, Decisions())


def strips(lowering: Lowering) -> list[MultiplyStrip]:
    return [s for s in walk_statements(lowering.statements) if isinstance(s, MultiplyStrip)]


def dense(x: Var, w: Var, b: Var) -> Var:
    """A layer: bias and activation go into the last store."""
    total = ops.add(product()(x, w), ops.broadcast_in_dim(b, (x.shape[0], w.shape[1]), (1,)))
    return ops.maximum(total, ops.zeros_like(total))


@pytest.mark.usefixtures("tiles_always_pay")
@pytest.mark.parametrize("special", [1.0, np.inf])
@pytest.mark.parametrize("depth", [70, 600])
def test_consumers_are_applied_once(special: float, depth: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    x, w, b = normal(rng, 50, depth), normal(rng, depth, 40), normal(rng, 40)
    x[3, 4] = special
    tiles, vectors = Both([dense], [(x, w, b)], tmp_path).results()
    if special == np.inf:
        np.testing.assert_array_equal(tiles, vectors)
    with np.errstate(invalid="ignore"):
        wanted = np.maximum(x.astype(np.float64) @ w + b, 0)
    np.testing.assert_allclose(tiles, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("tiles_always_pay")
@pytest.mark.parametrize("special", [1.0, 1e-40])
def test_an_update_in_place_happens_once(special: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    w, x, g = normal(rng, 40, 33), normal(rng, 70, 40), normal(rng, 70, 33)
    x[5, 6] = special
    module = single(lambda w, x, g: ops.subtract(w, product(0, 0)(x, g)), [type_of(a) for a in (w, x, g)], [(0, 0)])
    library = compile_library([module], tmp_path, "updates", EMULATED)
    (updated,) = call(library, module, [w, x, g])
    np.testing.assert_allclose(updated, w - x.T.astype(np.float64) @ g, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("dtype", "special"), [(np.float32, 1.0), (np.float32, np.nan), (BF16, 1.0)], ids=str)
def test_the_bits_are_those_of_one_thread(dtype: Any, special: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    x, w, b = (normal(rng, *shape).astype(dtype) for shape in ((200, 600), (600, 480), (480,)))
    x[10, 11] = special
    module = single(dense, [type_of(array) for array in (x, w, b)])
    library = compile_library([module], tmp_path, "threads", EMULATED)
    results = [np.asarray(library.entry("main0", None, threads)(x, w, b)).tobytes() for threads in (1, 2, 3)]
    assert results[0] == results[1] == results[2]


def convolution(strides: tuple[int, int] = (1, 1), **options: Any) -> Build:
    """Images and results with features last: one product whose depth is all places of the window."""
    numbers = ConvDimensionNumbers(0, 3, (1, 2), 2, 3, (0, 1), 0, 3, (1, 2))
    return lambda x, k: ops.convolution(x, k, numbers, padding=((1, 1), (0, 2)), window_strides=strides, **options)


@pytest.mark.usefixtures("tiles_always_pay")
@pytest.mark.parametrize("channels", [16, 48, 5])
def test_convolutions_with_features_last(channels: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    x, k = normal(rng, 2, 7, 9, channels), normal(rng, 3, 3, channels, 37)
    both = Both([convolution(), convolution((2, 1))], [(x, k)] * 2, tmp_path)
    for number in range(2):
        tiles, vectors = both.results(number)
        assert (tiles != vectors).any() == (channels != 5)
        np.testing.assert_allclose(tiles, vectors, rtol=1e-5, atol=1e-4)
    x[1, 2, 3, 4] = np.inf
    tiles, vectors = both.results(0, [x, k])
    np.testing.assert_array_equal(tiles, vectors)


@pytest.mark.usefixtures("tiles_always_pay")
@pytest.mark.parametrize(("axes", "epilogue"), [((1, 0), True), ((0, 1), False)])
def test_memory_is_written_before_it_is_read(axes: tuple[int, int], epilogue: bool) -> None:
    rng = np.random.default_rng(11)
    x, y = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((9, 33), (33, 10)))
    x, y = x.T if axes[0] == 0 else x, y.T if axes[1] == 1 else y
    lowering = Lowering(product(*axes), [x, y], lower_for_tiles, epilogue=epilogue)
    (result,) = lowering.interpreted()
    np.testing.assert_array_equal(-result if epilogue else result, lowering.expected[0])


def kinds(m: int, k: int, n: int, **options: Any) -> set[type]:
    """Which inner kernels the product of these sizes has."""
    x, y = np.zeros((m, k), np.float32), np.zeros((k, n), np.float32)
    lowering = Lowering(product(**options), [x, y], rule_for("sapphirerapids"))
    return {type(s) for s in walk_statements(lowering.statements)} & {MultiplyStrip, MultiplyPanels}


@pytest.mark.parametrize("sizes", [(256, 256, 256), (128, 512, 784), (1000, 1000, 1000), (128, 128, 128)])
def test_tiles_are_taken_where_they_pay(sizes: tuple[int, int, int]) -> None:
    assert kinds(*sizes) == {MultiplyStrip, MultiplyPanels}


@pytest.mark.parametrize("sizes", [(32, 32, 32), (8, 4096, 4096), (4096, 8, 4096), (4096, 512, 6), (33, 33, 33)])
def test_small_and_thin_products_stay_with_vectors(sizes: tuple[int, int, int]) -> None:
    assert kinds(*sizes) == {MultiplyPanels}


def test_the_highest_precision_has_no_parts() -> None:
    assert kinds(256, 256, 256, precision="highest") == {MultiplyPanels}


def test_a_target_without_tiles_has_none() -> None:
    x = np.zeros((256, 256), np.float32)
    lowering = Lowering(product(), [x, x], rule_for("x86-64-v4"))
    assert not strips(lowering)
