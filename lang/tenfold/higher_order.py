"""Functions that take functions, such as `tn.cond` and `tn.scan`: traced at each call, since what the functions refer
to may have changed since the last one.

In goes a Python function of a module here and a call's arguments; out comes the traced body, called as a routine whose
operands are the arguments' tensors and those that the functions refer to, so that gradients flow to all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

from tenfold import tree as pytree
from tenfold.captures import Recorder
from tenfold.eager import is_array
from tenfold.gradients.calls import invoke
from tenfold.lazy.routines import Routine
from tenfold.lazy.tables import Table
from tenfold.memory import on_device
from tenfold.placement import moved_value, placed, placing_of
from tenfold.program import Argument, Traced, compile_traced, dense_array, trace_function
from tenfold.rewrite.convert import with_rewritten
from tenfold.tracing import Placing, TensorValue, is_tracing, within_body
from tenfold.values import Value
from tenfoldc.ir.printer import print_module

P = ParamSpec("P")
R = TypeVar("R")


def higher_order_function(body: Callable[P, R]) -> Callable[P, R]:
    """`body`, which takes functions, callable anywhere as a `tensor_function` is; their control flow is rewritten."""
    name = body.__name__.strip("_")

    @functools.wraps(body)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_tracing():
            positional, named = with_rewritten(args, kwargs)
            return cast("Callable[..., R]", body)(*positional, **named)
        return cast("R", _call(body, name, (args, kwargs)))

    return function


def _call(body: Callable[..., Any], name: str, arguments: object) -> object:
    """A call outside a trace: on NumPy's arrays run at once, else recorded."""
    leaves, tree = pytree.flatten(arguments)
    given = [_operand(leaf, name) if is_array(leaf) else None for leaf in leaves]
    operands = [operand for operand in given if operand is not None]
    traced = placed(lambda placing: _traced(body, name, tree, leaves, given, placing), placing_of(leaves))
    as_tensors = not operands or any(isinstance(operand, TensorValue) for operand in operands)
    if traced.effects is None and not as_tensors:
        arrays = [on_device(dense_array(leaf, name), traced.device) for leaf in leaves if is_array(leaf)]
        return compile_traced(traced).run(arrays, as_tensors=False)
    operands = [moved_value(each, traced.device) if isinstance(each, Value) else each for each in operands]
    routine = _routine(name, traced)
    if traced.effects is None:
        results = invoke(routine, operands)
    else:
        results = replace(traced.effects, has_gradient=True).call(routine, operands, traced.results.leaves)
    if as_tensors or any(result.ref.edge is not None for result in results):
        return pytree.unflatten(traced.results, list(results))
    return pytree.unflatten(traced.results, [result.array for result in results])


def _operand(leaf: object, name: str) -> TensorValue | Value:
    return leaf if isinstance(leaf, TensorValue) else Value.of_array(dense_array(leaf, name), foreign=True)


def _traced(
    body: Callable[..., Any],
    name: str,
    tree: pytree.Tree,
    leaves: Sequence[Any],
    given: Sequence[TensorValue | Value | None],
    placing: Placing,
) -> Traced:
    kinds = [each.ref.kind if isinstance(each, TensorValue) else each.kind for each in given if each is not None]

    def call(tensors: Sequence[Any]) -> object:
        remaining = iter(tensors)
        values = [leaf if operand is None else next(remaining) for leaf, operand in zip(leaves, given, strict=True)]
        args, kwargs = with_rewritten(*pytree.unflatten(tree, values))
        return body(*args, **kwargs)

    arguments = [Argument(f"x{number}", kind.type) for number, kind in enumerate(kinds)]
    with within_body():
        return trace_function(call, arguments, name, recorder=Recorder(), placing=placing)


_ROUTINES: Table[Routine] = Table(1024)
"""Routines by their devices and the texts of their programs."""


def _routine(name: str, traced: Traced) -> Routine:
    """The routine of a program; the same for all programs that read the same."""
    key = traced.device, print_module(traced.module)
    known = _ROUTINES.get(key)
    if known is None:
        known = _ROUTINES.add(key, Routine(name, traced.function.body, device=traced.device))
    return known
