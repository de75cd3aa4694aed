"""Convolutions lowered to loops, compiled, and compared with the reference; what their loops do and do not hold."""

import itertools
import math

import numpy as np
import pytest
from plain_context import Lowering

from tenfoldc import ops
from tenfoldc.loops.ir import (
    Apply,
    Constant,
    For,
    If,
    Load,
    Mode,
    MultiplyPanels,
    Prefetch,
    Primitive,
    Store,
    TransposeTile,
)
from tenfoldc.loops.traversal import expressions, walk_statements
from tenfoldc.lower.convolutions.convolution import lower_convolution
from tenfoldc.ops.convolution import ConvDimensionNumbers
from tenfoldc.target import host, named
from tenfoldc.tuning import Decisions

V3 = named("x86-64-v3")


def numbers(rank):
    spatial = tuple(range(2, 2 + rank))
    return ConvDimensionNumbers(0, 1, spatial, 1, 0, spatial, 0, 1, spatial)


def by_kernel(rank):
    """The dimension numbers of a convolution's gradient for its kernel."""
    spatial = tuple(range(2, 2 + rank))
    return ConvDimensionNumbers(1, 0, spatial, 0, 1, spatial, 1, 0, spatial)


def convolution(axes, **attributes):
    return lambda x, w: ops.convolution(x, w, axes, **attributes)


def whole_numbers(*shapes, dtype=np.float32):
    rng = np.random.default_rng(7)
    return [rng.integers(-3, 4, shape).astype(dtype) for shape in shapes]


def lowered(build, arrays, target=None, *, epilogue=False):
    return Lowering(
        build, arrays, lambda op, ctx: lower_convolution(op, ctx, target or host(), Decisions()), epilogue=epilogue
    )


def check(load_program, build, arrays, *, epilogue=False):
    lowering = lowered(build, arrays, epilogue=epilogue)
    (result,) = load_program(lowering.program())(*arrays)
    np.testing.assert_array_equal(-result if epilogue else result, lowering.expected[0])


ROWS = [1, 5, 8, 14, 17, 33]


@pytest.mark.parametrize("width", ROWS)
def test_rows_of_any_width(load_program, width):
    arrays = whole_numbers((2, 5, 6, width), (9, 5, 3, 3))
    check(load_program, convolution(numbers(2), padding=((1, 1), (1, 1))), arrays)


SHAPES = {
    "one axis": ((2, 3, 40), (7, 3, 5), {"padding": ((2, 2),)}),
    "three axes": ((1, 4, 5, 6, 7), (6, 4, 2, 3, 2), {"padding": ((1, 0), (0, 1), (1, 1))}),
    "padding on one side, wider than the window": ((1, 4, 5, 6), (5, 4, 2, 2), {"padding": ((4, 0), (0, 5))}),
    "rows that are cropped": ((1, 4, 9, 11), (5, 4, 2, 2), {"padding": ((-1, -2), (-2, 1))}),
    "steps": ((2, 4, 11, 19), (8, 4, 3, 3), {"window_strides": (2, 2), "padding": ((1, 1), (1, 1))}),
    "steps beyond the window": ((1, 4, 11, 19), (8, 4, 1, 2), {"window_strides": (3, 4)}),
    "a spread window": ((1, 4, 11, 19), (8, 4, 3, 3), {"rhs_dilation": (2, 3), "padding": ((2, 2), (0, 3))}),
    "steps over a spread window": ((1, 4, 13, 29), (8, 4, 3, 3), {"window_strides": (4, 2), "rhs_dilation": (2, 3)}),
    "a mirrored window": ((1, 4, 9, 9), (8, 4, 3, 2), {"window_reversal": (True, False)}),
    "groups": ((2, 12, 9, 9), (15, 4, 3, 3), {"feature_group_count": 3}),
    "groups of the batch": ((6, 4, 9, 9), (15, 4, 3, 3), {"batch_group_count": 3}),
    "many channels": ((1, 300, 4, 5), (13, 300, 2, 2), {}),
    "many features": ((1, 40, 4, 9), (220, 40, 3, 3), {"padding": ((1, 1), (1, 1))}),
    "few places": ((20, 8, 3, 3), (10, 8, 3, 3), {}),
    "pointwise": ((2, 33, 5, 7), (9, 33, 1, 1), {}),
    "pointwise steps": ((2, 33, 5, 7), (9, 33, 1, 1), {"window_strides": (2, 2)}),
    "a wide window": ((2, 3, 700), (4, 3, 600), {"padding": ((10, 0),)}),
    "depthwise": ((2, 9, 10, 13), (9, 1, 3, 3), {"feature_group_count": 9, "padding": ((1, 1), (1, 1))}),
    "depthwise steps": ((1, 9, 10, 40), (18, 1, 3, 3), {"feature_group_count": 9, "window_strides": (2, 2)}),
    "depthwise, wide": ((1, 3, 30, 33), (3, 1, 7, 9), {"feature_group_count": 3, "padding": ((3, 3), (4, 4))}),
    "one feature": ((1, 5, 10, 33), (1, 5, 3, 3), {"padding": ((1, 1), (1, 1))}),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("dtype", "epilogue"), [(np.float32, False), (np.float64, True)])
