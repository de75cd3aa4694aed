"""A schedule by what is measured: the rate falls when that gets no better."""

from __future__ import annotations

import math
from typing import Any, Literal

from tenfold.optim.lr_scheduler.schedule import LRScheduler, for_each_group
from tenfold.optim.optimizer import Optimizer
from tenfold_rt.errors import ArgumentError, DTypeError


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` when `patience` steps in a row brought nothing better by `threshold`.

    Better is less ("min") or more ("max"), by a share of the best ("rel") or by a difference ("abs").  After each
    reduction nothing is counted for `cooldown` steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ArgumentError("Factor should be < 1.0.")
        if not isinstance(optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if mode not in ("min", "max"):
            raise ArgumentError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"threshold mode {threshold_mode} is unknown!")
        self.factor, self.optimizer, self.default_min_lr = factor, optimizer, min_lr
        self.min_lrs = for_each_group(optimizer, min_lr, "min_lr")
        self.patience, self.cooldown, self.eps = patience, cooldown, eps
        self.last_epoch = 0
        self._last_lr = self._rates()
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.best, self.cooldown_counter, self.num_bad_epochs = self.mode_worse, 0, 0

    @property
    def in_cooldown(self) -> bool:
        """Whether bad steps are not counted now."""
        return self.cooldown_counter > 0

    def is_better(self, a: float, best: float) -> bool:
        """Whether `a` is better than `best` by the threshold."""
        sign = -1 if self.mode == "min" else 1
        wanted = best + sign * self.threshold
        if self.threshold_mode == "rel":
            wanted = best * (1.0 + sign * self.threshold)
        return a < wanted if self.mode == "min" else a > wanted

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take in what was measured, a number or a tensor of one."""
        if metrics is None:
            raise ArgumentError("ReduceLROnPlateau: step needs what was measured", mend="give step(loss)")
        current = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(current, self.best):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            before = float(group["lr"])
            after = max(before * self.factor, least)
            if before - after > self.eps:
                group["lr"] = after
