"""Derivatives of functions of tensors: `jacobian`, `hessian`, `vjp`, `jvp`, `hvp`, `vhp`, as PyTorch has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tenfold.functions import creation, shapes
from tenfold.gradients.backward import grad
from tenfold.gradients.modes import enable_grad
from tenfold.tensor import Tensor
from tenfold.tracing import here
from tenfold_rt.errors import ArgumentError, GradientError


def _inputs(given: Any, create_graph: bool) -> tuple[bool, list[Tensor]]:
    """Whether there is one input alone, and inputs that gradients end at, or flow on from with `create_graph`."""
    tensors: list[Tensor] = [given] if isinstance(given, Tensor) else list(given)
    if create_graph:
        return isinstance(given, Tensor), [x if x.requires_grad else x.detach().requires_grad_() for x in tensors]
    return isinstance(given, Tensor), [x.detach().requires_grad_() for x in tensors]


def _outputs(func: Callable[..., Any], inputs: Sequence[Tensor], name: str) -> tuple[bool, list[Tensor]]:
    returned = func(*inputs)
    outputs: list[Any] = [returned] if isinstance(returned, Tensor) else list(returned)
    for output in outputs:
        if not isinstance(output, Tensor):
            raise ArgumentError(f"{name}: the function returned a {type(output).__name__}", where=here())
    return isinstance(returned, Tensor), outputs


def _arranged(found: Sequence[Any], alone: bool) -> Any:
    return found[0] if alone else tuple(found)


def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """The derivative of each output with regard to each input, of shape (*output, *input).

    One tensor for one input and one output; tuples where there are several, of the outputs first.  With `strict`,
    `GradientError` where an output does not depend on an input.
    """
    with enable_grad():
        one_input, given = _inputs(inputs, create_graph)
        one_output, outputs = _outputs(func, given, "jacobian")
        rows: list[Any] = []
        for output in outputs:
            parts = [_rows(output, number, given, create_graph, strict) for number in range(output.numel())]
            columns = [
                shapes.reshape(shapes.stack([part[place] for part in parts]), (*output.shape, *x.shape))
                if parts
                else creation.zeros((*output.shape, *x.shape), dtype=output.dtype, device=output.device)
                for place, x in enumerate(given)
            ]
            rows.append(_arranged(columns, one_input))
        return _arranged(rows, one_output)


def _rows(output: Tensor, number: int, given: Sequence[Tensor], create_graph: bool, strict: bool) -> Sequence[Any]:
    """The gradient of one element of an output with regard to each input."""
    if not output.requires_grad:
        if strict:
            raise GradientError("jacobian: an output does not depend on the inputs", where=here())
        return [creation.zeros_like(x) for x in given]
    element = shapes.reshape(output, (output.numel(),))[number]
    return grad(element, given, retain_graph=True, create_graph=create_graph, materialize_grads=not strict)


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """The second derivatives of a function of one number, of shape (*input, *input); tuples of tuples for several
    inputs."""

    def gradient(*given: Tensor) -> Any:
        _, outputs = _outputs(func, given, "hessian")
        if len(outputs) != 1 or outputs[0].numel() != 1:
            raise ArgumentError("hessian: the function must return one number", where=here())
        found = grad(outputs[0].sum(), given, create_graph=True, allow_unused=not strict, materialize_grads=not strict)
        return _arranged(found, isinstance(inputs, Tensor))

    return jacobian(gradient, inputs, create_graph, strict)


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """The outputs, and the gradient of their sum weighed by `v` with regard to the inputs."""
    with enable_grad():
        one_input, given = _inputs(inputs, create_graph)
        one_output, outputs = _outputs(func, given, "vjp")
        found = grad(outputs, given, v, create_graph=create_graph, materialize_grads=True)
    return _arranged([each.detach() for each in outputs], one_output), _arranged(found, one_input)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """The outputs, and their derivative along `v`, a tensor for each input (ones where there is one number)."""
    with enable_grad():
        _, given = _inputs(inputs, create_graph)
        one_output, outputs = _outputs(func, given, "jvp")
        directions = _directions("jvp", given, v)
        weights = [creation.zeros_like(output).requires_grad_() for output in outputs]
        pulled = grad(outputs, given, weights, create_graph=True, materialize_grads=True)
        if any(each.requires_grad for each in pulled):
            found = grad(pulled, weights, directions, create_graph=create_graph, materialize_grads=True)
        else:
            found = tuple(creation.zeros_like(each) for each in outputs)
    return _arranged([each.detach() for each in outputs], one_output), _arranged(found, one_output)


def _directions(name: str, given: Sequence[Tensor], v: Any) -> list[Tensor]:
    """A tensor for each input: `v`, or 1 for the one number that the inputs are."""
    if v is not None:
        return [v] if isinstance(v, Tensor) else list(v)
    if len(given) != 1 or given[0].numel() != 1:
        raise GradientError(f"{name}: v may be left out only for one input of one element", where=here())
    return [creation.ones_like(given[0])]


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """The value of a function of one number, and the product of `v` with its Hessian."""
    with enable_grad():
        one_input, given = _inputs(inputs, create_graph)
        _, outputs = _outputs(func, given, "vhp")
        first = grad(outputs[0], given, create_graph=True, materialize_grads=True)
        weights = _directions("vhp", given, v)
        found = (
            grad(first, given, weights, create_graph=create_graph, materialize_grads=True)
            if any(each.requires_grad for each in first)
            else [creation.zeros_like(x) for x in given]
        )
    return outputs[0].detach(), _arranged(found, one_input)


hvp = vhp
"""The product of the Hessian with `v`: the Hessian is symmetric."""
