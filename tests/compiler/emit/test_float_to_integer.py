"""Floats that are no integers, or none of the type asked for: cut off, held at the type's limits, and NaN is 0."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
from compiled import call, case, compile_library

from tenfold_rt import dtypes
from tenfoldc import ops

INTEGERS = [dtypes.i8, dtypes.i16, dtypes.i32, dtypes.i64, dtypes.u8, dtypes.u16, dtypes.u32, dtypes.u64]
NEAR_LIMITS = [2.0**bits + step for bits in (7, 8, 15, 16, 31, 32, 63, 64) for step in (-1, -0.5, 0, 0.5, 1)]
SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 1e30, math.inf, math.nan, 2.0**31 - 128, 2.0**32 - 256, *NEAR_LIMITS]


def held(value: float, least: int, most: int) -> int:
    if math.isnan(value):
        return 0
    return max(least, min(most, int(value) if math.isfinite(value) else int(math.copysign(2**70, value))))


def test_every_float_becomes_the_nearest_integer_towards_zero(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    spread = random.standard_normal(500) * np.exp2(random.uniform(-2, 40, 500))
    values = np.concatenate([SPECIAL, np.negative(SPECIAL), spread])
    pairs = list(itertools.product((np.float32, np.float64), INTEGERS))
    cases = [
        case(f"{float_type.__name__} to {to}", lambda x, to=to: ops.convert(x, to), values.astype(float_type))
        for float_type, to in pairs
    ]
    library = compile_library([one.module for one in cases], tmp_path)
    for number, (one, (_, to)) in enumerate(zip(cases, pairs, strict=True)):
        (actual,) = call(library, one.module, one.arrays, f"main{number}")
        limits = np.iinfo(to.numpy)
        expected = [held(float(value), int(limits.min), int(limits.max)) for value in one.arrays[0]]
        assert list(map(int, actual)) == expected, one.label
