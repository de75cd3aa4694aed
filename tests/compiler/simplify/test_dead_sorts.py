"""Tensors that are sorted along with others are left out where nobody reads them and nothing compares by them."""

from __future__ import annotations

import numpy as np
import pytest
from simplifying import assert_same_bits, module_of, simplified

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.core import walk
from tenfoldc.ir.types import TensorType

TYPES = [TensorType(dtypes.f32, (7,))] * 3
INPUTS = [
    np.array([3, 1, 2, 1, 3, 0, 2], np.float32),
    np.arange(7, dtype=np.float32),
    np.arange(7, 14, dtype=np.float32),
]


def less(a, b, c, d, e, f):
    """By the first tensor; equal ones by the second."""
    tie = ops.and_(ops.compare(a, b, ops.Direction.EQ), ops.compare(c, d, ops.Direction.LT))
    return [ops.or_(ops.compare(a, b, ops.Direction.LT), tie)]


@pytest.mark.parametrize(("wanted", "left"), [([0], 2), ([1], 2), ([2], 3), ([0, 2], 3)])
def test_only_what_is_read_or_compared_is_sorted(wanted, left) -> None:
    def body(*tensors):
        results = ops.sort(tensors, 0, True, less)
        return [results[place] for place in wanted]

    module = module_of(TYPES, body)
    after = simplified(module)
    (sort,) = (operation for operation in walk(after["main"].body) if operation.op is ops.SORT)
    assert len(sort.operands) == len(sort.results) == left
    assert_same_bits(module, after, INPUTS)
