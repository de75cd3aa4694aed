"""Tensor functions: traced where a trace is under way, else compiled and called as programs of one operation.

`@tensor_function` marks the functions of `tenfold.functions`.  There is no second code path: outside a trace the
same body is traced with the call's arrays as arguments and everything else as constants, compiled, kept for
the next call, and run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from tenfold import tree as pytree
from tenfold.program import Argument, Program, compile_traced, dense_array, trace_function
from tenfold.rewrite.convert import with_rewritten
from tenfold.specs import array_element_type
from tenfold.tracing import Array, TensorValue, array_from, here, is_tracing
from tenfold_rt.errors import ArgumentError
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


def higher_order_function(body: Callable[P, R]) -> Callable[P, R]:
    """`body`, which takes functions, callable anywhere as a `tensor_function` is; their control flow is rewritten.

    Outside a trace it is traced at each call: what the functions refer to may have changed since the last one.
    """
    name = body.__name__.strip("_")

    @functools.wraps(body)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_tracing():
            positional, named = with_rewritten(args, kwargs)
            return cast("Callable[..., R]", body)(*positional, **named)
        return cast("R", _run_once(body, name, (args, kwargs)))

    return function


def _run_once(body: Callable[..., Any], name: str, arguments: object) -> object:
    leaves, tree = pytree.flatten(arguments)
    dense = [dense_array(leaf, name) if is_array(leaf) else None for leaf in leaves]
    given = [array for array in dense if array is not None]
    as_tensors = not given or any(isinstance(leaf, TensorValue) for leaf in leaves)
    return _compile(body, name, tree, leaves, dense).run(given, as_tensors=as_tensors)


def _run(body: Callable[..., Any], name: str, programs: dict[object, Program], arguments: object) -> object:
    leaves: list[Any] = []
    record: list[Hashable] = []
    pytree.scan(arguments, leaves, record)
    arrays: list[Any] = []
    as_tensors, given = False, False
    for leaf in leaves:
        if is_array(leaf):
            given, as_tensors = True, as_tensors or isinstance(leaf, TensorValue)
            array = leaf.array if isinstance(leaf, TensorValue) else array_from(leaf)
            record += (array.dtype, array.shape) if array is not None else (None,)
            arrays.append(array)
        else:
            # Numbers that compare equal may differ: 1, 1.0, True, and -0.0.
            record += (type(leaf), repr(leaf) if isinstance(leaf, float) else leaf)
    program = programs.get(_hashable(tuple(record), name))
    if program is not None:
        returned = program.entry(*arrays)
        if returned is not NotImplemented:
            return program.arranged(returned, as_tensors=as_tensors or not given)
    dense = [dense_array(leaf, name) if is_array(leaf) else None for leaf in leaves]
    if program is None:
        program = programs[tuple(record)] = _compile(body, name, pytree.flatten(arguments)[1], leaves, dense)
    return program.run([array for array in dense if array is not None], as_tensors=as_tensors or not given)


def _hashable(key: tuple[Hashable, ...], name: str) -> tuple[Hashable, ...]:
    try:
        hash(key)
    except TypeError as error:
        raise ArgumentError(f"{name}: {error}", where=here(), mend="give tensors, numbers, strings or tuples") from None
    return key


def is_array(leaf: object) -> bool:
    """Whether a leaf is data: an array or a tensor of any library."""
    return isinstance(leaf, (TensorValue, np.ndarray, np.generic)) or hasattr(leaf, "__dlpack__")


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
        args, kwargs = with_rewritten(*pytree.unflatten(tree, values))
        return body(*args, **kwargs)

    return compile_traced(trace_function(call, arguments, name))
