"""The largest and the least of several floats: as if two at a time, with fewer instructions."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

import numpy as np
import pytest
from compiled import case, check, single, type_of

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.pipeline import stage_text
from tenfoldc.target import named


def largest(*numbers: Var) -> Var:
    return functools.reduce(ops.maximum, numbers)


def least(*numbers: Var) -> Var:
    return functools.reduce(ops.minimum, numbers)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zeros_keep_their_order_and_nan_wins(dtype: type[np.floating], tmp_path: Path) -> None:
    odd = [0.0, -0.0, np.nan, 1.0, -1.0, np.inf]
    columns = np.array(list(itertools.product(odd, repeat=4)), dtype).T
    assert columns.shape == (4, 6**4)
    five = (*columns, np.full_like(columns[0], -np.inf))
    check([case(each.__name__, each, *arrays) for each in (largest, least) for arrays in (columns, five)], tmp_path)


def test_a_number_takes_three_instructions() -> None:
    arrays = [np.zeros(4096, np.float32)] * 16
    module = single(largest, [type_of(array) for array in arrays])
    code = stage_text(module, "asm", target=named("x86-64-v3"))
    loop = next(part for part in code.split("\n.LBB") if "vmaxps" in part and "ymm" in part)
    counts = {name: loop.count(name) for name in ("vmaxps", "vandps", "vcmpunordps", "vorps", "vblendvps")}
    vectors = counts["vmaxps"] // 15
    each = {name: count // vectors for name, count in counts.items()}
    assert each == {"vmaxps": 15, "vandps": 16, "vcmpunordps": 8, "vorps": 8, "vblendvps": 1}
