"""Schedules of rate and momentum, the one high where the other is low: cycles, and a single one (Smith, 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from tenfold.optim.lr_scheduler.schedule import LRScheduler, for_each_group
from tenfold.optim.optimizer import Optimizer
from tenfold.optim.parameter_group import ParameterGroup
from tenfold_rt.errors import ArgumentError

Mode: TypeAlias = Literal["triangular", "triangular2", "exp_range"]

_SHAPES: dict[str, tuple[str, Callable[[float, float], float]]] = {
    "triangular": ("cycle", lambda _, gamma: 1.0),
    "triangular2": ("cycle", lambda cycle, gamma: 1 / (2.0 ** (cycle - 1))),
    "exp_range": ("iterations", lambda iterations, gamma: gamma**iterations),
}
"""What the scale of a cycle depends upon, and the scale."""


def _uses_betas(optimizer: Optimizer) -> bool:
    """Whether momentum is the first of `betas`."""
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ArgumentError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    return "betas" in optimizer.defaults


def _set_momentum(group: ParameterGroup, momentum: float, in_betas: bool) -> None:
    if in_betas:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


class CyclicLR(LRScheduler):
    """From `base_lr` up to `max_lr` in `step_size_up` steps, down in `step_size_down`, and so on.

    The height of cycles stays ("triangular"), halves each time ("triangular2"), or is gamma^step ("exp_range"), or
    what `scale_fn` says of the number of the cycle or of the steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Mode = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in _SHAPES and scale_fn is None:
            raise ArgumentError("mode is invalid and scale_fn is None")
        if last_epoch == -1:
            for rate, group in zip(for_each_group(optimizer, base_lr, "base_lr"), optimizer.param_groups, strict=True):
                group["lr"] = rate
        self.max_lrs = for_each_group(optimizer, max_lr, "max_lr")
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode, self.gamma, self._scale_fn_custom = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else _SHAPES[mode][0]
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _uses_betas(optimizer)
            self.base_momentums = for_each_group(optimizer, base_momentum, "base_momentum")
            self.max_momentums = for_each_group(optimizer, max_momentum, "max_momentum")
            if last_epoch == -1:
                for high, low, group in zip(
                    self.max_momentums, self.base_momentums, optimizer.param_groups, strict=True
                ):
                    _set_momentum(group, high, self.use_beta1)
                    group["max_momentum"], group["base_momentum"] = high, low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = for_each_group(optimizer, base_lr, "base_lr")

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, of which `x` is the number, or the number of steps so far."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return _SHAPES[self.mode][1](x, self.gamma)

    def get_lr(self) -> list[Any]:
        """The rates; sets the momenta as well."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for low, high, group in zip(
                self.base_momentums, self.max_momentums, self.optimizer.param_groups, strict=True
            ):
                _set_momentum(group, high - (high - low) * height * scale, self.use_beta1)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        custom = state.pop("_scale_fn_custom")
        plain = custom is None or hasattr(custom, "__code__")
        state["_scale_fn_custom"] = None if plain else dict(custom.__dict__)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        custom = self._scale_fn_custom
        super().load_state_dict(state_dict)
        if custom is not None and state_dict["_scale_fn_custom"] is not None:
            custom.__dict__.update(state_dict["_scale_fn_custom"])
        self._scale_fn_custom = custom


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to `max_lr`, then down to initial_lr / final_div_factor, within `total_steps`.

    `total_steps` may be given as `epochs` and `steps_per_epoch`.  The first `pct_start` of the steps go up; with
    `three_phase` as many go back to the initial rate before the last decrease.  It is stepped after every batch.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ArgumentError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        if last_epoch == -1:
            highest = for_each_group(optimizer, max_lr, "max_lr")
            for rate, group in zip(highest, optimizer.param_groups, strict=True):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self.use_beta1 = _uses_betas(optimizer)
            lows = for_each_group(optimizer, base_momentum, "base_momentum")
            highs = for_each_group(optimizer, max_momentum, "max_momentum")
            if last_epoch == -1:
                for high, low, group in zip(highs, lows, optimizer.param_groups, strict=True):
                    _set_momentum(group, high, self.use_beta1)
                    group["max_momentum"], group["base_momentum"] = high, low
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[Any]:
        """The rates; sets the momenta as well."""
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                f"Tried to step {self.last_epoch} times. The specified number of total steps is {self.total_steps}"
            )
        begin, phase = 0.0, self._schedule_phases[0]
        for place, phase in enumerate(self._schedule_phases):
            if self.last_epoch <= phase["end_step"] or place == len(self._schedule_phases) - 1:
                break
            begin = phase["end_step"]
        share = (self.last_epoch - begin) / (phase["end_step"] - begin)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                momentum = self._anneal(group[phase["start_momentum"]], group[phase["end_momentum"]], share)
                _set_momentum(group, momentum, self.use_beta1)
        return [self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], share) for group in groups]


def _total(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ArgumentError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        total_steps = epochs * steps_per_epoch
    if total_steps <= 0:
        raise ArgumentError(f"Expected positive integer total_steps, but got {total_steps}")
    return total_steps


def _phases(total: int, share: float, three: bool) -> list[dict[str, Any]]:
    """The last step of each phase, and the names of the rates and momenta that it goes from and to."""
    rates = ["initial_lr", "max_lr", "initial_lr", "min_lr"] if three else ["initial_lr", "max_lr", "min_lr"]
    momenta = ["max_momentum", "base_momentum", "max_momentum", "max_momentum"]
    ends = [float(share * total) - 1, *([float(2 * share * total) - 2] if three else []), total - 1]
    return [
        {
            "end_step": end,
            "start_lr": rates[place],
            "end_lr": rates[place + 1],
            "start_momentum": momenta[place],
            "end_momentum": momenta[place + 1],
        }
        for place, end in enumerate(ends)
    ]
