"""RMSprop: gradients divided by the root of a running average of their squares."""

from __future__ import annotations

from typing import Any

from tenfold.eager import tensor_function
from tenfold.functions.creation import zeros_like
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
from tenfold.tensor import Tensor


class RMSprop(Optimizer):
    """p -= lr g / (sqrt(v) + eps), v = alpha v + (1 - alpha) g^2 (Tieleman and Hinton, 2012).

    `centered`: less the square of the average of g (Graves, 2013).  `momentum` sums the steps up.
    """

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_at_least_zero(learning__rate=lr, epsilon__value=eps, momentum__value=momentum)
        require_at_least_zero(weight_decay__value=weight_decay, alpha__value=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        begun = {"step": step_count(param), "square_avg": zeros_like(param)}
        if group["momentum"] > 0:
            begun["momentum_buffer"] = zeros_like(param)
        if group["centered"]:
            begun["grad_avg"] = zeros_like(param)
        return begun

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        states = self._states(group, params)
        new, changed = rmsprop(
            params,
            gradients(params),
            states,
            lr=group.number("lr"),
            alpha=group.number("alpha"),
            eps=group.number("eps"),
            weight_decay=group.number("weight_decay") if group["weight_decay"] else None,
            momentum=group.number("momentum") if group["momentum"] > 0 else None,
            centered=bool(group["centered"]),
            maximize=bool(group["maximize"]),
        )
        overwrite(params, new)
        overwrite_states(states, changed)


@tensor_function
def rmsprop(
    params: list[Tensor],
    grads: list[Tensor],
    states: States,
    *,
    lr: Tensor,
    alpha: Tensor,
    eps: Tensor,
    weight_decay: Tensor | None,
    momentum: Tensor | None,
    centered: bool,
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
        kept, rest = alpha.to(dtype), (1 - alpha).to(dtype)
        after = {"step": state["step"] + 1, "square_avg": state["square_avg"] * kept + direction * direction * rest}
        spread = after["square_avg"]
        if centered:
            after["grad_avg"] = state["grad_avg"] + (direction - state["grad_avg"]) * rest
            spread = spread - after["grad_avg"] * after["grad_avg"]
        step = direction / (spread.sqrt() + eps.to(dtype))
        if momentum is not None:
            step = after["momentum_buffer"] = state["momentum_buffer"] * momentum.to(dtype) + step
        new.append(param - lr.to(dtype) * step)
        changed.append(after)
    return new, changed
