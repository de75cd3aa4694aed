"""Window lowerings, executed on loop IR, against the references."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from plain_context import LoadProgram, Lowering, PlainContext, assert_lowered

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Apply, Expr, For, Mode, Primitive, Store
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.lower import running_windows, separable_windows, window, window_rows
from tenfoldc.lower.window import lower_reduce_window, lower_select_and_scatter
from tenfoldc.ops import Direction, Reducer, ReduceWindowAttributes

WINDOWS = {
    "pooling": ReduceWindowAttributes((1, 2, 2), (1, 2, 2)),
    "channels last": ReduceWindowAttributes((2, 3, 1), (1, 2, 1), padding=((1, 0), (1, 1), (0, 0))),
    "padded": ReduceWindowAttributes((2, 3, 2), (1, 2, 1), padding=((1, 0), (1, 1), (0, 1))),
    "strided row": ReduceWindowAttributes((1, 1, 5), (1, 1, 3), padding=((0, 0), (0, 0), (3, 4))),
    "window dilation": ReduceWindowAttributes((1, 2, 3), (1, 1, 2), (), (1, 3, 2), ((0, 0), (1, 0), (2, 2))),
    "base dilation": ReduceWindowAttributes((1, 2, 3), (1, 2, 1), (1, 2, 3), (), ((0, 0), (0, 1), (1, 1))),
    "both dilations": ReduceWindowAttributes((1, 3, 2), (1, 2, 2), (1, 2, 2), (1, 3, 2), ((0, 0), (2, 3), (1, 2))),
    "negative padding": ReduceWindowAttributes((1, 2, 2), padding=((0, 0), (-1, -1), (-2, 1))),
    "wide padding": ReduceWindowAttributes((1, 1, 2), (1, 1, 3), padding=((0, 0), (2, 2), (4, 5))),
}


def reduce_windows(body: ops.reducer.Body, attributes: ReduceWindowAttributes) -> Callable[..., Sequence[Var]]:
    def build(*operands: Var) -> Sequence[Var]:
        count = len(operands) // 2
        return ops.reduce_window(
            operands[:count],
            operands[count:],
            body,
            attributes.window_dimensions,
            attributes.window_strides,
            attributes.base_dilations,
            attributes.window_dilations,
            attributes.padding,
        )

    return build


@pytest.fixture(params=[1024, 3])
def row(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows that hold all windows, and rows of three."""
    for module in (window, window_rows, running_windows):
        monkeypatch.setattr(module, "ROW", request.param)
    if request.param == 3:
        monkeypatch.setattr(separable_windows, "ROOM", 18)
        monkeypatch.setattr(separable_windows, "COLUMNS", 3)
    return request.param


def halve_and_add(x: Var, y: Var) -> Sequence[Var]:
    """A body that depends on the order of the elements."""
    return (ops.add(ops.multiply(x, ops.full_like(x, 0.5)), y),)


BODIES = {reducer.value: ops.body_of(reducer) for reducer in (Reducer.SUM, Reducer.MAX, Reducer.MIN, Reducer.PRODUCT)}
BODIES["ordered"] = halve_and_add


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("body", BODIES)
def test_windows_of_every_kind(body: str, windows: str, row: int):
    x = np.random.default_rng(61).standard_normal((2, 5, 7))
    assert_lowered(reduce_windows(BODIES[body], WINDOWS[windows]), [x, np.array(0.25)], lower_reduce_window)


@pytest.mark.parametrize("body", ["sum", "ordered"])
@pytest.mark.parametrize("windows", WINDOWS)
def test_windows_as_native_code(windows: str, body: str, row: int, load_program: LoadProgram):
    x = np.random.default_rng(60).standard_normal((2, 5, 7))
    build = reduce_windows(BODIES[body], WINDOWS[windows])
    assert_lowered(build, [x, np.array(0.25)], lower_reduce_window, load_program)