def test_convolutions_of_floats(load_program, name, dtype, epilogue):
    x, w, attributes = SHAPES[name]
    build = convolution(numbers(len(x) - 2), **attributes)
    check(load_program, build, whole_numbers(x, w, dtype=dtype), epilogue=epilogue)


@pytest.mark.parametrize("name", ["one axis", "three axes", "groups", "steps over a spread window", "depthwise, wide"])
def test_convolutions_of_integers(load_program, name):
    x, w, attributes = SHAPES[name]
    check(load_program, convolution(numbers(len(x) - 2), **attributes), whole_numbers(x, w, dtype=np.int32))


@pytest.mark.parametrize(("spread", "stride", "dilation"), list(itertools.product((2, 3), (1, 2), (1, 2))))
@pytest.mark.parametrize("groups", [1, 4])
def test_spread_inputs(load_program, spread, stride, dilation, groups):
    attributes = {
        "lhs_dilation": (spread, 1),
        "window_strides": (stride, stride),
        "rhs_dilation": (dilation, dilation),
        "padding": ((2, 1), (1, 3)),
        "feature_group_count": groups,
    }
    arrays = whole_numbers((1, 4, 7, 9), (8, 4 // groups, 3, 3))
    check(load_program, convolution(numbers(2), **attributes), arrays)


GRADIENTS = {
    "staged whole": ((3, 16, 9, 9), (3, 20, 9, 9), {"padding": ((1, 1), (1, 1))}),
    "staged image by image": ((4, 16, 60, 62), (4, 7, 60, 62), {"padding": ((1, 1), (1, 1))}),
    "staged image by image, two to a part": ((11, 8, 60, 90), (11, 3, 60, 90), {"padding": ((1, 1), (1, 1))}),
    "of a strided convolution": ((2, 8, 15, 15), (2, 5, 8, 8), {"padding": ((1, 1), (1, 1)), "rhs_dilation": (2, 2)}),
    "one channel": ((3, 1, 9, 9), (3, 20, 9, 9), {"padding": ((1, 1), (1, 1))}),
    "depthwise": ((3, 6, 9, 9), (3, 6, 9, 9), {"padding": ((1, 1), (1, 1)), "batch_group_count": 6}),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_for_the_kernel(load_program, name):
    x, cotangent, attributes = GRADIENTS[name]
    check(load_program, convolution(by_kernel(2), **attributes), whole_numbers(x, cotangent))


DOT_PRODUCTS = {
    "few channels": ((8, 3, 13, 11), (8, 7, 13, 11), {"padding": ((1, 1), (1, 1))}),
    "no padding": ((4, 2, 12, 14), (4, 5, 8, 10), {}),
    "padding on one side": ((2, 1, 9, 12), (2, 5, 9, 10), {"padding": ((3, 0), (0, 2))}),
    "cropped": ((2, 1, 12, 13), (2, 5, 8, 8), {"padding": ((-1, -1), (-2, 0))}),
    "steps": ((5, 1, 15, 17), (5, 6, 8, 9), {"padding": ((1, 1), (1, 1)), "rhs_dilation": (2, 2)}),
    "wide steps": ((2, 1, 21, 27), (2, 4, 7, 9), {"padding": ((1, 0), (0, 1)), "rhs_dilation": (3, 3)}),
    "steps of a spread window": (
        (2, 1, 21, 21),
        (2, 4, 9, 9),
        {"padding": ((2, 2), (2, 2)), "rhs_dilation": (2, 2), "window_strides": (3, 2)},
    ),
    "groups": ((12, 2, 9, 9), (4, 15, 9, 9), {"padding": ((1, 1), (1, 1)), "feature_group_count": 3}),
    "groups of the batch": ((3, 12, 9, 9), (3, 24, 9, 9), {"padding": ((1, 1), (1, 1)), "batch_group_count": 6}),
    "mirrored": ((2, 1, 9, 12), (2, 5, 7, 8), {"window_reversal": (True, False)}),
    "one axis, long rows": ((2, 1, 2617), (2, 5, 2611), {}),
    "blocks of long rows": ((3, 2, 41, 70), (3, 5, 39, 68), {}),
    "three axes": ((2, 1, 5, 7, 6), (2, 4, 4, 6, 5), {"padding": ((0, 1), (1, 0), (0, 0))}),
    "few outputs of a large window": ((1, 3, 9, 10), (1, 6, 8, 8), {}),
}


def scratches_of(lowering):
    return {buffer.name for buffer in lowering.context.scratches}


@pytest.mark.parametrize("name", DOT_PRODUCTS)
def test_few_outputs_of_many_taps_are_dot_products_of_rows_in_place(load_program, name):
    x, cotangent, attributes = DOT_PRODUCTS[name]
    build, arrays = convolution(by_kernel(len(x) - 2), **attributes), whole_numbers(x, cotangent)
    check(load_program, build, arrays)
    copied = {"rows"} if name == "mirrored" else set()
    assert scratches_of(lowered(build, arrays, V3)) == {"staged", "tile", "sums"} | copied


@pytest.mark.parametrize("name", ["few channels", "steps", "groups", "mirrored", "three axes"])
def test_dot_products_of_doubles_that_are_handed_on(load_program, name):
    x, cotangent, attributes = DOT_PRODUCTS[name]
    arrays = whole_numbers(x, cotangent, dtype=np.float64)
    check(load_program, convolution(by_kernel(len(x) - 2), **attributes), arrays, epilogue=True)


def test_rows_whose_taps_do_not_adjoin_are_copied(load_program):
    axes = ConvDimensionNumbers(1, 0, (2, 3), 0, 1, (3, 2), 1, 0, (2, 3))
    build, arrays = convolution(axes), whole_numbers((4, 2, 9, 12), (4, 9, 10, 7))
    check(load_program, build, arrays)
    assert scratches_of(lowered(build, arrays, V3)) == {"staged", "tile", "sums", "rows"}


def test_infinite_numbers_beyond_a_row_do_not_count(load_program):
    x, cotangent = whole_numbers((2, 1, 9, 9), (2, 4, 7, 7))
    x[0, 0, 8, 4] = np.inf
    cotangent[1, 2, 0, :] = np.nan
    check(load_program, convolution(by_kernel(2)), [x, cotangent])


def test_sums_of_dot_products_are_vectors_in_a_loop_without_anything_else():
    arrays = whole_numbers((64, 1, 28, 28), (64, 16, 28, 28))
    statements = lowered(convolution(by_kernel(2), padding=((1, 1), (1, 1))), arrays, V3).statements
    loops = [s for s in walk_statements(statements) if isinstance(s, For)]
    (lanes,) = [loop for loop in loops if loop.mode is Mode.LANES and all(is_fma(store.value) for store in loop.body)]
    (taps,) = [loop for loop in loops if loop.body == (lanes,)]
    assert (taps.extent.value, lanes.extent.value) == (28 * 28 // 8, 8)
    loads = {e for e in values_of(lanes.body) if isinstance(e, Load) and e.buffer.name != "tile"}
    assert (len(lanes.body), len(loads)) == (12, 7)  # 4 features by 3 outputs


def is_fma(expression):
    return isinstance(expression, Apply) and expression.primitive is Primitive.FMA


@pytest.mark.parametrize(
    ("x", "cotangent"), [((4, 16, 28, 28), (4, 16, 28, 28)), ((4, 1, 5, 5), (4, 16, 5, 5))], ids=["wide", "short rows"]
)
def test_many_outputs_and_short_rows_are_packed(x, cotangent):
    lowering = lowered(convolution(by_kernel(2), padding=((1, 1), (1, 1))), whole_numbers(x, cotangent), V3)
    assert {"lhs_panels", "rhs_panels"} <= scratches_of(lowering)


def test_dot_products_are_as_exact_as_panels(load_program):
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(shape, np.float32) for shape in [(64, 1, 28, 28), (64, 4, 28, 28)]]
    lowering = lowered(convolution(by_kernel(2), padding=((1, 1), (1, 1))), arrays)
    wide = [array.astype(np.float64) for array in arrays]
    exact = lowered(convolution(by_kernel(2), padding=((1, 1), (1, 1))), wide).expected[0]
    (result,) = load_program(lowering.program())(*arrays)
    assert np.abs(result - exact).max() < 5e-7 * np.abs(exact).max()


SUMS_OF_PARTS = {
    "default": ({"staged", "staged_taps", "factors", "lhs_panels", "rhs_panels"}, (8 * 16 * 32, 16)),
    "highest": ({"staged", "lhs_panels", "rhs_panels"}, (8 * 32, 16 * 9)),
}


@pytest.mark.parametrize("precision", SUMS_OF_PARTS)
def test_threads_share_the_images_of_a_gradient_for_the_kernel(precision):
    private, shape = SUMS_OF_PARTS[precision]
    arrays = whole_numbers((64, 16, 14, 14), (64, 32, 14, 14))
    lowering = lowered(convolution(by_kernel(2), padding=((1, 1), (1, 1)), precision=precision), arrays, V3)
    parts = lowering.statements[0]
    assert (parts.mode, parts.extent.value) == (Mode.PARALLEL, 8)
    assert {buffer.name for buffer in parts.private} == private
    (sums,) = [buffer for buffer in lowering.context.scratches if buffer.name == "sums"]
    assert sums.shape == shape


def test_images_come_innermost_by_transposition():
    """A row of the input, of all images, is staged in registers; in loops it would be read element by element."""
    arrays = whole_numbers((8, 16, 14, 14), (8, 32, 14, 14))
    statements = lowered(convolution(by_kernel(2), padding=((1, 1), (1, 1))), arrays, V3).statements
    turned = [statement for statement in walk_statements(statements) if isinstance(statement, TransposeTile)]
    assert {(t.target.name, t.rows.value, t.columns.value) for t in turned} == {
        ("staged", 14, 16),
        ("staged_taps", 14, 32),
    }


def values_of(statements):
    return list(
        expressions(statement.value for statement in walk_statements(statements) if isinstance(statement, Store))
    )


TESTS = {Primitive.SELECT, Primitive.MIN, Primitive.MAX, *(Primitive.LE, Primitive.GE, Primitive.EQ)}


@pytest.mark.parametrize("name", ["steps", "a spread window", "depthwise", "groups", "three axes"])
def test_no_element_is_tested_for_lying_inside(name):
    x, w, attributes = SHAPES[name]
    statements = lowered(convolution(numbers(len(x) - 2), **attributes), whole_numbers(x, w), V3).statements
    tests = [
        e for e in values_of(statements) if isinstance(e, Apply) and e.primitive in TESTS and not e.dtype.is_integer
    ]
    assert not tests


def test_the_windows_are_never_in_memory():
    arrays = whole_numbers((1, 64, 56, 56), (64, 64, 3, 3))
    lowering = lowered(convolution(numbers(2), padding=((1, 1), (1, 1)), precision="highest"), arrays, V3)
    largest = max(math.prod(buffer.shape) for buffer in lowering.context.scratches)
    assert largest == 64 * 58 * 58 + 16  # the input with its padding, and a vector's worth beyond
    columns = [b for b in lowering.context.scratches if b.name == "rhs_panels"]
    assert [math.prod(b.shape) * 4 <= 160 * 1024 for b in columns] == [True]


def test_a_pointwise_convolution_reads_the_input_as_it_lies():
    lowering = lowered(convolution(numbers(2)), whole_numbers((2, 32, 8, 8), (64, 32, 1, 1)), V3)
    assert {buffer.name for buffer in lowering.context.scratches} == {"lhs_panels", "rhs_panels"}


@pytest.mark.parametrize(("features", "side"), [(64, 8), (20, 9), (6, 5)])
def test_the_next_panel_of_an_input_in_place_is_asked_for_while_one_is_multiplied(features, side):
    lowering = lowered(convolution(numbers(2)), whole_numbers((2, 32, side, side), (features, 32, 1, 1)), V3)
    (columns,) = [s for s in lowering.statements[-1].body if isinstance(s, For) and "column_panel" in s.axis.name]
    (rows,) = [s for s in columns.body if isinstance(s, For) and "row_panel" in s.axis.name]
    asks, tile = rows.body
    assert isinstance(asks.body[0], Prefetch)
    assert isinstance(tile, MultiplyPanels)
    assert -(-features // tile.rows) * asks.extent.value >= 32  # all channels


def test_staged_inputs_and_the_only_panel_are_not_asked_for():
    for x, w in [((2, 32, 4, 4), (8, 32, 1, 1)), ((2, 32, 9, 9), (8, 32, 2, 2))]:
        statements = lowered(convolution(numbers(2)), whole_numbers(x, w), V3).statements
        assert not any(isinstance(s, Prefetch) for s in walk_statements(statements))


def test_zeros_of_a_spread_input_are_not_multiplied():
    arrays = whole_numbers((1, 8, 8, 8), (8, 8, 3, 3))
    attributes = {"lhs_dilation": (2, 2), "padding": ((1, 2), (1, 2))}
    statements = lowered(convolution(numbers(2), **attributes), arrays, V3).statements
    tiles = [s for s in walk_statements(statements) if isinstance(s, MultiplyPanels)]
    depths = {int(tile.depth.value) for tile in tiles}
    assert depths == {8, 16, 32}  # 8 channels under 1, 2 or 4 of the 9 taps


def test_sums_of_a_depthwise_convolution_stay_in_registers():
    x, w = whole_numbers((1, 4, 16, 32), (4, 1, 3, 3))
    lowering = lowered(convolution(numbers(2), padding=((1, 1), (1, 1)), feature_group_count=4), [x, w], V3)
    assert [buffer.name for buffer in lowering.context.scratches] == ["staged"]
    innermost = [s for s in walk_statements(lowering.statements) if isinstance(s, For) and s.mode is Mode.VECTOR]
    sums = [e for e in values_of(innermost) if isinstance(e, Apply) and e.primitive is Primitive.FMA]
    assert len(sums) == 9
    assert not any(isinstance(s, If) for s in walk_statements(lowering.statements))


def test_rows_are_copied_to_panels_in_full_width():
    arrays = whole_numbers((1, 16, 12, 14), (16, 16, 3, 3))
    lowering = lowered(convolution(numbers(2), padding=((1, 1), (1, 1)), precision="highest"), arrays, V3)
    copies = [
        loop
        for loop in walk_statements(lowering.statements)
        if isinstance(loop, For)
        and isinstance(loop.body[0], Store)
        and isinstance(loop.body[0].value, Load)
        and loop.body[0].buffer.name == "panel_rows"
    ]
    assert {int(loop.extent.value) for loop in copies} == {16}


FEWER_PRODUCTS = {
    "even": ((1, 40, 8, 8), (24, 40, 3, 3), {"padding": ((1, 1), (1, 1))}),
    "odd, few tiles": ((5, 24, 7, 5), (25, 24, 3, 3), {}),
    "few channels": ((3, 8, 13, 22), (9, 8, 3, 3), {"padding": ((1, 1), (1, 1))}),
    "rows cut between blocks": ((1, 16, 52, 26), (8, 16, 3, 3), {"padding": ((1, 1), (1, 1))}),
    "padding on one side": ((1, 26, 9, 35), (31, 26, 3, 3), {"padding": ((2, 0), (0, 1))}),
    "many channels": ((1, 270, 8, 7), (24, 270, 3, 3), {"padding": ((1, 1), (1, 1))}),
    "groups, mirrored": (
        (2, 48, 13, 13),
        (50, 24, 3, 3),
        {"feature_group_count": 2, "window_reversal": (True, False)},
    ),
}


@pytest.mark.parametrize("name", FEWER_PRODUCTS)
@pytest.mark.parametrize(("dtype", "epilogue"), [(np.float32, False), (np.float64, True)])
def test_minimal_filtering(load_program, name, dtype, epilogue):
    x, w, attributes = FEWER_PRODUCTS[name]
    check(load_program, convolution(numbers(2), **attributes), whole_numbers(x, w, dtype=dtype), epilogue=epilogue)


@pytest.mark.parametrize(
    ("x", "features", "fewer"),
    [((1, 16, 14, 14), 8, True), ((64, 8, 4, 4), 8, True), ((1, 8, 14, 14), 32, False), ((4, 16, 28, 28), 7, False)],
)
def test_minimal_filtering_is_for_images_and_channels_enough(x, features, fewer):
    arrays = whole_numbers(x, (features, x[1], 3, 3))
    assert ("by_tap" in scratches_of(lowered(convolution(numbers(2), padding=((1, 1), (1, 1))), arrays, V3))) == fewer


@pytest.mark.parametrize("size", [(14, 14), (13, 13), (52, 25)])
def test_outputs_of_minimal_filtering_are_written_in_one_place(size):
    """What is fused into the result is there once, in a loop along rows of outputs: it may be long."""
    arrays = whole_numbers((1, 16, *size), (16, 16, 3, 3))
    lowering = lowered(convolution(numbers(2), padding=((1, 1), (1, 1))), arrays, V3)
    shape = (1, 16, *size)
    written = [s for s in walk_statements(lowering.statements) if isinstance(s, Store) and s.buffer.shape == shape]
    assert len(written) == 1


KERNEL_SUMS = {
    "one tile row a band": ((2, 16, 6, 66), (2, 17, 4, 64), {}),
    "padding": ((3, 20, 14, 14), (3, 33, 14, 14), {"padding": ((1, 1), (1, 1))}),
    "odd taps": ((5, 16, 13, 11), (5, 16, 13, 11), {"padding": ((1, 1), (1, 1))}),
    "padding on one side": ((2, 18, 15, 22), (2, 16, 15, 23), {"padding": ((2, 0), (0, 3))}),
    "part of the input": ((4, 16, 17, 16), (4, 16, 11, 13), {"padding": ((0, -4), (-1, 0))}),
    "far outside": ((2, 16, 4, 12), (2, 16, 12, 12), {"padding": ((9, 1), (1, 1))}),
    "many images": ((19, 24, 8, 7), (19, 40, 6, 5), {}),
    "many bands": ((1, 65, 42, 33), (1, 48, 40, 31), {}),
    "mirrored": ((3, 16, 12, 14), (3, 16, 10, 12), {"window_reversal": (True, False)}),
}


@pytest.mark.parametrize("name", KERNEL_SUMS)
@pytest.mark.parametrize(("dtype", "epilogue"), [(np.float32, True), (np.float64, False)])
def test_gradients_for_kernels_by_minimal_filtering(load_program, name, dtype, epilogue):
    x, cotangent, attributes = KERNEL_SUMS[name]
    build, arrays = convolution(by_kernel(2), **attributes), whole_numbers(x, cotangent, dtype=dtype)
    assert "factors" in scratches_of(lowered(build, arrays, V3))
    check(load_program, build, arrays, epilogue=epilogue)


@pytest.mark.parametrize(
    ("x", "cotangent", "attributes"),
    [
        ((8, 16, 14, 14), (8, 15, 12, 12), {}),  # few features
        ((8, 15, 14, 14), (8, 16, 12, 12), {}),  # few channels
        ((1, 16, 14, 14), (1, 16, 12, 12), {}),  # few tiles
        ((8, 16, 14, 14), (8, 16, 11, 12), {}),  # four outputs along an axis
        ((8, 16, 25, 14), (8, 16, 12, 12), {"rhs_dilation": (2, 1)}),
        ((8, 16, 16, 16), (8, 16, 12, 12), {"window_strides": (2, 2)}),
        ((8, 16, 14, 14), (8, 16, 12, 12), {"precision": "highest"}),
        ((8, 32, 14, 14), (8, 32, 12, 12), {"batch_group_count": 2}),
    ],
)
def test_minimal_filtering_is_not_for_other_gradients(load_program, x, cotangent, attributes):
    build, arrays = convolution(by_kernel(2), **attributes), whole_numbers(x, cotangent)
    assert "factors" not in scratches_of(lowered(build, arrays, V3))


def test_inputs_under_no_tap_do_not_count(load_program):
    """A thirteenth tap, which tiles of two have, is taken to be zero and to meet zeros."""
    x, cotangent = whole_numbers((4, 16, 17, 16), (4, 16, 11, 13))
    x[:, :, 13:], x[:, :, :, :1] = np.nan, np.inf
    check(load_program, convolution(by_kernel(2), padding=((0, -4), (-1, 0))), [x, cotangent])


def multiplications(statements, times=1):
    """Multiplications in tiles, where all loops around them have constant extents or are counted once."""
    total = 0
    for statement in statements:
        match statement:
            case MultiplyPanels():
                total += times * statement.rows * statement.columns * int(statement.depth.value)
            case For():
                extent = int(statement.extent.value) if isinstance(statement.extent, Constant) else 1
                total += multiplications(statement.body, times * extent)
            case If():  # both branches, if there are two, multiply the same
                total += multiplications(statement.then, times)
            case _:
                pass
    return total


def test_small_windows_take_fewer_multiplications():
    arrays = whole_numbers((1, 24, 16, 16), (24, 24, 3, 3))
    build = convolution(numbers(2), padding=((1, 1), (1, 1)))
    plain = convolution(numbers(2), padding=((1, 1), (1, 1)), precision="highest")
    assert multiplications(lowered(build, arrays, V3).statements) == 16 * 64 * 24 * 24
    assert multiplications(lowered(plain, arrays, V3).statements) == 9 * 256 * 24 * 24


def test_gradients_for_kernels_take_fewer_multiplications():
    arrays = whole_numbers((2, 32, 16, 16), (2, 32, 16, 16))
    sizes = {"padding": ((1, 1), (1, 1))}
    few = multiplications(lowered(convolution(by_kernel(2), **sizes), arrays, V3).statements)
    plain = multiplications(lowered(convolution(by_kernel(2), precision="highest", **sizes), arrays, V3).statements)
    assert plain >= 2 * 9 * 256 * 32 * 32
    assert few <= 2 * 16 * 64 * 32 * 32


@pytest.mark.parametrize(
    ("axes", "shapes"),
    [(numbers(2), [(1, 64, 16, 16), (32, 64, 3, 3)]), (by_kernel(2), [(6, 32, 30, 30), (6, 16, 28, 28)])],
    ids=["forward", "gradient for the kernel"],
)
def test_fewer_multiplications_are_not_less_exact(load_program, axes, shapes):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape, np.float32) for shape in shapes]
    errors: list[float] = []
    for precision in ("default", "highest"):
        lowering = lowered(convolution(axes, precision=precision), arrays)
        exact = lowered(convolution(axes), [array.astype(np.float64) for array in arrays]).expected[0]
        (result,) = load_program(lowering.program())(*arrays)
        errors.append(float(np.abs(result - exact).max() / np.abs(exact).max()))
    assert errors[0] < 3 * errors[1]
    assert errors[0] < 1e-6
