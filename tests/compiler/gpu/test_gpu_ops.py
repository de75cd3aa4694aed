"""Every op as kernels for a GPU against its NumPy reference, in the interpreter of PTX."""

from __future__ import annotations

from typing import Any

import cases_compound
import cases_control
import cases_elementwise
import cases_linear_algebra
import cases_movement
import numpy as np
import pytest
from op_cases import cases_of, with_cases_of_their_own
from simulated import check

from tenfoldc.ir.op import OPS, Op

REGISTERED = (cases_compound, cases_control, cases_elementwise, cases_linear_algebra, cases_movement)
"""The modules that register cases as they are imported."""

RECORDS = with_cases_of_their_own(record for _, record in sorted(OPS.items()))
SAMPLE, MANY = 1, 6
"""How many of a record's cases run each time, and in the slow test; the seed that draws them is printed."""


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.mnemonic)
def test_kernels_give_what_the_reference_gives(record: Op[Any], rng: np.random.Generator) -> None:
    cases = cases_of(record, rng)
    drawn = rng.permutation(len(cases))[:SAMPLE]
    check([cases[number] for number in sorted(drawn)], schedules=[0])


@pytest.mark.slow
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.mnemonic)
def test_kernels_give_what_the_reference_gives_in_many_cases(record: Op[Any], rng: np.random.Generator) -> None:
    cases = cases_of(record, rng)
    drawn = rng.permutation(len(cases))[:MANY]
    check([cases[number] for number in sorted(drawn)])
