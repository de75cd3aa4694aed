"""What functions do beside giving a result: writing into tensors, and drawing keys for random numbers."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from tenfold.changes import change
from tenfold.random.keys import key
from tenfold.tracing import TensorLike, TensorValue

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_DRAWN = itertools.count()


def next_key() -> Tensor:
    """A key that was not used before, for one call's random numbers."""
    return key(next(_DRAWN))


def overwritten(target: TensorLike, values: R) -> R:
    """`target`, which holds `values` from now on; they alone where it is no tensor of ours."""
    if not isinstance(target, TensorValue):
        return values
    return cast("R", change(cast("Tensor", target), lambda: values, "overwrite"))


def in_place(function: Callable[P, R]) -> Callable[P, R]:
    """`function` that with `inplace=True` writes its result over its first argument, and gives that."""
    names = list(inspect.signature(function).parameters)
    place = names.index("inplace")

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        result = function(*args, **kwargs)
        if not kwargs.get("inplace", len(args) > place and args[place]):
            return result
        return overwritten(cast("TensorLike", args[0] if args else kwargs[names[0]]), result)

    return wrapper
