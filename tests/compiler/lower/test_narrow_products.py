"""Products too narrow for a register tile: a batch of them that shares one factor is lowered as one wide product."""

import numpy as np
import pytest
from plain_context import Lowering

from tenfoldc import ops
from tenfoldc.loops.ir import MultiplyPanels
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.lower.convolutions.convolution import lower_convolution
from tenfoldc.ops.convolution import ConvDimensionNumbers
from tenfoldc.target import host, named
from tenfoldc.tuning import Decisions


def kernel_gradient(x, cotangent):
    """A 3x3 convolution's gradient for its kernel: 3x3 results for each pair of features, the images summed over."""
    numbers = ConvDimensionNumbers(1, 0, (2, 3), 0, 1, (2, 3), 1, 0, (2, 3))
    return ops.convolution(x, cotangent, numbers, padding=((1, 1), (1, 1)))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(4)
    return [rng.integers(-3, 4, shape).astype(np.float32) for shape in [(2, 16, 6, 6), (2, 5, 6, 6)]]


def test_tiles_are_full_width(arrays):
    lowering = Lowering(
        kernel_gradient, arrays, lambda op, ctx: lower_convolution(op, ctx, named("x86-64-v3"), Decisions())
    )
    statements = walk_statements(lowering.statements)
    widths = {statement.columns for statement in statements if isinstance(statement, MultiplyPanels)}
    assert widths == {16}  # 16 features times 9 places of the window are 9 tiles of 16 columns


@pytest.mark.parametrize("epilogue", [False, True])
def test_the_merged_product_is_the_convolution(arrays, load_program, epilogue):
    lowering = Lowering(
        kernel_gradient, arrays, lambda op, ctx: lower_convolution(op, ctx, host(), Decisions()), epilogue=epilogue
    )
    (result,) = load_program(lowering.program())(*arrays)
    np.testing.assert_array_equal(-result if epilogue else result, lowering.expected[0])
