"""Long sums are as exact as NumPy's or PyTorch's pairwise ones, along rows, columns and over all elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from compiled import call, case, compile_library

from tenfoldc import ops

ROWS = [(65_536, 32), (40_000, 40), (3_001, 64)]
SHAPES = [(5_000,), (65_537,), (300_001,), (3, 100_000), (20_011, 5), (300, 700)]


def test_the_error_of_a_long_sum_is_that_of_a_few_additions(tmp_path: Path) -> None:
    """Numbers of one kind are rounded in one direction: one after the other, they would be off by thousands of ulps."""
    random = np.random.default_rng(5)
    arrays = [np.full(shape, 0.1, np.float32) for shape in SHAPES]
    arrays += [random.exponential(1, shape).astype(np.float32) for shape in SHAPES]
    sums = [(x, axes) for x in arrays for axes in ([0], list(range(x.ndim)), [x.ndim - 1])]
    cases = [case(f"{x.shape} along {axes}", lambda x, axes=axes: ops.reduce_sum(x, axes), x) for x, axes in sums]
    library = compile_library([one.module for one in cases], tmp_path)
    for number, (one, (x, axes)) in enumerate(zip(cases, sums, strict=True)):
        (total,) = call(library, one.module, [x], f"main{number}")
        exact = x.sum(tuple(axes), dtype=np.float64)
        np.testing.assert_allclose(total, exact, rtol=4e-6, err_msg=one.label)


def test_columns_of_many_rows_are_as_exact(tmp_path: Path) -> None:
    arrays = [np.full(shape, 0.1, np.float32) for shape in ROWS]
    cases = [case(f"{x.shape}", lambda x: ops.reduce_sum(x, [0]), x) for x in arrays]
    library = compile_library([one.module for one in cases], tmp_path)
    for number, (one, x) in enumerate(zip(cases, arrays, strict=True)):
        (total,) = call(library, one.module, [x], f"main{number}")
        np.testing.assert_allclose(total, x.sum(0, dtype=np.float64), rtol=1e-6, err_msg=one.label)