@pytest.mark.parametrize("reducer", [Reducer.SUM, Reducer.MAX, Reducer.AND, Reducer.OR])
def test_windows_of_integers(reducer: Reducer, row: int):
    x = np.random.default_rng(68).integers(-100, 100, (2, 5, 7))
    build = reduce_windows(ops.body_of(reducer), WINDOWS["padded"])
    assert_lowered(build, [x, np.array(3)], lower_reduce_window)


@pytest.mark.parametrize("padding", [(0, 0), (20, 25)])
def test_windows_of_many_steps(padding: tuple[int, int], row: int, load_program: LoadProgram):
    x = np.random.default_rng(69).standard_normal((3, 50))
    attributes = ReduceWindowAttributes((2, 40), (1, 3), padding=((1, 0), padding))
    assert_lowered(reduce_windows(BODIES["sum"], attributes), [x, np.array(0.25)], lower_reduce_window, load_program)


@pytest.mark.parametrize("windows", WINDOWS)
def test_the_largest_of_a_window_is_nan_where_the_window_holds_one(windows: str, load_program: LoadProgram):
    x = np.random.default_rng(70).standard_normal((2, 5, 7))
    x[1, 2, 3], x[0, 4, 6], x[1, 0, 0] = np.nan, -np.nan, -np.inf
    build = reduce_windows(BODIES["max"], WINDOWS[windows])
    assert_lowered(build, [x, np.array(-np.inf)], lower_reduce_window, load_program)


def test_a_sum_of_negative_zeros_stays_one():
    """What stands in for padding adds nothing, not even a sign."""
    x = np.full((3, 4), -0.0)
    attributes = ReduceWindowAttributes((3, 3), padding=((1, 1), (2, 2)))
    lowering = Lowering(reduce_windows(BODIES["sum"], attributes), [x, np.array(-0.0)], lower_reduce_window)
    (result,) = lowering.interpreted()
    assert np.signbit(result).all()


def test_overlapping_windows_combine_rows_before_columns():
    """A window of r x c costs (r - 1) + c combinations, with the initial value, in place of r c."""
    x = np.zeros((9, 9))
    attributes = ReduceWindowAttributes((3, 5))
    lowering = Lowering(reduce_windows(BODIES["max"], attributes), [x, np.array(0.0)], lower_reduce_window)
    gather, reduce = [each for each in walk_statements(lowering.statements) if isinstance(each, Store)]
    assert [combinations(each.value) for each in (gather, reduce)] == [2, 5]


@pytest.mark.parametrize(("stride", "shapes"), [(1, [(11, 1)]), (2, [(12, 1), (2, 6)]), (5, [(10, 1)])])
def test_places_of_a_row_are_parted_by_a_short_stride(stride: int, shapes: list[tuple[int, ...]]):
    """So that the places that neighbouring windows have at one step are neighbours."""
    attributes = ReduceWindowAttributes((3, 3), (1, stride), padding=((0, 0), (1, 1)))
    arrays = [np.zeros((9, 9)), np.array(0.0)]
    lowering = Lowering(reduce_windows(BODIES["max"], attributes), arrays, lower_reduce_window)
    assert [buffer.shape for buffer in lowering.context.scratches] == shapes


def combinations(value: Expr) -> int:
    """How many maxima an expression takes."""
    if not isinstance(value, Apply) or value.primitive is not Primitive.MAX:
        return 0
    return 1 + sum(map(combinations, value.operands))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1)])
def test_small_and_empty_operands(shape: tuple[int, int]):
    attributes = ReduceWindowAttributes((2, 1), padding=((1, 1), (0, 2)))
    x = np.random.default_rng(62).standard_normal(shape)
    assert_lowered(reduce_windows(ops.body_of(Reducer.SUM), attributes), [x, np.array(0.5)], lower_reduce_window)


@pytest.mark.parametrize("body", ["sum", "ordered"])
def test_no_window_fits(body: str):
    build = reduce_windows(BODIES[body], ReduceWindowAttributes((1, 5), (1, 3)))
    assert_lowered(build, [np.ones((2, 4)), np.array(0.5)], lower_reduce_window)


