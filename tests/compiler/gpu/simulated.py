"""Kernels for a GPU against the reference: tensor programs compiled into one plan, run on a simulated device, compared.

`check(cases)` is to plans what `compiled.check` is to libraries.  Memory that nobody wrote, accesses outside, races and
threads that wait for ever are errors of the device.  Each entry is called under several schedules, which must agree to
the bit, and parameters that are not donated must be left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from compiled import Array, Case, compare_all
from simulated_device import SimulatedDevice

from tenfold_rt.cuda.memory import DeviceArray
from tenfold_rt.cuda.plan import Launch, Plan, Repeat, Step
from tenfold_rt.cuda.run import LoadedPlan
from tenfoldc.gpu import compile_plan
from tenfoldc.interpret import interpret
from tenfoldc.ir.core import Function, Module
from tenfoldc.target import gpu

SCHEDULES = (0, 1)


def plan_of(modules: Iterable[Module], architecture: str = "sm_90a") -> Plan:
    """The `main` of each module as entry `main0`, `main1`, … of one plan."""
    functions: dict[str, Function] = {}
    entries: list[str] = []
    for number, module in enumerate(modules):
        entry = f"main{number}"
        functions |= {key: function for key, function in module.functions.items() if key != "main"}
        functions[entry] = replace(module["main"], name=entry)
        entries.append(entry)
    return compile_plan(Module(functions, tuple(entries)), target=gpu(architecture), library="tested")


def call(plan: Plan, arrays: Sequence[Array], entry: str | None = None, schedule: int = 0) -> list[Array]:
    """The results of an entry, or of the first, on a new device."""
    entry = plan.entries[0].name if entry is None else entry
    device = SimulatedDevice()
    device.schedule = schedule
    given = [DeviceArray.of_host(device, np.asarray(array, order="C")) for array in arrays]
    function = LoadedPlan(plan, device).entry(entry)
    returned = function(*given)
    assert returned is not NotImplemented, "the arguments do not fit"
    results = list(returned) if isinstance(returned, tuple) else [returned]
    donated = next({p for p, _ in each.donated} for each in plan.entries if each.name == entry)
    for number, (before, after) in enumerate(zip(arrays, given, strict=True)):
        if number not in donated:
            assert np.asarray(before).tobytes() == after.host().tobytes(), f"parameter {number} was written to"
    return [result.host() for result in results]


def check(cases: Sequence[Case], schedules: Sequence[int] = SCHEDULES) -> None:
    """Compile all cases into one plan; every result has the type and, as its case compares, the value expected."""
    plan = plan_of(case.module for case in cases)
    failures: dict[str, str] = {}
    for number, case in enumerate(cases):
        try:
            first, *others = (call(plan, case.arrays, f"main{number}", schedule) for schedule in schedules)
            for other in others:
                assert [x.tobytes() for x in first] == [x.tobytes() for x in other], "two schedules differ"
            compare_all(first, interpret(case.module, case.arrays), case.compare)
        except Exception as error:
            failures[case.label] = f"{type(error).__name__}: {error}"
    assert not failures, "\n".join(f"--- {label}\n{message}" for label, message in failures.items())


def launches(plan: Plan, entry: int = 0) -> list[Launch]:
    """The launches of an entry, those of loops once."""
    return list(_launches(plan.entries[entry].steps))


def _launches(steps: Iterable[Step]) -> Iterable[Launch]:
    for step in steps:
        if isinstance(step, Launch):
            yield step
        elif isinstance(step, Repeat):
            yield from _launches(step.steps)
