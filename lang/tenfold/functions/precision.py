"""Functions made of several operations, on floats of 16 bits: computed in f32 throughout and rounded at the end.

Every operation on f16 or bf16 is rounded.  A softmax whose exponentials and sums were each rounded would be far off,
and nobody who calls it asks for those; so, as in PyTorch, such a function counts as one operation.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from tenfold import tree as pytree
from tenfold.promotion import convert, floating_dtype, result_type, type_of
from tenfold.tracing import TensorValue, lift, wrap
from tenfold_rt import dtypes

P = ParamSpec("P")
R = TypeVar("R")


def rounded_once(operands: int = 1) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compute in f32 where the first `operands` parameters promote to 16 bits, and round f32 results to those."""

    def decorate(body: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(body)
        names = list(signature.parameters)[:operands]

        @functools.wraps(body)
        def function(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            dtype = floating_dtype(result_type(*(bound.arguments[name] for name in names)))
            if not dtype.is_half:
                return body(*args, **kwargs)
            wide: Any = pytree.tree_map(_in_f32, (bound.args, bound.kwargs))
            result = cast("Callable[..., Any]", body)(*wide[0], **wide[1])
            rounds = result.tensor_type.dtype is dtypes.f32
            return cast("R", wrap(convert(lift(result), dtype)) if rounds else result)

        return function

    return decorate


def _in_f32(leaf: object) -> object:
    """`leaf`, or where it is a tensor of 16-bit floats the same numbers in f32."""
    if not isinstance(leaf, (TensorValue, np.ndarray, np.generic)):
        return leaf
    tensor = cast("Any", leaf)
    return wrap(convert(lift(tensor), dtypes.f32)) if type_of(tensor).dtype.is_half else tensor
