"""Functions that write their result over an argument: `inplace=True`, and running statistics."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import numpy as np

from tenfold.changes import change
from tenfold.tracing import TensorLike, TensorValue, here, is_tracing
from tenfold_rt.errors import ArgumentError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def overwritten(target: TensorLike, compute: Callable[[], Any], name: str) -> Any:
    """`target`, a tensor or an array, after it has got the values that `compute` gives for the function `name`.

    `ArgumentError` for a number, a list, or an array that a trace cannot write to.
    """
    if isinstance(target, TensorValue):
        return change(cast("Tensor", target), compute, name)
    if not isinstance(target, np.ndarray) or is_tracing():
        raise ArgumentError(
            f"{name}: a {type(target).__name__} cannot be changed in place", where=here(), mend="give a tensor"
        )
    np.copyto(target, compute())
    return target


def in_place(function: Callable[P, R]) -> Callable[P, R]:
    """`function` that with `inplace=True` writes its result over its first argument, and gives that."""
    names = list(inspect.signature(function).parameters)
    place = names.index("inplace")

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if not kwargs.get("inplace", len(args) > place and args[place]):
            return function(*args, **kwargs)
        target = cast("TensorLike", args[0] if args else kwargs[names[0]])
        return overwritten(target, lambda: function(*args, **kwargs), f"{function.__name__}_")

    return wrapper