def test_a_scalar_is_a_window():
    build = reduce_windows(ops.body_of(Reducer.SUM), ReduceWindowAttributes(()))
    assert_lowered(build, [np.array(2.0), np.array(0.5)], lower_reduce_window)


@pytest.mark.parametrize("padding", [0, 1])
def test_results_are_computed_from_old_accumulators(padding: int, load_program: LoadProgram):
    """A body that exchanges its accumulators shows a result stored too early."""
    x, y = np.random.default_rng(63).standard_normal((2, 6))
    attributes = ReduceWindowAttributes((3,), padding=((padding, 0),))
    build = reduce_windows(lambda a, b, c, d: (ops.add(b, c), ops.subtract(a, d)), attributes)
    assert_lowered(build, [x, y, np.array(0.0), np.array(1.0)], lower_reduce_window, load_program)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dimension", [0, 1, 2])
def test_running_windows(dimension: int, reverse: bool, row: int, load_program: LoadProgram):
    x = np.random.default_rng(64).standard_normal((3, 5, 7))
    assert_lowered(lambda x: ops.cumulative_sum(x, dimension, reverse), [x], lower_reduce_window, load_program)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dimension", [0, 1])
def test_running_windows_keep_the_order_of_a_body_that_does_not_commute(dimension: int, reverse: bool):
    """Composition of the maps x -> a x + b."""
    rng = np.random.default_rng(65)
    a, b = rng.standard_normal((2, 4, 5))
    size = a.shape[dimension]
    dimensions, padding = [1, 1], [(0, 0), (0, 0)]
    dimensions[dimension] = size
    padding[dimension] = (0, size - 1) if reverse else (size - 1, 0)

    def compose(a: Var, b: Var, c: Var, d: Var) -> tuple[Var, Var]:
        return ops.multiply(a, c), ops.add(ops.multiply(b, c), d)

    build = reduce_windows(compose, ReduceWindowAttributes(tuple(dimensions), padding=tuple(padding)))
    assert_lowered(build, [a, b, np.array(1.0), np.array(0.0)], lower_reduce_window)


def test_a_running_window_is_one_pass():
    builder = Builder()
    ops.cumulative_sum(builder.parameter(TensorType(dtypes.f64, (64,))), 0)
    operation = builder.operations[-1]
    (loop,) = lower_reduce_window(operation, PlainContext(operation))
    assert isinstance(loop, For)
    assert all(isinstance(statement, Store) for statement in loop.body)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [64, 75])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.bool_])
