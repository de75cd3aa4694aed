"""dot_general and convolution lowered to loops, compiled, and compared with the ops' references."""

import itertools

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.types import TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Kernel, Load, Program, Store
from tenfoldc.lower.convolutions.convolution import lower_convolution
from tenfoldc.lower.products.contraction import lower_dot_general
from tenfoldc.ops.contraction import DOT_GENERAL, DotDimensionNumbers, DotGeneralAttributes
from tenfoldc.ops.convolution import CONVOLUTION, ConvDimensionNumbers, ConvolutionAttributes
from tenfoldc.target import host, named
from tenfoldc.tuning import Decisions

SIZES = [0, 1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33]
DTYPES = [dtypes.f32, dtypes.f64, dtypes.i32, dtypes.u8, dtypes.bool_]


class PlainContext:
    """Operands and result in memory of their own; `producer` and `consumer` stand for what fusion adds."""

    def __init__(self, operation, producer, consumer):
        types = [operand.type for operand in operation.operands]
        self.operands = [Buffer(f"p{n}", type_.dtype, type_.sizes) for n, type_ in enumerate(types)]
        result = operation.results[0].type
        self.memory = Buffer("r", result.dtype, result.sizes)
        self.producer, self.consumer = producer, consumer
        self.scratches = []
        self.names = itertools.count()

    @property
    def has_epilogue(self):
        return self.consumer is not None

    def read(self, operand, index):
        element = Load(self.operands[operand], tuple(index))
        return element if self.producer is None else self.producer(element)

    def result(self, number=0):
        return self.memory

    def write(self, index, value, number=0):
        return [Store(self.memory, tuple(index), value if self.consumer is None else self.consumer(value))]

    def axis(self, name, extent=None):
        return Axis(f"{name}{next(self.names)}")

    def pays_ahead(self, element, size):
        return False

    def scratch(self, name, dtype, shape):
        self.scratches.append(Buffer(f"{name}{next(self.names)}", dtype, tuple(shape)))
        return self.scratches[-1]


@pytest.fixture
def check(load_program):
    """Compiles one operation on small whole numbers, whose sums are exact, and compares it with its reference."""

    def run(op, rule, shapes, attributes, dtype, seed, *, producer=None, consumer=None, target=None):
        target = target or host()
        types = [TensorType(dtype, tuple(shape)) for shape in shapes]
        (result,) = op.infer(types, attributes, [])
        operation = Operation(op, tuple(Value(type_) for type_ in types), (Value(result),), attributes)
        ctx = PlainContext(operation, producer, consumer)
        kernel = Kernel("product", tuple(rule(operation, ctx, target, Decisions())), tuple(ctx.scratches))
        loaded = load_program(Program("f", tuple(ctx.operands), (ctx.memory,), (), {}, (kernel,)), target)
        rng = np.random.default_rng(seed)
        low = 0 if dtype.is_unsigned or dtype.is_bool else -4
        arrays = [rng.integers(low, 2 if dtype.is_bool else 5, shape).astype(dtype.numpy) for shape in shapes]
        doubled = [array * 2 for array in arrays] if producer else arrays
        (expected,) = op.reference(doubled, attributes, [])
        np.testing.assert_array_equal(loaded(*arrays)[0], expected + 1 if consumer else expected)
        return loaded

    return run


def dot_numbers(lhs_contracting, rhs_contracting, lhs_batching=(), rhs_batching=()):
    numbers = DotDimensionNumbers(lhs_batching, rhs_batching, lhs_contracting, rhs_contracting)
    return DotGeneralAttributes(numbers)


def double(element):
    return scalar.add(element, element)


def increment(value):
    return scalar.add(value, scalar.constant(1, value.dtype))


@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 40, 9), (40, 1, 9), (6, 16, 8), (37, 53, 61), (70, 20, 600), (13, 300, 7), (65, 33, 257)]
)
@pytest.mark.parametrize("fused", [False, True])
def test_matrix_products(check, m, n, k, transposed, fused):
    shapes = [(k, m) if transposed[0] else (m, k), (n, k) if transposed[1] else (k, n)]
    attributes = dot_numbers((0 if transposed[0] else 1,), (1 if transposed[1] else 0,))
    fusion = {"producer": double, "consumer": increment} if fused else {}
    check(DOT_GENERAL, lower_dot_general, shapes, attributes, dtypes.f32, 0, **fusion)


@pytest.mark.parametrize("level", ["x86-64", "x86-64-v3"])
def test_other_levels(check, level):
    if not host().has_fma or not host().triple.startswith("x86_64"):
        pytest.skip("needs an x86-64 machine of level 3")
    for shapes in ([(37, 61), (61, 53)], [(5, 61), (61, 9)]):
        check(DOT_GENERAL, lower_dot_general, shapes, dot_numbers((1,), (0,)), dtypes.f32, 0, target=named(level))


