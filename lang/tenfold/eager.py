"""Tensor functions: traced where a trace is under way, else compiled and called as programs of one operation.

`@tensor_function` marks the functions of `tenfold.functions`.  There is no second code path: outside a trace the
same body is traced with the call's arrays as arguments and everything else as constants, compiled, kept for
the next call, and run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from tenfold import tree as pytree
from tenfold.program import Argument, Program, compile_traced, dense_array, trace_function
from tenfold.specs import array_element_type
from tenfold.tracing import Array, TensorValue, is_tracing
from tenfoldc.ir.types import TensorType

P = ParamSpec("P")
R = TypeVar("R")


def tensor_function(body: Callable[P, R]) -> Callable[P, R]:
    """`body` callable anywhere: with traced tensors inside a trace, with arrays and tensors outside.

    NumPy arrays give NumPy results; a `Tensor` among the arguments, or no array at all, gives a `Tensor`.
    """
    programs: dict[object, Program] = {}
    name = body.__name__.strip("_")

    @functools.wraps(body)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_tracing():
            return body(*args, **kwargs)
        return cast("R", _run(body, name, programs, (args, kwargs)))

    return function


def _run(body: Callable[..., Any], name: str, programs: dict[object, Program], arguments: object) -> object:
    leaves, tree = pytree.flatten(arguments)
    arrays = [dense_array(leaf, name) if is_array(leaf) else None for leaf in leaves]
    key = (tree, tuple(map(_signature, leaves, arrays)))
    program = programs.get(key)
    if program is None:
        program = programs[key] = _compile(body, name, tree, leaves, arrays)
    given = [leaf for leaf in leaves if is_array(leaf)]
    as_tensors = not given or any(isinstance(leaf, TensorValue) for leaf in given)
    return program.run([array for array in arrays if array is not None], as_tensors=as_tensors)


def is_array(leaf: object) -> bool:
    """Whether a leaf is data: an array or a tensor of any library."""
    return isinstance(leaf, (TensorValue, np.ndarray, np.generic)) or hasattr(leaf, "__dlpack__")


def _signature(leaf: object, array: Array | None) -> object:
    """What of a leaf the program depends on.  Numbers that compare equal may differ: 1, 1.0, True, and -0.0."""
    if array is not None:
        return array.dtype, array.shape
    return type(leaf), repr(leaf) if isinstance(leaf, float) else leaf


def _compile(
    body: Callable[..., Any], name: str, tree: pytree.Tree, leaves: list[Any], arrays: list[Array | None]
) -> Program:
    arguments = [
        Argument(f"x{number}", TensorType(array_element_type(array), array.shape))
        for number, array in enumerate(array for array in arrays if array is not None)
    ]

    def call(tensors: Any) -> object:
        remaining = iter(tensors)
        values = [leaf if array is None else next(remaining) for leaf, array in zip(leaves, arrays, strict=True)]
        args, kwargs = pytree.unflatten(tree, values)
        return body(*args, **kwargs)

    return compile_traced(trace_function(call, arguments, name))
