"""Gradients kept small, in place; each function is one program over all gradients."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

from tenfold.autograd import no_grad
from tenfold.changes import change
from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import divide
from tenfold.functions.creation import zeros
from tenfold.functions.reductions import amax, norm
from tenfold.functions.shapes import stack
from tenfold.tensor import Tensor
from tenfold.tracing import TensorLike
from tenfold_rt.errors import ArgumentError


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale the gradients so that their norm together is at most `max_norm`; gives the norm that they had."""
    held = _listed(parameters)
    total = get_total_norm([p.grad for p in held if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(held, max_norm, total)
    return total


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of all elements of all `tensors` together, rank 0."""
    held = _listed(tensors)
    if not held:
        return zeros(())
    with no_grad():
        total = _total_norm(held, float(norm_type))
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise ArgumentError(
            f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped",
            mend="look for what is infinite or no number, or set `error_if_nonfinite=False`",
        )
    return total


def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor) -> None:
    """Scale the gradients by max_norm / (total_norm + 1e-6), where that is below 1."""
    gradients = [p.grad for p in _listed(parameters) if p.grad is not None]
    with no_grad():
        for gradient, scaled in zip(gradients, _scaled(gradients, float(max_norm), total_norm), strict=True):
            change(gradient, functools.partial(_itself, scaled), "clip_grad_norm_")


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring each element of the gradients between -clip_value and clip_value."""
    bound = float(clip_value)
    with no_grad():
        for parameter in _listed(parameters):
            if parameter.grad is not None:
                parameter.grad.clamp_(-bound, bound)


def _listed(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _itself(tensor: Tensor) -> Tensor:
    return tensor


@tensor_function
def _total_norm(tensors: Sequence[Tensor], p: float) -> Tensor:
    norms = stack([norm(tensor.reshape(-1), p) for tensor in tensors])
    return amax(norms) if p == math.inf else norm(norms, p)


@tensor_function
def _scaled(tensors: Sequence[Tensor], max_norm: TensorLike, total_norm: Tensor) -> list[Tensor]:
    factor = divide(max_norm, total_norm + 1e-6).clamp(max=1.0)
    return [tensor * factor.to(tensor.dtype) for tensor in tensors]
