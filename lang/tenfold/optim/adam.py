"""Adam and AdamW: steps scaled by running averages of gradients and of their squares."""

from __future__ import annotations

from typing import Any

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import maximum
from tenfold.functions.creation import zeros_like
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
from tenfold.specs import float64
from tenfold.tensor import Tensor


class Adam(Optimizer):
    """p -= lr m / (sqrt(v) + eps), m and v being unbiased averages of g and g^2 (Kingma and Ba, 2015).

    `betas` are their coefficients.  `weight_decay` times p is added to g, or, with `decoupled_weight_decay`, p is
    first scaled by 1 - lr weight_decay.  With `amsgrad` (Reddi et al., 2018) v is the largest so far.  `foreach`,
    `fused` and `capturable` tell PyTorch how to compute: here the parameters of a group are one program anyway.
    """

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        require_at_least_zero(learning__rate=lr, epsilon__value=eps)
        require_betas(betas)
        require_at_least_zero(weight_decay__value=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        begun = {"step": step_count(param), "exp_avg": zeros_like(param), "exp_avg_sq": zeros_like(param)}
        return {**begun, "max_exp_avg_sq": zeros_like(param)} if group["amsgrad"] else begun

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        states = self._states(group, params)
        new, changed = adam(
            params,
            gradients(params),
            states,
            lr=group.number("lr"),
            betas=group.numbers("betas"),
            eps=group.number("eps"),
            weight_decay=group.number("weight_decay") if group["weight_decay"] else None,
            decoupled=bool(group.get("decoupled_weight_decay")),
            amsgrad=bool(group["amsgrad"]),
            maximize=bool(group["maximize"]),
        )
        overwrite(params, new)
        overwrite_states(states, changed)


class AdamW(Adam):
    """`Adam` with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )


@tensor_function
def adam(
    params: list[Tensor],
    grads: list[Tensor],
    states: States,
    *,
    lr: Tensor,
    betas: list[Tensor],
    eps: Tensor,
    weight_decay: Tensor | None,
    decoupled: bool,
    amsgrad: bool,
    maximize: bool,
) -> tuple[list[Tensor], States]:
    """The parameters and the states after one step."""
    new: list[Tensor] = []
    changed: States = []
    for param, grad, state in zip(params, grads, states, strict=True):
        dtype = param.dtype
        direction, start = -grad if maximize else grad, param
        if weight_decay is not None:
            if decoupled:
                start = param * (1 - lr * weight_decay).to(dtype)
            else:
                direction = direction + param * weight_decay.to(dtype)
        after = moments(direction, state, betas)
        step = after["step"].to(float64)
        largest = after["exp_avg_sq"]
        if amsgrad:
            largest = after["max_exp_avg_sq"] = maximum(state["max_exp_avg_sq"], largest)
        size = lr / (1 - betas[0] ** step)
        scale = (1 - betas[1] ** step).sqrt()
        root = largest.sqrt() / scale.to(dtype) + eps.to(dtype)
        new.append(start - size.to(dtype) * (after["exp_avg"] / root))
        changed.append(after)
    return new, changed


def moments(grad: Tensor, state: dict[str, Tensor], betas: list[Tensor]) -> dict[str, Tensor]:
    """The count of steps and the running averages of gradients and of their squares, after one more gradient."""
    kept = betas[1].to(grad.dtype)
    rest_of_first, rest_of_second = ((1 - beta).to(grad.dtype) for beta in betas)
    return {
        "step": state["step"] + 1,
        "exp_avg": state["exp_avg"] + (grad - state["exp_avg"]) * rest_of_first,
        "exp_avg_sq": state["exp_avg_sq"] * kept + grad * grad * rest_of_second,
    }
