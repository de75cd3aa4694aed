"""Every op as native code against its NumPy reference, and every record with the rules that it ought to have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cases_compound
import cases_control
import cases_elementwise
import cases_linear_algebra
import cases_movement
import numpy as np
import pytest
from compiled import check
from op_cases import cases_of

from tenfoldc.ir.op import OPS, Kind, Op
from tenfoldc.ops.elementwise import Elementwise

REGISTERED = (cases_compound, cases_control, cases_elementwise, cases_linear_algebra, cases_movement)
"""The modules that register cases as they are imported."""

RECORDS = [record for _, record in sorted(OPS.items())]
SAMPLE = 24
"""How many of a record's cases run each time; the seed that draws them is printed, and the slow test runs all."""


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.mnemonic)
def test_native_code_gives_what_the_reference_gives(record: Op[Any], rng: np.random.Generator, tmp_path: Path) -> None:
    cases = cases_of(record, rng)
    drawn = rng.permutation(len(cases))[:SAMPLE]
    check([cases[number] for number in sorted(drawn)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.mnemonic)
def test_native_code_gives_what_the_reference_gives_in_all_cases(
    record: Op[Any], rng: np.random.Generator, tmp_path: Path
) -> None:
    check(cases_of(record, rng), tmp_path)


# Rules

TRANSFORMED_BY_REGION = frozenset(name for name, record in OPS.items() if record.kind is Kind.CONTROL)
"""Control flow has no rules of its own: a transformation rewrites its regions (`tenfoldc.transform`)."""

WITHOUT_OPERANDS = frozenset({"stablehlo.constant", "stablehlo.iota"})
"""Nothing to batch and nothing to differentiate by."""

LOWERED_BY_KIND = frozenset(
    {Kind.REDUCTION, Kind.CONTRACTION, Kind.WINDOW, Kind.SORT, Kind.LINEAR_ALGEBRA, Kind.CONTROL}
)
"""Kinds that lowering knows; the records of all others give their elements, save scatter's."""


def missing_rules(record: Op[Any]) -> list[str]:
    """The rules that a record ought to have and has not."""
    wanted: dict[str, object] = {"infer": record.infer, "reference": record.reference}
    if record.kind not in LOWERED_BY_KIND and record.name != "stablehlo.scatter":
        wanted["element"] = record.element
    if record.name not in TRANSFORMED_BY_REGION | WITHOUT_OPERANDS:
        wanted["batch"] = record.batch_rule
        if not isinstance(record, Elementwise) or record.differentiable:
            wanted |= {"jvp": record.jvp_rule, "vjp": record.vjp_rule}
    return [name for name, rule in wanted.items() if rule is None]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.mnemonic)
def test_record_has_all_rules(record: Op[Any]) -> None:
    assert missing_rules(record) == [], record.name


def test_a_missing_rule_is_named() -> None:
    record: Op[Any] = Op("chlo.test_bare", Kind.MOVEMENT, infer=lambda *_: (), reference=lambda *_: ())
    del OPS[record.name]
    assert missing_rules(record) == ["element", "batch", "jvp", "vjp"]


def test_a_record_without_cases_is_named(rng: np.random.Generator) -> None:
    record: Op[Any] = Op("chlo.test_unshown", Kind.MOVEMENT, infer=lambda *_: (), reference=lambda *_: ())
    del OPS[record.name]
    with pytest.raises(AssertionError, match="test_unshown has no cases"):
        cases_of(record, rng)
