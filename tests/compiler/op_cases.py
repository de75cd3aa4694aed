"""Programs that show what each op does: for every record, cases over the dtypes it takes and shapes that go wrong.

Modules named `cases_…` register them with `shows(record, …)`; `cases_of(record, rng)` gives a record's.  Floats
are quarters, of which sums and small products are exact in any order, so that results are compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from compiled import Array, Build, Case, case

from tenfold_rt.dtypes import DType
from tenfoldc.ir.op import Op
from tenfoldc.ops.elementwise import ALL_COMPILED

Cases = Callable[[np.random.Generator], Iterator[Case]]

SHAPES = ((), (0,), (1,), (7,), (33,), (3, 0, 2), (2, 3, 5), (1, 1, 1, 2, 1, 3))

_CASES: dict[str, Cases] = {}


def cases_of(record: Op[Any], rng: np.random.Generator) -> list[Case]:
    """The cases of a record; an assertion names a record that has none."""
    assert record.name in _CASES, f"{record.name} has no cases: register them with shows()"
    return list(_CASES[record.name](rng))


def with_cases_of_their_own(records: Iterable[Op[Any]]) -> list[Op[Any]]:
    """Of records that have the same cases, the first."""
    return list({_CASES[record.name]: record for record in reversed(list(records))}.values())[::-1]


def shows(*records: Op[Any]) -> Callable[[Cases], Cases]:
    """Registers a function that yields cases as those of `records`."""

    def register(cases: Cases) -> Cases:
        for record in records:
            _CASES[record.name] = cases
        return cases

    return register


def numbers(rng: np.random.Generator, dtype: DType, shape: Sequence[int]) -> Array:
    """Small numbers of either sign; floats are quarters."""
    shape = tuple(shape)
    if dtype.is_bool:
        return np.asarray(rng.integers(0, 2, shape), bool)
    drawn = rng.integers(0 if dtype.is_unsigned else -12, 13, shape)
    return np.asarray(drawn / 4 if dtype.is_float else drawn, dtype.numpy)


def any_bits(rng: np.random.Generator, dtype: DType, shape: Sequence[int]) -> Array:
    """Integers over their whole range, so that arithmetic wraps; other numbers as `numbers` has them."""
    if not dtype.is_integer:
        return numbers(rng, dtype, shape)
    limits = np.iinfo(dtype.numpy)
    return np.asarray(rng.integers(limits.min, limits.max, tuple(shape), dtype.numpy, endpoint=True))


def over_dtypes(label: str, build: Build, *shapes: Sequence[int], kinds: Sequence[DType] = ALL_COMPILED) -> Cases:
    """One case per dtype, every operand of that dtype and with any bits."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for dtype in kinds:
            yield case(f"{label} {dtype.name}", build, *[any_bits(rng, dtype, shape) for shape in shapes])

    return cases