def test_long_lines_are_windows_of_doubled_length(
    size: int, dtype: type, reverse: bool, load_program: LoadProgram, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(running_windows, "CHUNK_BLOCKS", 3)
    x = np.random.default_rng(66).integers(-9, 9, (2, size, 1)).astype(dtype)
    if dtype is np.float32:
        x[1, size // 2] = np.nan
    for op in (ops.cumulative_sum, ops.cumulative_max):
        assert_lowered(lambda x, op=op: op(x, 1, reverse), [x], lower_reduce_window, load_program)


def test_lines_of_narrow_elements_have_no_carry_from_element_to_element():
    builder = Builder()
    ops.cumulative_sum(builder.parameter(TensorType(dtypes.f32, (100,))), 0)
    operation = builder.operations[-1]
    loops = [s for s in walk_statements(lower_reduce_window(operation, PlainContext(operation))) if isinstance(s, For)]
    assert not any(loop.carries and loop.body for loop in loops)
    assert any(loop.mode is Mode.LANES for loop in loops)


@pytest.mark.parametrize(("lines", "carried"), [(4, [2]), (5, [2, 1]), (1, [1])])
def test_lines_run_side_by_side(lines: int, carried: Sequence[int]):
    """So that the sums of one line do not wait for each other alone; a line that is left runs by itself."""
    builder = Builder()
    ops.cumulative_sum(builder.parameter(TensorType(dtypes.f64, (lines, 64))), 1)
    operation = builder.operations[-1]
    statements = lower_reduce_window(operation, PlainContext(operation))
    loops = [statement for statement in walk_statements(statements) if isinstance(statement, For)]
    assert [len(loop.carries) for loop in loops if loop.carries] == carried


SCATTERED = ["pooling", "channels last", "padded", "strided row", "negative padding", "wide padding"]


@pytest.mark.parametrize("windows", SCATTERED)
@pytest.mark.parametrize("direction", [Direction.GE, Direction.LT])
def test_windows_scatter_to_what_they_select(direction: Direction, windows: str, row: int, load_program: LoadProgram):
    rng = np.random.default_rng(66)
    attributes = WINDOWS[windows]
    x = rng.permutation(70).reshape(2, 5, 7) / 8
    source = rng.standard_normal(tuple(axis.windows for axis in attributes.axes(x.shape)))

    def build(x: Var, source: Var, init: Var) -> Var:
        return ops.select_and_scatter(
            x,
            source,
            init,
            lambda a, b: (ops.compare(a, b, direction),),
            ops.body_of(Reducer.SUM),
            attributes.window_dimensions,
            attributes.window_strides,
            attributes.padding,
        )

    assert_lowered(build, [x, source, np.array(0.5)], lower_select_and_scatter, load_program)


@pytest.mark.parametrize("direction", [Direction.GE, Direction.LT])
@pytest.mark.parametrize("sizes", [(1, 2, 3), (2, 4, 1), (1, 1, 6)])
def test_windows_that_tile_the_operand_are_chosen_from_in_registers(
    direction: Direction, sizes: tuple[int, ...], load_program: LoadProgram
):
    rng = np.random.default_rng(67)
    x = rng.integers(0, 4, (2, 4, 6)) / 8
    source = rng.standard_normal(tuple(size // window for size, window in zip(x.shape, sizes, strict=True)))

    def build(x: Var, source: Var, init: Var) -> Var:
        def choose(a: Var, b: Var) -> tuple[Var, ...]:
            return (ops.compare(a, b, direction),)

        return ops.select_and_scatter(x, source, init, choose, ops.body_of(Reducer.SUM), sizes, sizes)

    arrays = [x, source, np.array(0.5)]
    assert_lowered(build, arrays, lower_select_and_scatter, load_program)
    assert not Lowering(build, arrays, lower_select_and_scatter).context.scratches


@pytest.mark.parametrize(("sizes", "shared"), [((1, 1, 3), 2), ((1, 3, 1), 1), ((2, 1, 3), 0)])
def test_overlapping_windows_scatter_to_planes_that_threads_share(sizes: tuple[int, ...], shared: int):
    x = np.zeros((4, 5, 6))
    source = np.zeros(tuple(size - window + 1 for size, window in zip(x.shape, sizes, strict=True)))

    def build(x: Var, source: Var, init: Var) -> Var:
        return ops.select_and_scatter(
            x, source, init, lambda a, b: (ops.compare(a, b, Direction.GE),), ops.body_of(Reducer.SUM), sizes
        )

    lowering = Lowering(build, [x, source, np.array(0.0)], lower_select_and_scatter)
    loops = [loop for loop in walk_statements(lowering.statements) if isinstance(loop, For)]
    assert sum(loop.private == tuple(lowering.context.scratches) for loop in loops) == shared


@pytest.mark.parametrize("shape", [(), (0,), (1,)])
def test_select_and_scatter_of_small_operands(shape: tuple[int, ...]):
    def build(x: Var, source: Var, init: Var) -> Var:
        ones = (1,) * len(shape)
        return ops.select_and_scatter(
            x, source, init, lambda a, b: (ops.compare(a, b, Direction.GE),), ops.body_of(Reducer.SUM), ones
        )

    assert_lowered(build, [np.ones(shape), np.full(shape, 2.0), np.array(0.5)], lower_select_and_scatter)
