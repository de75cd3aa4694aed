"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from tenfold.functions.shapes import cat
from tenfold.tensor import Tensor
from tenfold_rt.errors import DTypeError


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other."""
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let `parameters` hold the elements of `vec`, as `parameters_to_vector` laid them out."""
    if not isinstance(vec, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for parameter in parameters:
        count = parameter.numel()
        parameter.data = vec[start : start + count].reshape(parameter.shape).detach()
        start += count
