"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tenfold.construction import tensor
from tenfold.device import CPU
from tenfold.eager import tensor_function
from tenfold.functions.creation import zeros_like
from tenfold.optim.optimizer import Optimizer, Params, gradients, overwrite, require_at_least_zero
from tenfold.optim.parameter_group import ParameterGroup
from tenfold.tensor import Tensor
from tenfold_rt.errors import ArgumentError


class SGD(Optimizer):
    """p -= lr g, or, with momentum (Sutskever et al., 2013), p -= lr b, where b = momentum b + (1 - dampening) g.

    `weight_decay` times p is added to g; `nesterov` takes g + momentum b for b; `maximize` turns the sign of g.
    `foreach` and `fused` tell PyTorch how to compute: here the parameters of a group are one program anyway.
    """

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        require_at_least_zero(learning__rate=lr, momentum__value=momentum, weight_decay__value=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        self._none = tensor(np.float64(0), device=CPU)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._none = tensor(np.float64(0), device=CPU)

    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        return {"momentum_buffer": zeros_like(param)}

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        settings: dict[str, Any] = {
            "lr": group.number("lr"),
            "weight_decay": group.number("weight_decay") if group["weight_decay"] else None,
            "maximize": bool(group["maximize"]),
        }
        if not group["momentum"]:
            overwrite(params, sgd(params, gradients(params), **settings))
            return
        # The first gradient is not dampened: it is all of the buffer.
        begun = [param for param in params if self.state.get(param)]
        fresh = [param for param in params if not self.state.get(param)]
        self._states(group, params)
        for some, dampening in ((begun, group.number("dampening")), (fresh, self._none)):
            if some:
                buffers = [self.state[param]["momentum_buffer"] for param in some]
                momentum = {"momentum": group.number("momentum"), "dampening": dampening}
                new, changed = sgd_with_momentum(
                    some, gradients(some), buffers, **momentum, nesterov=bool(group["nesterov"]), **settings
                )
                overwrite(some, new)
                overwrite(buffers, changed)


@tensor_function
def sgd(
    params: Sequence[Tensor], grads: Sequence[Tensor], *, lr: Tensor, weight_decay: Tensor | None, maximize: bool
) -> list[Tensor]:
    """The parameters after one step."""
    return [
        param - lr.to(param.dtype) * _direction(param, grad, weight_decay, maximize)
        for param, grad in zip(params, grads, strict=True)
    ]


@tensor_function
def sgd_with_momentum(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    buffers: Sequence[Tensor],
    *,
    lr: Tensor,
    momentum: Tensor,
    dampening: Tensor,
    weight_decay: Tensor | None,
    nesterov: bool,
    maximize: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters and the buffers after one step."""
    new: list[Tensor] = []
    changed: list[Tensor] = []
    for param, grad, buffer in zip(params, grads, buffers, strict=True):
        direction = _direction(param, grad, weight_decay, maximize)
        kept = momentum.to(param.dtype)
        buffer = buffer * kept + direction * (1 - dampening).to(param.dtype)
        new.append(param - lr.to(param.dtype) * (direction + buffer * kept if nesterov else buffer))
        changed.append(buffer)
    return new, changed


def _direction(param: Tensor, grad: Tensor, weight_decay: Tensor | None, maximize: bool) -> Tensor:
    signed = -grad if maximize else grad
    return signed if weight_decay is None else signed + param * weight_decay.to(param.dtype)
