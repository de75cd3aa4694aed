"""NumPy's functions on tensors: `np.exp(t)`, `np.sum(t, axis=0)` and so on lead to the functions of `tenfold`.

What has no counterpart here raises `UnsupportedError`; nothing is handed back to NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tenfold.functions import (
    arithmetic,
    creation,
    elementwise,
    linear_algebra,
    reductions,
    shapes,
    sorting,
    taking,
)
from tenfold.tracing import here
from tenfold_rt.errors import UnsupportedError

Function = Callable[..., Any]


def _positive(x: Any) -> Any:
    return x


_UFUNCS: dict[str, Function] = {
    **{
        name: getattr(arithmetic, name)
        for name in [
            "add",
            "subtract",
            "multiply",
            "divide",
            "floor_divide",
            "remainder",
            "fmod",
            "maximum",
            "minimum",
            "equal",
            "not_equal",
            "less",
            "less_equal",
            "greater",
            "greater_equal",
            "logical_and",
            "logical_or",
            "logical_xor",
            "logical_not",
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
            "left_shift",
            "right_shift",
            "negative",
            "square",
            "reciprocal",
        ]
    },
    **{
        name: getattr(elementwise, name)
        for name in [
            "exp",
            "exp2",
            "expm1",
            "log",
            "log1p",
            "log2",
            "log10",
            "sqrt",
            "cbrt",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "sign",
            "floor",
            "ceil",
            "trunc",
            "isfinite",
            "isnan",
            "isinf",
        ]
    },
    "power": arithmetic.pow,
    "float_power": arithmetic.pow,
    "arctan2": arithmetic.atan2,
    "arctan": elementwise.atan,
    "absolute": elementwise.abs,
    "fabs": elementwise.abs,
    "rint": elementwise.round,
    "invert": arithmetic.bitwise_not,
    "bitwise_invert": arithmetic.bitwise_not,
    "matmul": linear_algebra.matmul,
    "positive": _positive,
}


def _extreme(function: Function) -> Function:
    def call(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
        return function(a, axis=axis, keepdims=keepdims)

    return call


def _total(function: Function) -> Function:
    def call(a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
        return function(a, axis=axis, dtype=dtype, keepdims=keepdims)

    return call


def _spread(function: Function) -> Function:
    def call(
        a: Any, axis: Any = None, dtype: None = None, out: None = None, ddof: float = 0, keepdims: bool = False
    ) -> Any:
        return function(a, axis=axis, ddof=ddof, keepdims=keepdims)

    return call


def _running(function: Function) -> Function:
    def call(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
        return function(shapes.ravel(a) if axis is None else a, axis=axis or 0, dtype=dtype)

    return call


def _pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(np.asarray(pad_width), (np.ndim(array), 2)).tolist()
    return shapes.pad(array, widths, mode, constant_values)


def _sort(a: Any, axis: int | None = -1, kind: None = None, order: None = None, *, stable: object = None) -> Any:
    return sorting.sort(shapes.ravel(a) if axis is None else a, axis=-1 if axis is None else axis)


def _argsort(a: Any, axis: int | None = -1, kind: None = None, order: None = None, *, stable: object = None) -> Any:
    return sorting.argsort(shapes.ravel(a) if axis is None else a, axis=-1 if axis is None else axis)


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """NumPy's split: a number of equal parts, or the places to cut at."""
    length = ary.shape[axis]
    if isinstance(indices_or_sections, int):
        if length % indices_or_sections:
            raise ValueError("array split does not result in an equal division")
        return list(shapes.split(ary, max(1, length // indices_or_sections), axis))
    cuts = [0, *indices_or_sections, length]
    return list(shapes.split(ary, np.diff(cuts).tolist(), axis))


def _count_nonzero(a: Any, axis: Any = None) -> Any:
    return reductions.count_nonzero(a, axis=axis)


def _take(a: Any, indices: Any, axis: int | None = None) -> Any:
    return taking.take(a, indices, axis=axis)


def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    return taking.take_along_axis(arr, indices, axis=axis)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return shapes.diagonal(a, offset, axis1, axis2)


def _repeat(a: Any, repeats: int, axis: int | None = None) -> Any:
    return shapes.repeat_interleave(a, repeats, axis=axis)


def _ndim(a: Any) -> int:
    return a.ndim


def _shape(a: Any) -> tuple[int, ...]:
    return a.shape


def _size(a: Any, axis: int | None = None) -> int:
    return a.size if axis is None else a.shape[axis]


_FUNCTIONS: dict[str, Function] = {
    **{name: _total(getattr(reductions, name)) for name in ("sum", "prod", "mean")},
    **{name: _spread(getattr(reductions, name)) for name in ("var", "std")},
    **{name: _extreme(getattr(reductions, name)) for name in ("amax", "amin", "any", "all", "argmax", "argmin")},
    **{name: _running(getattr(sorting, name)) for name in ("cumsum", "cumprod")},
    **{
        name: getattr(shapes, name)
        for name in [
            "reshape",
            "ravel",
            "transpose",
            "swapaxes",
            "moveaxis",
            "squeeze",
            "expand_dims",
            "broadcast_to",
            "concatenate",
            "stack",
            "flip",
            "roll",
            "tile",
        ]
    },
    **{name: getattr(creation, name) for name in ("zeros_like", "ones_like", "full_like", "tril", "triu")},
    **{name: getattr(linear_algebra, name) for name in ("dot", "vdot", "outer", "tensordot", "einsum", "trace")},
    "max": _extreme(reductions.amax),
    "min": _extreme(reductions.amin),
    "count_nonzero": _count_nonzero,
    "clip": arithmetic.clip,
    "where": arithmetic.where,
    "isclose": arithmetic.isclose,
    "round": elementwise.round,
    "around": elementwise.round,
    "nan_to_num": elementwise.nan_to_num,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "diagonal": _diagonal,
    "repeat": _repeat,
    "pad": _pad,
    "sort": _sort,
    "argsort": _argsort,
    "split": _split,
    "ndim": _ndim,
    "shape": _shape,
    "size": _size,
}


def call_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
    """The counterpart of `ufunc` on `inputs`; its methods (`reduce`, `at`, ...) and options have none."""
    name = ufunc.__name__
    if method != "__call__":
        raise _unsupported(f"numpy.{name}.{method}", "use a reduction such as tn.sum, or x.at[index]")
    _refuse_out(f"numpy.{name}", arguments)
    if arguments:
        raise _unsupported(f"numpy.{name} with {', '.join(sorted(arguments))}", "use tn.where or tn.to")
    function = _UFUNCS.get(name)
    if function is None:
        raise _unsupported(f"numpy.{name}", "write it with functions of tenfold")
    return function(*inputs)


def call_function(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The counterpart of NumPy's `function` on these arguments."""
    name = f"numpy.{function.__name__}"
    _refuse_out(name, kwargs)
    ours = _FUNCTIONS.get(function.__name__) if function.__module__ == "numpy" else None
    if ours is None:
        raise _unsupported(name, "write it with functions of tenfold")
    try:
        return ours(*args, **{key: value for key, value in kwargs.items() if key != "out"})
    except TypeError as error:
        if "unexpected keyword" in str(error) or "positional argument" in str(error):
            raise _unsupported(f"{name} with these arguments ({error})", "use the function of tenfold") from None
        raise


def _refuse_out(name: str, arguments: Mapping[str, Any]) -> None:
    if arguments.get("out") is not None:
        raise _unsupported(f"{name} with out=", "use the result instead; tensors do not change in place")


def _unsupported(what: str, mend: str) -> UnsupportedError:
    return UnsupportedError(f"{what} has no counterpart for tensors", where=here(), mend=mend)
