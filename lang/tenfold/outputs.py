"""`out=`: a call's results written to tensors that there are, as in `tn.matmul(a, b, out=c)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from tenfold.gradients.modes import is_grad_enabled
from tenfold.promotion import family
from tenfold.tracing import TensorValue, here
from tenfold_rt.errors import ArgumentError, DTypeError, GradientError, ShapeError


def call_into(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `function` gives, in the tensors `kwargs["out"]`: one, or a tuple where there are several results.

    A tensor without elements takes the result's shape.  `ShapeError` where another has another shape, `DTypeError`
    where its elements cannot hold the result's, `GradientError` where a gradient would have to go through it.
    """
    name = function.__name__
    rest = {key: value for key, value in kwargs.items() if key != "out"}
    out, results = kwargs["out"], function(*args, **rest)
    if out is None:
        return results
    outs, given = _sequence(out), _sequence(results)
    if len(outs) != len(given):
        raise ArgumentError(f"{name}: {len(outs)} tensors as out= for {len(given)} results", where=here())
    for each, result in zip(outs, given, strict=True):
        _write(name, each, result)
    return out if isinstance(out, TensorValue) else _rebuilt(results, outs)


def _sequence(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (tuple, list)) else (value,)


def _rebuilt(results: Any, outs: Sequence[Any]) -> Any:
    """`outs` in a tuple of the kind of `results`."""
    return type(results)(*outs) if hasattr(results, "_fields") else tuple(outs)


def _write(name: str, out: Any, result: Any) -> None:
    if not isinstance(out, TensorValue):
        raise ArgumentError(f"{name}: out= is a {type(out).__name__}", where=here(), mend="give a tensor")
    target: Any = out
    value: Any = result
    if not isinstance(result, TensorValue):
        raise ArgumentError(f"{name}: out= for a result that is no tensor", where=here(), mend="give tensors")
    if is_grad_enabled() and (value.requires_grad or target.requires_grad):
        raise GradientError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation",
            mend="leave out= away, or call it under tn.no_grad()",
        )
    if family(result.tensor_type.dtype) > family(out.tensor_type.dtype):
        raise DTypeError(
            f"{name}: result type {result.tensor_type.dtype} can't be cast to {out.tensor_type.dtype}, that of out="
        )
    if out.tensor_type.size == 0 and out.tensor_type.sizes != result.tensor_type.sizes:
        target.data = value.to(target.dtype)
        return
    if out.tensor_type.sizes != result.tensor_type.sizes:
        raise ShapeError(f"{name}: the result is {result.tensor_type}, but out= is {out.tensor_type}", where=here())
    target.copy_(value)
