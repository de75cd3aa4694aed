"""Cases of elementwise records: all combinations of special values, every dtype and every choice of attributes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from compiled import Array, Build, Case, Compare, case, close, within_ulps
from op_cases import numbers, shows

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.core import NO_ATTRIBUTES, Attributes
from tenfoldc.ir.op import OPS, Op
from tenfoldc.ops import Direction
from tenfoldc.ops.comparison import CompareAttributes, CompareType
from tenfoldc.ops.conversion import ConvertAttributes
from tenfoldc.ops.elementwise import Elementwise
from tenfoldc.ops.gamma import PolygammaAttributes

TRANSCENDENTAL_ULPS = 6
GAMMAS = (ops.LGAMMA, ops.DIGAMMA, ops.POLYGAMMA)
GAMMA_TOLERANCE = close(f32=4e-6, f64=2e-14)
"""Near their zeros neither the reference nor the code has a small relative error."""

ANGLES = (ops.SINE, ops.COSINE, ops.TAN)
ANGLE_LIMIT = 2.0**52
"""Beyond it NumPy's own f64 angles are no measure."""


def elementwise_cases(record: Elementwise[Any], rng: np.random.Generator) -> Iterator[Case]:
    for dtype in record.dtypes:
        arrays = combinations(record, dtype)
        compare = measure(record, dtype)
        for attributes in attributes_of(record, dtype):
            label = f"{dtype.name} {attributes if attributes is not NO_ATTRIBUTES else ''}"
            yield case(label, applied(record, attributes), *arrays, compare=compare)
    dtype = record.dtypes[-1]
    attributes, compare = attributes_of(record, dtype)[0], measure(record, dtype)
    for shape in ((), (0,), (3, 0, 2), (5, 7)):
        arrays = [numbers(rng, kind, shape) for kind in operand_dtypes(record, dtype)]
        yield case(f"{dtype.name}{shape}", applied(record, attributes), *arrays, compare=compare)


def measure(record: Elementwise[Any], dtype: DType) -> Compare:
    """How near the code must be to the reference."""
    if record in GAMMAS:
        return GAMMA_TOLERANCE
    return within_ulps(TRANSCENDENTAL_ULPS if dtype.is_float else 0)


def applied(record: Op[Any], attributes: Attributes) -> Build:
    return lambda *operands: record.apply(*operands, attributes=attributes)


def operand_dtypes(record: Elementwise[Any], dtype: DType) -> list[DType]:
    """The operands' element types where `dtype` is what the op computes with."""
    others = [dtype] * (record.arity - 1)
    return [dtypes.bool_ if record is ops.SELECT else dtype, *others]


def attributes_of(record: Elementwise[Any], dtype: DType) -> list[Attributes]:
    """Every choice of attributes that the record has for operands of `dtype`."""
    if record is ops.COMPARE:
        kinds = [None, CompareType.TOTALORDER] if dtype.is_float else [None]
        return [CompareAttributes(direction, kind) for direction in Direction for kind in kinds]
    if record is ops.CONVERT:
        return [ConvertAttributes(target) for target in record.dtypes if target != dtype]
    if record is ops.POLYGAMMA:
        return [PolygammaAttributes(order) for order in (1, 2, 3)]
    return [NO_ATTRIBUTES]


def combinations(record: Elementwise[Any], dtype: DType) -> list[Array]:
    """One vector per operand: all combinations of special values."""
    values = [special_values(kind, few=record.arity == 3) for kind in operand_dtypes(record, dtype)]
    if record in ANGLES and dtype == dtypes.f64:
        values = [x[~(np.abs(x) >= ANGLE_LIMIT) | np.isinf(x)] for x in values]
    return [grid.reshape(-1) for grid in np.meshgrid(*values, indexing="ij")]


def special_values(dtype: DType, *, few: bool) -> Array:
    """Numbers where code goes wrong: zeros, units, halves, extremes, NaN."""
    numpy = dtype.numpy
    if dtype.is_bool:
        return np.array([False, True])
    if dtype.is_integer:
        limits = np.iinfo(numpy)
        wanted = [0, 1, 2, 3, 7, 8, 31, 33, 63, 64, 100, -1, -2, -3, -8, limits.max, limits.min, limits.min + 1]
        kept = sorted({value for value in wanted if limits.min <= value <= limits.max})
        return np.array(kept[:: 3 if few else 1], numpy)
    limits = ml_dtypes.finfo(numpy)
    units = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.inf, -np.inf, np.nan]
    extremes = [limits.max, -limits.max, limits.smallest_subnormal, limits.smallest_normal]
    edges = [*map(float, extremes), 0.49999997, -0.3, 3.7, 1.5]
    more = [-1.5, 2.5, 130.0, -130.0, 88.0, -104.0, 2.0**31, -(2.0**31), 2.0**63, 2.0**32, 1e-5, np.pi, 255.5]
    with np.errstate(over="ignore"):
        return np.array(units if few else units + edges + more, np.float64).astype(numpy)


for _record in OPS.values():
    if isinstance(_record, Elementwise):
        shows(_record)(functools.partial(elementwise_cases, _record))
