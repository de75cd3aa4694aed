"""`LRScheduler`: the base of schedules, which set the learning rates of an optimiser's groups step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from tenfold.optim.optimizer import Optimizer
from tenfold_rt.errors import ArgumentError, DTypeError, MemberError


class LRScheduler:
    """Sets the rates at once to those of step 0, or goes on after step `last_epoch`.

    Each group keeps the rate that it began with as `initial_lr`.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for place, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _detached(group["lr"]))
            elif "initial_lr" not in group:
                raise MemberError(
                    f"param 'initial_lr' is not specified in param_groups[{place}] when resuming scheduler "
                    f"with last_epoch >= 0"
                )
        self.base_lrs: list[Any] = [_detached(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._is_initial = False
        self._last_lr: list[Any] = []
        self._begin()

    def _begin(self) -> None:
        """Set the rates of the first step."""
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_last_lr(self) -> list[Any]:
        """The rate of each group since the last step."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rate of each group at `last_epoch`, most often from the rate of the step before."""
        raise NotImplementedError

    def _closed_form(self) -> list[Any] | None:
        """The rate of each group at any `last_epoch`, where the schedule has a formula for it."""
        return None

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step, or to step `epoch`, and set the rates."""
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            formula = self._closed_form()
            rates = self.get_lr() if formula is None else formula
        self._set(rates)

    def _set(self, rates: list[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = [_detached(group["lr"]) for group in self.optimizer.param_groups]

    def _rates(self) -> list[Any]:
        """The present rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All but the optimiser."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.__dict__.update(state_dict)


def _detached(rate: Any) -> Any:
    """A rate that does not change with the optimiser's where that is a tensor."""
    return rate.clone() if hasattr(rate, "clone") else rate


def for_each_group(optimizer: Optimizer, value: Any, name: str) -> list[Any]:
    """`value` for each group: one for all, or a list of as many as there are."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    values = list(cast("list[Any]", value))
    if len(values) != count:
        raise ArgumentError(f"Expected {count} values for {name}, but got {len(values)}")
    return values


def functions_of(optimizer: Optimizer, functions: Any) -> list[Callable[[int], float]]:
    """A function for each group, from one for all or a list."""
    return for_each_group(optimizer, functions, "lr_lambda")


class LambdaSchedule(LRScheduler):
    """A schedule by functions, of which the state dict holds those that are objects with a state of their own."""

    lr_lambdas: list[Any]

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        plain = [callable(function) and hasattr(function, "__code__") for function in self.lr_lambdas]
        state["lr_lambdas"] = [
            None if is_plain else dict(function.__dict__)
            for is_plain, function in zip(plain, self.lr_lambdas, strict=True)
        ]
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        states = state_dict["lr_lambdas"]
        self.__dict__.update({name: value for name, value in state_dict.items() if name != "lr_lambdas"})
        for function, state in zip(self.lr_lambdas, states, strict=True):
            if state is not None:
                function.__dict__.update(state)
