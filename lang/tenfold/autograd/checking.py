"""Derivatives against finite differences: `gradcheck`, `gradgradcheck`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tenfold.construction import tensor
from tenfold.functions import creation
from tenfold.gradients.backward import grad
from tenfold.gradients.modes import enable_grad
from tenfold.tensor import Tensor
from tenfold.tracing import Array
from tenfold_rt.errors import ArgumentError, GradientError


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of `func` at `inputs` agree with central differences, (f(x + eps) - f(x - eps)) / (2 eps).

    Inputs that require a gradient should be f64.  `GradientError` where they do not agree, or False without
    `raise_exception`; `ArgumentError` where no input requires one.
    """
    given: list[Any] = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    moving = [place for place, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not moving:
        raise ArgumentError("gradcheck: no input requires a gradient", mend="make one with requires_grad=True")
    for place in moving:
        for number, output in enumerate(_floats(func(*given))):
            computed = _jacobian(output, given[place])
            measured = _differences(func, given, place, number, eps)
            if not np.allclose(computed, measured, rtol, atol, equal_nan=True):
                if not raise_exception:
                    return False
                raise GradientError(
                    f"gradcheck: the gradient of output {number} with regard to input {place} is\n{computed}\n"
                    f"where differences give\n{measured}"
                )
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Any, **options: Any) -> bool:
    """`gradcheck` of the gradients of `func`, whose outputs are weighed by fixed numbers."""
    given: list[Any] = [inputs] if isinstance(inputs, Tensor) else list(inputs)

    def gradient(*args: Any) -> Any:
        outputs = _floats(func(*args))
        weights = [creation.full_like(output, 0.5 + number) for number, output in enumerate(outputs)]
        moving = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
        return grad(outputs, moving, weights, create_graph=True, allow_unused=True, materialize_grads=True)

    return gradcheck(gradient, given, **options)


def _floats(returned: Any) -> list[Tensor]:
    outputs: Sequence[Any] = [returned] if isinstance(returned, Tensor) else list(returned)
    return [output for output in outputs if isinstance(output, Tensor) and output.tensor_type.dtype.is_float]


def _jacobian(output: Tensor, x: Tensor) -> Array:
    """The derivative that the graph gives: one row for each element of the output."""
    rows = np.zeros((output.numel(), x.numel()))
    for number in range(output.numel()):
        if output.requires_grad:
            weight = np.zeros(output.shape)
            weight.flat[number] = 1
            weights = tensor(weight, dtype=output.dtype)
            (found,) = grad(output, x, weights, retain_graph=True, materialize_grads=True)
            rows[number] = found.detach().numpy().reshape(-1)
    return rows


def _differences(func: Callable[..., Any], given: Sequence[Any], place: int, number: int, eps: float) -> Array:
    """The derivative that differences give."""
    start = np.array(given[place].detach().numpy())
    columns: list[Array] = []
    for element in range(start.size):
        ends: list[Array] = []
        for sign in (1, -1):
            moved = start.copy()
            moved.flat[element] += sign * eps
            with enable_grad():  # what is checked may be a gradient itself
                args = [*given[:place], tensor(moved, requires_grad=True), *given[place + 1 :]]
                ends.append(_floats(func(*args))[number].detach().numpy().astype(np.float64).reshape(-1))
        columns.append((ends[0] - ends[1]) / (2 * eps))
    size = columns[0].size if columns else 0
    return np.stack(columns, axis=1) if columns else np.zeros((size, 0))
