"""Schedules set the rates and momenta that PyTorch's set, to the last digit, and go on from their state dicts."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import tenfold as tn

torch = pytest.importorskip("torch")

SCHEDULES = """
StepLR(o, 3, 0.5); MultiStepLR(o, [2, 5, 5, 9], 0.5); ExponentialLR(o, 0.9); ConstantLR(o, 0.5, 4)
LinearLR(o, 0.25, 0.9, 6); PolynomialLR(o, 8, 2.0); CosineAnnealingLR(o, 5, 0.01)
CosineAnnealingWarmRestarts(o, 3, 2, 0.01); OneCycleLR(o, 1.0, total_steps=20)
OneCycleLR(o, [1.0, 0.5], epochs=4, steps_per_epoch=5, pct_start=0.4, anneal_strategy="linear", three_phase=True)
OneCycleLR(o, 1.0, 20, cycle_momentum=False)
LambdaLR(o, lambda step: 1 / (step + 1)); LambdaLR(o, [lambda step: 0.9**step, lambda step: 1.0])
MultiplicativeLR(o, lambda step: 0.95)
CyclicLR(o, 0.1, 1.0, 4); CyclicLR(o, [0.1, 0.2], 1.0, 3, 5, "triangular2")
CyclicLR(o, 0.1, 1.0, 3, None, "exp_range", 0.9)
CyclicLR(o, 0.1, 1.0, 3, scale_fn=lambda x: 1 / x, cycle_momentum=False)
SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=4), s.CosineAnnealingLR(o, 10)], [4])
SequentialLR(o, [s.ConstantLR(o, 0.1), s.ExponentialLR(o, 0.9), s.StepLR(o, 2)], [3, 8])
ChainedScheduler([s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9)])
"""
TEXTS = [text.strip() for line in SCHEDULES.strip().splitlines() for text in line.split("; ")]
KINDS = ["SGD(params, lr=0.4, momentum=0.9)", "Adam(params, lr=0.4)"]


def optimiser(library: Any, kind: str = KINDS[0]) -> Any:
    first, second = (library.zeros(1).requires_grad_() for _ in range(2))
    groups = [{"params": [first]}, {"params": [second], "lr": 0.2}]
    return eval(f"optim.{kind}", {"optim": library.optim, "params": groups})


def schedule(library: Any, text: str, steered: Any) -> Any:
    found = library.optim.lr_scheduler
    return eval(f"s.{text}", {"s": found, "o": steered})


def rates(steered: Any, schedule: Any, steps: int) -> list[Any]:
    """The settings that a schedule may change, before each step."""
    found: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's schedules miss the steps of the optimiser.
        for _ in range(steps):
            groups = [(group["lr"], group.get("momentum"), group.get("betas")) for group in steered.param_groups]
            found.append((groups, list(schedule.get_last_lr())))
            schedule.step()
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_rates_are_those_of_pytorch(text: str) -> None:
    for kind in KINDS:
        runs = []
        for library in (tn, torch):
            steered = optimiser(library, kind)
            runs.append(rates(steered, schedule(library, text, steered), 19))
        assert runs[0] == runs[1]


@pytest.mark.parametrize("text", [text for text in TEXTS if "lambda" not in text])
def test_schedules_go_on_from_state_dicts(text: str) -> None:
    first = optimiser(tn)
    begun = schedule(tn, text, first)
    rates(first, begun, 7)
    second = optimiser(tn)
    resumed = schedule(tn, text, second)
    resumed.load_state_dict(begun.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(second, resumed, 6) == rates(first, begun, 6)


def test_steps_can_be_chosen() -> None:
    def chosen(library: Any) -> list[Any]:
        steered, found = optimiser(library), []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for text in ("StepLR(o, 3)", "CosineAnnealingWarmRestarts(o, 3, 2)", "PolynomialLR(o, 9)"):
                made = schedule(library, text, steered)
                for epoch in (4, 2, 7):
                    made.step(epoch)
                    found.append(made.get_last_lr())
        return found

    assert chosen(tn) == chosen(torch)


@pytest.mark.parametrize(
    "settings",
    [{"patience": 2}, {"mode": "max", "patience": 0, "cooldown": 2}, {"threshold_mode": "abs", "threshold": 0.3},
     {"patience": 1, "min_lr": [0.1, 0.05], "factor": 0.3}],
)  # fmt: skip
def test_rates_fall_on_a_plateau_as_in_pytorch(settings: dict[str, Any]) -> None:
    measured = [5.0, 4.0, 4.0, 4.1, 4.2, 3.9, 3.9, 3.9, 3.8, 4.0, 4.0, 4.0, 3.0, 3.1, 3.2, 3.3]

    def fallen(library: Any) -> list[Any]:
        steered = optimiser(library)
        falling = library.optim.lr_scheduler.ReduceLROnPlateau(steered, **settings)
        found: list[Any] = []
        for value in measured:
            falling.step(library.tensor(value))
            found.append((falling.get_last_lr(), [group["lr"] for group in steered.param_groups]))
        return found

    assert fallen(tn) == fallen(torch)


WRONG = [
    "ConstantLR(o, 2.0)", "LinearLR(o, 0.0)", "LinearLR(o, 1.0, 2.0)", "OneCycleLR(o, 1.0)", "OneCycleLR(o, 1.0, -3)",
    "OneCycleLR(o, 1.0, 9, pct_start=2.0)", "CosineAnnealingWarmRestarts(o, 0)", "ReduceLROnPlateau(o, factor=1.0)",
    "ReduceLROnPlateau(o, 'most')", "CyclicLR(o, 0.1, 1.0, mode='square')", "StepLR(3, 4)",
    "StepLR(o, 2, last_epoch=3)",
    "SequentialLR(o, [s.StepLR(o, 2)], [3])", "ChainedScheduler([])",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_wrong_settings_raise_the_classes_of_pytorch(text: str) -> None:
    for library in (tn, torch):
        with pytest.raises((ValueError, TypeError, KeyError)) as info:
            schedule(library, text, optimiser(library))
        if library is tn:
            ours = info.value
    assert any(isinstance(ours, kind) and isinstance(info.value, kind) for kind in (ValueError, TypeError, KeyError))
