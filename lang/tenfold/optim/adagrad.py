"""Adagrad and Adadelta: steps scaled by all squares of gradients so far, or by recent ones."""

from __future__ import annotations

from typing import Any

from tenfold.autograd import no_grad
from tenfold.eager import tensor_function
from tenfold.functions.creation import full_like, zeros_like
from tenfold.optim.optimizer import (
    Optimizer,
    Params,
    States,
    gradients,
    overwrite,
    overwrite_states,
    require_at_least_zero,
    step_count,
)
from tenfold.optim.parameter_group import ParameterGroup
from tenfold.specs import float64
from tenfold.tensor import Tensor
from tenfold_rt.errors import ArgumentError


class Adagrad(Optimizer):
    """p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(sum of g^2) + eps) (Duchi et al., 2011)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        require_at_least_zero(learning__rate=lr, lr_decay__value=lr_decay, weight_decay__value=weight_decay)
        require_at_least_zero(initial_accumulator_value__value=initial_accumulator_value, epsilon__value=eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        with no_grad():
            for group in self.param_groups:
                self._states(group, group["params"])

    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        begun = full_like(param, float(group["initial_accumulator_value"]), dtype=param.dtype)
        return {"step": step_count(param), "sum": begun}

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        states = self._states(group, params)
        new, changed = adagrad(
            params,
            gradients(params),
            states,
            lr=group.number("lr"),
            lr_decay=group.number("lr_decay"),
            eps=group.number("eps"),
            weight_decay=group.number("weight_decay") if group["weight_decay"] else None,
            maximize=bool(group["maximize"]),
        )
        overwrite(params, new)
        overwrite_states(states, changed)


@tensor_function
def adagrad(
    params: list[Tensor],
    grads: list[Tensor],
    states: States,
    *,
    lr: Tensor,
    lr_decay: Tensor,
    eps: Tensor,
    weight_decay: Tensor | None,
    maximize: bool,
) -> tuple[list[Tensor], States]:
    """The parameters and the states after one step."""
    new: list[Tensor] = []
    changed: States = []
    for param, grad, state in zip(params, grads, states, strict=True):
        dtype = param.dtype
        direction = -grad if maximize else grad
        if weight_decay is not None:
            direction = direction + param * weight_decay.to(dtype)
        after = {"step": state["step"] + 1, "sum": state["sum"] + direction * direction}
        size = lr / (1 + (after["step"].to(float64) - 1) * lr_decay)
        new.append(param - size.to(dtype) * (direction / (after["sum"].sqrt() + eps.to(dtype))))
        changed.append(after)
    return new, changed


class Adadelta(Optimizer):
    """p -= lr d, d = g sqrt(u + eps) / sqrt(v + eps), u and v being running averages of d^2 and g^2 (Zeiler, 2012)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0.0 <= rho <= 1.0:
            raise ArgumentError(f"Invalid rho value: {rho}")
        require_at_least_zero(learning__rate=lr, epsilon__value=eps, weight_decay__value=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        return {"step": step_count(param), "square_avg": zeros_like(param), "acc_delta": zeros_like(param)}

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        states = self._states(group, params)
        new, changed = adadelta(
            params,
            gradients(params),
            states,
            lr=group.number("lr"),
            rho=group.number("rho"),
            eps=group.number("eps"),
            weight_decay=group.number("weight_decay") if group["weight_decay"] else None,
            maximize=bool(group["maximize"]),
        )
        overwrite(params, new)
        overwrite_states(states, changed)


@tensor_function
def adadelta(
    params: list[Tensor],
    grads: list[Tensor],
    states: States,
    *,
    lr: Tensor,
    rho: Tensor,
    eps: Tensor,
    weight_decay: Tensor | None,
    maximize: bool,
) -> tuple[list[Tensor], States]:
    """The parameters and the states after one step."""
    new: list[Tensor] = []
    changed: States = []
    for param, grad, state in zip(params, grads, states, strict=True):
        dtype = param.dtype
        direction = -grad if maximize else grad
        if weight_decay is not None:
            direction = direction + param * weight_decay.to(dtype)
        kept, rest, least = rho.to(dtype), (1 - rho).to(dtype), eps.to(dtype)
        squares = state["square_avg"] * kept + direction * direction * rest
        delta = (state["acc_delta"] + least).sqrt() / (squares + least).sqrt() * direction
        deltas = state["acc_delta"] * kept + delta * delta * rest
        new.append(param - lr.to(dtype) * delta)
        changed.append({"step": state["step"] + 1, "square_avg": squares, "acc_delta": deltas})
    return new, changed
