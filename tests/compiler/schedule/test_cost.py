"""Costs of scalar functions, by their operations: near to what one core with AVX2 was measured to take."""

from __future__ import annotations

import pytest

from tenfold_rt import dtypes
from tenfoldc.loops import math
from tenfoldc.loops.ir import Axis, Buffer, Load, Store
from tenfoldc.schedule.cost import Costs

MEASURED = {
    "exp": (0.22, 0.77),
    "log": (0.45, 1.5),
    "tanh": (0.45, 1.3),
    "logistic": (0.45, 1.3),
    "erf": (0.33, 2.9),
    "sin": (1.0, 3.2),
    "tan": (1.5, 4.3),
    "log1p": (0.63, 2.0),
    "expm1": (0.44, 1.0),
    "lgamma": (14.0, 14.3),
}
"""Nanoseconds for an element of f32 and of f64, reading and writing apart."""


@pytest.mark.parametrize("name", MEASURED)
def test_a_function_costs_what_it_takes(name: str) -> None:
    for dtype, measured in zip((dtypes.f32, dtypes.f64), MEASURED[name], strict=True):
        x, y, i = Buffer("x", dtype, (64,)), Buffer("y", dtype, (64,)), Axis("i")
        element = Load(x, (i,))
        copied, computed = (Costs().of((Store(y, (i,), v),)) for v in (element, getattr(math, name)(element)))
        assert 1 / 2.5 < (computed - copied) / measured < 2.5
