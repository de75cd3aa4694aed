"""Convolutions with every attribute, against explicit loops."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from checking import apply_once, check_op, check_reference

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.types import Symbol, TensorType


@dataclass(frozen=True)
class Case:
    """Sizes in the order batch, feature, spatial (input) and output feature, input feature, spatial (kernel)."""

    lhs: tuple[int, ...]
    rhs: tuple[int, ...]
    strides: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    lhs_dilation: tuple[int, ...] = ()
    rhs_dilation: tuple[int, ...] = ()
    reversal: tuple[bool, ...] = ()
    features: int = 1
    batches: int = 1
    layout: tuple[tuple[int, ...], ...] = field(default=())

    @property
    def options(self):
        count = len(self.lhs) - 2
        return {
            "window_strides": self.strides or (1,) * count,
            "padding": self.padding or ((0, 0),) * count,
            "lhs_dilation": self.lhs_dilation or (1,) * count,
            "rhs_dilation": self.rhs_dilation or (1,) * count,
            "window_reversal": self.reversal or (False,) * count,
            "feature_group_count": self.features,
            "batch_group_count": self.batches,
        }

    @property
    def numbers(self):
        axes = tuple(range(len(self.lhs)))
        return ops.ConvDimensionNumbers.of(*(self.layout or (axes, axes, axes)))

    def build(self, lhs, rhs):
        return ops.convolution(lhs, rhs, self.numbers, **self.options)

    def operands(self, rng, dtype=np.float64):
        """Random operands of small whole numbers, laid out as the dimension numbers say."""
        return [
            np.transpose(
                rng.integers(0 if np.dtype(dtype).kind == "u" else -9, 9, sizes).astype(dtype), np.argsort(axes)
            )
            for sizes, axes in ((self.lhs, self.numbers.input), (self.rhs, self.numbers.kernel))
        ]


def convolved(case, lhs, rhs):
    """The definition, one product at a time."""
    x, kernel = np.transpose(lhs, case.numbers.input), np.transpose(rhs, case.numbers.kernel)
    of = {name: value for name, value in case.options.items() if isinstance(value, tuple)}
    spatial = [dict(zip(of, values, strict=True)) for values in zip(*of.values(), strict=True)]
    counts = []
    for axis, (size, window) in enumerate(zip(x.shape[2:], kernel.shape[2:], strict=True)):
        extent = max((size - 1) * spatial[axis]["lhs_dilation"] + 1, 0) + sum(spatial[axis]["padding"])
        room = extent - ((window - 1) * spatial[axis]["rhs_dilation"] + 1)
        counts.append(room // spatial[axis]["window_strides"] + 1 if room >= 0 else 0)
    batch, outputs = x.shape[0] // case.batches, kernel.shape[0]
    group_outputs = outputs // (case.features * case.batches)
    result = np.zeros((batch, outputs, *counts), x.dtype)
    for n, o, *at in np.ndindex(*result.shape):
        group = o // group_outputs
        row = n + batch * group if case.batches > 1 else n
        for i, *k in np.ndindex(*kernel.shape[1:]):
            feature = i + kernel.shape[1] * group if case.features > 1 else i
            place = _place(at, k, x.shape[2:], kernel.shape[2:], spatial)
            if place is not None:
                result[(n, o, *at)] += x[(row, feature, *place)] * kernel[(o, i, *k)]
    return np.transpose(result, np.argsort(case.numbers.output))


def _place(at, k, sizes, windows, spatial):
    """Which input element meets kernel element `k` in window `at`; None where it is padding."""
    place = []
    for position, offset, size, window, of in zip(at, k, sizes, windows, spatial, strict=True):
        turned = window - 1 - offset if of["window_reversal"] else offset
        shifted = position * of["window_strides"] + turned * of["rhs_dilation"] - of["padding"][0]
        index, remainder = divmod(shifted, of["lhs_dilation"])
        if remainder or not 0 <= index < size:
            return None
        place.append(index)
    return place


CASES = {
    "plain": Case((2, 3, 7), (5, 3, 3)),
    "no spatial axis": Case((2, 3), (5, 3)),
    "two axes": Case((2, 3, 5, 4), (4, 3, 3, 2), strides=(2, 1), padding=((1, 1), (0, 1))),
    "three axes": Case((1, 2, 3, 4, 3), (2, 2, 2, 1, 3), padding=((0, 1), (1, 0), (1, 1))),
    "stride leaves a rest": Case((1, 1, 8), (1, 1, 3), strides=(3,)),
    "stride beyond the window": Case((1, 2, 9), (1, 2, 2), strides=(4,), padding=((1, 0),)),
    "dilated kernel": Case((1, 2, 9), (3, 2, 3), rhs_dilation=(3,), padding=((2, 1),)),
    "dilated input": Case((2, 1, 4), (2, 1, 3), lhs_dilation=(2,), padding=((2, 3),)),
    "all dilated": Case((1, 2, 5), (2, 2, 2), (2,), ((3, -1),), (3,), (2,), (True,)),
    "negative padding": Case((1, 2, 9), (3, 2, 3), padding=((-1, -2),)),
    "negative high padding": Case((1, 1, 7), (1, 1, 2), strides=(2,), padding=((2, -3),)),
    "negative padding of a dilated input": Case((1, 1, 5), (2, 1, 2), padding=((-2, -3),), lhs_dilation=(2,)),
    "padding beyond the window": Case((1, 1, 3), (1, 1, 2), padding=((4, 5),)),
    "reversal": Case((1, 2, 5, 4), (3, 2, 3, 2), reversal=(True, False), padding=((1, 1), (0, 0))),
    "feature groups": Case((2, 6, 5), (4, 3, 3), features=2, padding=((1, 1),)),
    "depthwise": Case((2, 3, 5), (6, 1, 2), features=3, strides=(2,)),
    "batch groups": Case((4, 3, 5), (6, 3, 3), batches=2, padding=((0, 1),)),
    "batch groups of one": Case((3, 2, 4), (3, 2, 2), batches=3, rhs_dilation=(2,)),
    "no window fits": Case((2, 3, 2), (4, 3, 5)),
    "empty batch": Case((0, 3, 5), (4, 3, 3)),
    "no features": Case((2, 0, 5), (4, 0, 3)),
    "only padding": Case((2, 3, 0), (4, 3, 2), padding=((2, 1),)),
    "all removed": Case((2, 3, 4), (4, 3, 1), padding=((-3, -3),)),
    "layout": Case(
        (2, 3, 5, 4),
        (4, 3, 3, 2),
        strides=(2, 1),
        reversal=(False, True),
        layout=((0, 3, 1, 2), (3, 2, 0, 1), (1, 3, 0, 2)),
    ),
    "layout and feature groups": Case(
        (2, 6, 5), (4, 3, 3), features=2, layout=((2, 0, 1), (1, 2, 0), (2, 1, 0)), lhs_dilation=(2,)
    ),
    "layout and batch groups": Case(
        (4, 3, 5), (6, 3, 3), batches=2, layout=((1, 2, 0), (2, 0, 1), (1, 0, 2)), strides=(2,)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_convolution(case, rng):
    lhs, rhs = case.operands(rng)
    check_op(case.build, [lhs, rhs], convolved(case, lhs, rhs), rng=rng)


def random_case(rng):
    count = int(rng.integers(0, 3))

    def per_axis(low, high):
        return tuple(int(value) for value in rng.integers(low, high, count))

    kind, groups = int(rng.integers(3)), int(rng.integers(1, 4))
    features, batches = (groups if kind == 1 else 1), (groups if kind == 2 else 1)
    batch, inputs, outputs = (int(value) for value in rng.integers(1, 4, 3))
    layout = tuple(tuple(int(axis) for axis in rng.permutation(count + 2)) for _ in range(3))
    return Case(
        (batch * batches, inputs * features, *per_axis(1, 7)),
        (outputs * features * batches, inputs, *per_axis(1, 4)),
        per_axis(1, 4),
        tuple(zip(per_axis(-2, 4), per_axis(-2, 4), strict=True)),
        per_axis(1, 4),
        per_axis(1, 4),
        tuple(bool(flag) for flag in rng.integers(0, 2, count)),
        features,
        batches,
        layout,
    )


def test_random_convolutions(rng):
    for _ in range(40):
        case = random_case(rng)
        print(case)
        lhs, rhs = case.operands(rng)
        check_op(case.build, [lhs, rhs], convolved(case, lhs, rhs), rng=rng)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32])
def test_convolution_of_other_numbers(dtype, rng):
    case = CASES["feature groups"]
    lhs, rhs = case.operands(rng, dtype)
    expected = convolved(case, lhs.astype(np.float64), rhs.astype(np.float64)).astype(np.int64).astype(dtype)
    check_op(case.build, [lhs, rhs], expected, rng=rng)


def test_convolution_of_bools_is_or_of_ands(rng):
    case = CASES["two axes"]
    lhs, rhs = (operand > 5 for operand in case.operands(rng))
    expected = convolved(case, lhs.astype(np.int64), rhs.astype(np.int64)) > 0
    check_reference(apply_once(case.build, [lhs, rhs]), expected)


def parameters(lhs, rhs):
    builder = Builder()
    return builder.parameter(TensorType(dtypes.f32, lhs)), builder.parameter(TensorType(dtypes.f32, rhs))


NUMBERS = ops.ConvDimensionNumbers.of((0, 1, 2), (0, 1, 2), (0, 1, 2))


def test_a_symbolic_batch_is_carried():
    n = Symbol("n")
    assert ops.convolution(*parameters((n, 3, 8), (4, 3, 3)), NUMBERS).shape == (n, 4, 6)


def test_symbolic_spatial_sizes_are_refused():
    with pytest.raises(ShapeError, match="need known sizes"):
        ops.convolution(*parameters((2, 3, Symbol("n")), (4, 3, 3)), NUMBERS)


def test_features_that_differ_are_named():
    with pytest.raises(ShapeError, match=r"6 input features \(lhs, axis 1\) do not match 2 \(rhs, axis 1\) times 2"):
        ops.convolution(*parameters((2, 6, 8), (4, 2, 3)), NUMBERS, feature_group_count=2)


def test_groups_must_divide_the_output_features():
    with pytest.raises(ShapeError, match="2 groups do not divide the 3 output features"):
        ops.convolution(*parameters((2, 6, 8), (3, 3, 3)), NUMBERS, feature_group_count=2)


def test_groups_must_divide_the_batch():
    with pytest.raises(ShapeError, match="batch_group_count 2 does not divide the batch of 3"):
        ops.convolution(*parameters((3, 6, 8), (4, 6, 3)), NUMBERS, batch_group_count=2)


def test_ranks_must_fit_the_dimension_numbers():
    with pytest.raises(ShapeError, match=r"f32\[2, 3, 8, 8\] \(input\) does not have 3 axes"):
        ops.convolution(*parameters((2, 3, 8, 8), (4, 3, 3)), NUMBERS)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"window_strides": (1, 1)}, "2 entries of window_strides for 1 spatial axes"),
        ({"rhs_dilation": (0,)}, "rhs_dilation must be positive"),
        ({"feature_group_count": 0}, "group counts must be positive"),
        ({"feature_group_count": 3, "batch_group_count": 2}, "both more than 1"),
    ],
)
def test_attributes_that_mean_nothing_are_refused(option, message):
    with pytest.raises(ArgumentError, match=message):
        ops.convolution(*parameters((2, 3, 8), (6, 3, 3)), NUMBERS, **option)