@pytest.mark.parametrize("seed", range(30))
def test_any_axes_of_any_dtype(check, seed):
    rng = np.random.default_rng(seed)
    groups = [[int(rng.choice(SIZES)) for _ in range(rng.integers(0, 3))] for _ in range(4)]
    batch, rows, columns, contracting = groups

    def layout(free):
        sizes = [*batch, *free, *contracting]
        order = rng.permutation(len(sizes)) if rng.random() < 0.7 else np.arange(len(sizes))
        places = np.argsort(order)
        split = len(batch), len(batch) + len(free)
        batching, summed = places[: split[0]], places[split[1] :]
        return tuple(sizes[axis] for axis in order), tuple(map(int, batching)), tuple(map(int, summed))

    lhs, lhs_batching, lhs_contracting = layout(rows)
    rhs, rhs_batching, rhs_contracting = layout(columns)
    attributes = dot_numbers(lhs_contracting, rhs_contracting, lhs_batching, rhs_batching)
    dtype = DTYPES[int(rng.integers(len(DTYPES)))]
    fusion = {"producer": double, "consumer": increment} if dtype.is_float and rng.random() < 0.3 else {}
    check(DOT_GENERAL, lower_dot_general, [lhs, rhs], attributes, dtype, seed, **fusion)


def test_a_product_may_be_wider_than_its_operands(load_program, check):
    attributes = DotGeneralAttributes(DotDimensionNumbers((), (), (1,), (0,)), result_dtype=dtypes.i32)
    check(DOT_GENERAL, lower_dot_general, [(9, 200), (200, 11)], attributes, dtypes.i8, 0)


def test_the_register_tile_is_used(check):
    loaded = check(DOT_GENERAL, lower_dot_general, [(64, 64), (64, 64)], dot_numbers((1,), (0,)), dtypes.f32, 0)
    assert "multiply.f32" in loaded.compiled.assembly()


def random_convolution(rng):
    """Shapes and attributes of a random convolution with 0 to 3 spatial axes."""
    rank = int(rng.integers(0, 4))
    spatial = [str(axis) for axis in range(rank)]
    layouts = [["b", "f", *spatial], ["o", "i", *spatial], ["b", "f", *spatial]]
    kind = rng.random()
    if kind < 0.4:
        layouts = [["b", *spatial, "f"], [*spatial, "i", "o"], ["b", *spatial, "f"]]
    elif kind > 0.7:
        layouts = [list(rng.permutation(layout)) for layout in layouts]
    groups = int(rng.integers(1, 7)) if rng.random() < 0.4 else 1
    by_batch = rng.random() < 0.4
    channels, features = int(rng.choice([1, 2, 3, 7, 16])), int(rng.choice([1, 2, 4, 5, 16, 20]))
    extents = {axis: int(rng.integers(0 if rng.random() < 0.05 else 1, 12)) for axis in spatial}
    batch = int(rng.integers(1, 4)) * (groups if by_batch else 1)
    inputs = {"b": batch, "f": channels * (1 if by_batch else groups), **extents}
    kernel = {"i": channels, "o": groups * features, **{axis: int(rng.integers(1, 4)) for axis in spatial}}
    places = [
        [layout.index(axis) for axis in (*labels, *spatial)]
        for layout, labels in zip(layouts, ("bf", "io", "bf"), strict=True)
    ]
    numbers = ConvDimensionNumbers(
        *(part for place in places for part in (place[0], place[1], tuple(place[2:]))),
    )

    def steps(low, high):
        return tuple(int(step) for step in rng.integers(low, high, rank))

    attributes = ConvolutionAttributes(
        numbers,
        window_strides=steps(1, 3),
        padding=tuple((int(low), int(high)) for low, high in rng.integers(-1, 4, (rank, 2))),
        lhs_dilation=steps(1, 3) if rng.random() < 0.3 else (1,) * rank,
        rhs_dilation=steps(1, 3),
        window_reversal=tuple(bool(flag) for flag in rng.integers(0, 2, rank)),
        feature_group_count=1 if by_batch else groups,
        batch_group_count=groups if by_batch else 1,
    )
    shapes = [[inputs[axis] for axis in layouts[0]], [kernel[axis] for axis in layouts[1]]]
    return shapes, attributes


@pytest.mark.parametrize("seed", range(40))
def test_convolutions(check, seed):
    rng = np.random.default_rng(seed)
    shapes, attributes = random_convolution(rng)
    dtype = [dtypes.f32, dtypes.f32, dtypes.f64, dtypes.i32, dtypes.bool_][int(rng.integers(5))]
    fusion = {"producer": double, "consumer": increment} if dtype.is_float and rng.random() < 0.3 else {}
    check(CONVOLUTION, lower_convolution, shapes, attributes, dtype, seed, **fusion)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("channels", "features", "groups"), [(70, 40, 1), (300, 9, 1), (32, 32, 32), (64, 64, 4)])
def test_convolutions_of_many_channels(check, channels, features, groups, channels_last):
    axes = (0, 3, (1, 2), 2, 3, (0, 1), 0, 3, (1, 2)) if channels_last else (0, 1, (2, 3), 1, 0, (2, 3), 0, 1, (2, 3))
    ones = (1, 1)
    padding = ((1, 1), (1, 1))
    attributes = ConvolutionAttributes(ConvDimensionNumbers(*axes), ones, padding, ones, ones, (False, False), groups)
    each = channels // groups
    shapes = (
        [(2, 9, 11, channels), (3, 3, each, features)]
        if channels_last
        else [(2, channels, 9, 11), (features, each, 3, 3)]
    )
    check(CONVOLUTION, lower_convolution, shapes, attributes, dtypes.f32, 0)
