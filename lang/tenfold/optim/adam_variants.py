"""NAdam, RAdam and Adamax: Adam with a look ahead, with its early steps rectified, and in the infinity norm."""

from __future__ import annotations

from typing import Any

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import maximum, where
from tenfold.functions.creation import ones, zeros_like
from tenfold.optim.adam import moments
from tenfold.optim.optimizer import (
    Optimizer,
    Params,
    States,
    gradients,
    overwrite,
    overwrite_states,
    require_at_least_zero,
    require_betas,
    step_count,
)
from tenfold.optim.parameter_group import ParameterGroup
from tenfold.specs import float32, float64
from tenfold.tensor import Tensor


class _AdamVariant(Optimizer):
    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        return {"step": step_count(param), "exp_avg": zeros_like(param), "exp_avg_sq": zeros_like(param)}

    def _settings(self, group: ParameterGroup) -> dict[str, Any]:
        return {
            "lr": group.number("lr"),
            "betas": group.numbers("betas"),
            "eps": group.number("eps"),
            "weight_decay": group.number("weight_decay") if group["weight_decay"] else None,
            "decoupled": bool(group.get("decoupled_weight_decay")),
            "maximize": bool(group["maximize"]),
        }


def _decayed(
    param: Tensor, grad: Tensor, lr: Tensor, weight_decay: Tensor | None, decoupled: bool, maximize: bool
) -> tuple[Tensor, Tensor]:
    """Where the step starts, and the gradient, with weight decay."""
    direction = -grad if maximize else grad
    if weight_decay is None:
        return param, direction
    if decoupled:
        return param * (1 - lr * weight_decay).to(param.dtype), direction
    return param, direction + param * weight_decay.to(param.dtype)


class NAdam(_AdamVariant):
    """Adam with Nesterov's momentum, whose coefficient is beta1 (1 - 0.96^(t momentum_decay) / 2) (Dozat, 2016)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_at_least_zero(learning__rate=lr, epsilon__value=eps)
        require_betas(betas)
        require_at_least_zero(weight_decay__value=weight_decay, momentum_decay__value=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        begun = super()._begin(param, group)
        return {"step": begun.pop("step"), "mu_product": ones((), dtype=float32, device=param.device), **begun}

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        states = self._states(group, params)
        settings: dict[str, Any] = {**self._settings(group), "momentum_decay": group.number("momentum_decay")}
        new, changed = nadam(params, gradients(params), states, **settings)
        overwrite(params, new)
        overwrite_states(states, changed)


@tensor_function
def nadam(
    params: list[Tensor],
    grads: list[Tensor],
    states: States,
    *,
    lr: Tensor,
    betas: list[Tensor],
    eps: Tensor,
    weight_decay: Tensor | None,
    decoupled: bool,
    maximize: bool,
    momentum_decay: Tensor,
) -> tuple[list[Tensor], States]:
    """The parameters and the states after one step."""
    new: list[Tensor] = []
    changed: States = []
    for param, grad, state in zip(params, grads, states, strict=True):
        dtype = param.dtype
        start, direction = _decayed(param, grad, lr, weight_decay, decoupled, maximize)
        after = moments(direction, state, betas)
        step = after["step"].to(float64)
        mu, mu_next = (betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
        product = state["mu_product"].to(float64) * mu
        after["mu_product"] = product.to(state["mu_product"].dtype)
        root = (after["exp_avg_sq"] / (1 - betas[1] ** step).to(dtype)).sqrt() + eps.to(dtype)
        now = (lr * (1 - mu) / (1 - product)).to(dtype)
        ahead = (lr * mu_next / (1 - product * mu_next)).to(dtype)
        new.append(start - (direction / root) * now - (after["exp_avg"] / root) * ahead)
        changed.append(after)
    return new, changed


class RAdam(_AdamVariant):
    """Adam whose scale is rectified by its variance, and left out while that is unbounded (Liu et al., 2020)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_at_least_zero(learning__rate=lr, epsilon__value=eps)
        require_betas(betas)
        require_at_least_zero(weight_decay__value=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        states = self._states(group, params)
        new, changed = radam(params, gradients(params), states, **self._settings(group))
        overwrite(params, new)
        overwrite_states(states, changed)


@tensor_function
def radam(
    params: list[Tensor],
    grads: list[Tensor],
    states: States,
    *,
    lr: Tensor,
    betas: list[Tensor],
    eps: Tensor,
    weight_decay: Tensor | None,
    decoupled: bool,
    maximize: bool,
) -> tuple[list[Tensor], States]:
    """The parameters and the states after one step."""
    new: list[Tensor] = []
    changed: States = []
    for param, grad, state in zip(params, grads, states, strict=True):
        dtype = param.dtype
        start, direction = _decayed(param, grad, lr, weight_decay, decoupled, maximize)
        after = moments(direction, state, betas)
        step = after["step"].to(float64)
        unbiased = after["exp_avg"] / (1 - betas[0] ** step).to(dtype)
        power = betas[1] ** step
        longest = 2 / (1 - betas[1]) - 1
        length = longest - 2 * step * power / (1 - power)
        bounded = length > 5.0
        known = where(bounded, length, 6.0)
        ratio = (known - 4) * (known - 2) * longest / ((longest - 4) * (longest - 2) * known)
        scale = (ratio.sqrt() * (1 - power).sqrt()).to(dtype)
        adapted = unbiased * (scale / (after["exp_avg_sq"].sqrt() + eps.to(dtype)))
        new.append(start - lr.to(dtype) * where(bounded, adapted, unbiased))
        changed.append(after)
    return new, changed


class Adamax(_AdamVariant):
    """p -= lr m / u, m an unbiased average of g, and u = max(beta2 u, |g| + eps) (Kingma and Ba, 2015)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        require_at_least_zero(learning__rate=lr, epsilon__value=eps)
        require_betas(betas)
        require_at_least_zero(weight_decay__value=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        return {"step": step_count(param), "exp_avg": zeros_like(param), "exp_inf": zeros_like(param)}

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        states = self._states(group, params)
        new, changed = adamax(params, gradients(params), states, **self._settings(group))
        overwrite(params, new)
        overwrite_states(states, changed)


@tensor_function
def adamax(
    params: list[Tensor],
    grads: list[Tensor],
    states: States,
    *,
    lr: Tensor,
    betas: list[Tensor],
    eps: Tensor,
    weight_decay: Tensor | None,
    decoupled: bool,
    maximize: bool,
) -> tuple[list[Tensor], States]:
    """The parameters and the states after one step."""
    new: list[Tensor] = []
    changed: States = []
    for param, grad, state in zip(params, grads, states, strict=True):
        dtype = param.dtype
        start, direction = _decayed(param, grad, lr, weight_decay, decoupled, maximize)
        step = state["step"] + 1
        average = state["exp_avg"] + (direction - state["exp_avg"]) * (1 - betas[0]).to(dtype)
        largest = maximum(state["exp_inf"] * betas[1].to(dtype), direction.abs() + eps.to(dtype))
        size = lr / (1 - betas[0] ** step.to(float64))
        new.append(start - size.to(dtype) * (average / largest))
        changed.append({"step": step, "exp_avg": average, "exp_inf": largest})
    return new, changed
