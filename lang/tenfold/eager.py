"""Tensor functions: traced where a trace is under way; else traced once for arguments of a kind, and recorded.

`@tensor_function` marks the functions of `tenfold.functions`.  There is no second code path: outside a trace the same
body is traced with the call's arrays and numbers as arguments and everything else as constants.  A call on tensors is
recorded, to be compiled together with others when a value is looked at; one on NumPy's arrays is compiled and run.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast, overload

import numpy as np

from tenfold import tree as pytree
from tenfold.default_dtype import default_float
from tenfold.device import Device, default_device
from tenfold.gradients.calls import invoke
from tenfold.gradients.names import call_name
from tenfold.lazy.groups import number_type
from tenfold.lazy.routines import Routine
from tenfold.lazy.tables import Table
from tenfold.memory import on_device
from tenfold.outputs import call_into
from tenfold.placement import common_device
from tenfold.program import Argument, Program, compile_traced, dense_array, trace_function
from tenfold.python_numbers import LongIntegerError, is_operand, require_fit
from tenfold.rewrite.convert import with_rewritten
from tenfold.specs import ElementType, array_element_type
from tenfold.tracing import (
    Array,
    Number,
    Placing,
    TensorValue,
    array_from,
    here,
    is_remembering,
    is_tracing,
    is_users,
    within_body,
)
from tenfold.tree import Tree
from tenfold.values import Value
from tenfold.views import views_of
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.types import TensorType

P = ParamSpec("P")
R = TypeVar("R")


@overload
def tensor_function(body: Callable[P, R]) -> Callable[P, R]: ...
@overload
def tensor_function(*, views: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def tensor_function(body: Callable[..., Any] | None = None, *, views: bool = False) -> Any:
    """`body` callable anywhere: with traced tensors inside a trace, with arrays and tensors outside.

    NumPy arrays give NumPy results; a `Tensor` among the arguments, or no array at all, gives a `Tensor`.  With
    `views`, results that only reshape, transpose, slice or repeat the first argument, a tensor, share its memory.
    Every function takes `out=`, a tensor that the result is written to, or a tuple of them for several results.
    """
    if body is None:
        return functools.partial(_tensor_function, views=views)
    return _tensor_function(body, views=False)


def _tensor_function(body: Callable[P, R], views: bool) -> Callable[P, R]:
    callee = Callee(body, views)

    @functools.wraps(body)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs and "out" in kwargs:
            return cast("R", call_into(function, args, kwargs))
        if is_tracing() and not (is_users() and (views or _is_remembered(args, kwargs))):
            return body(*args, **kwargs)
        return cast("R", callee.call(args, kwargs))

    return function


def _is_remembered(args: Iterable[object], kwargs: dict[str, object]) -> bool:
    """Whether a call in the trace of a user's function is to be remembered for gradients."""
    if not is_remembering():
        for value in (*args, *kwargs.values()):
            for each in cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else (value,):
                if isinstance(each, TensorValue):
                    each.take_note()
    return is_remembering()


_CALLS = 1024
"""Kinds of calls that are remembered of a function."""


@frozen
class Traceable:
    """A routine made of a function's body, and how its results are arranged.

    `integers` are places of operands that are Python numbers, each with an integer type that it must fit.
    """

    routine: Routine
    results: Tree
    integers: tuple[tuple[int, DType], ...]


@dataclass(slots=True)
class _Layout:
    """What is known of calls whose arguments are arranged in one way.

    `numbers` says which leaves are Python numbers that the body takes as tensors; they are inputs of its routines.
    """

    numbers: tuple[bool, ...]
    has_numbers: bool
    routines: Table[Traceable]


@dataclass(slots=True)
class _Pattern:
    """What is known of calls with arguments of the same kinds, none of them a container.

    `operands` are the places of those that are inputs of the routines, `constants` of the others.
    """

    operands: tuple[int, ...]
    constants: tuple[int, ...]
    routines: dict[Hashable, Traceable]

    def constants_of(self, values: Sequence[Any]) -> tuple[Hashable, ...]:
        """What tells the routines apart."""
        return tuple([_constant(values[place]) for place in self.constants])


_ATOMS = frozenset({type(None), bool, int, float, str, ElementType})
"""Types of arguments that are constants, or numbers that a routine takes as inputs."""


class Callee:
    """A tensor function as it is called outside a trace."""

    def __init__(self, body: Callable[..., Any], views: bool) -> None:
        self.name = body.__name__.strip("_")
        self._body = body
        self._views = views
        self._programs: Table[Program] = Table(_CALLS)
        self._layouts: Table[_Layout] = Table(_CALLS)
        self._patterns: dict[Hashable, _Pattern] = {}

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """A call: of NumPy's arrays run at once, of tensors recorded."""
        values = (*args, *kwargs.values()) if kwargs else args
        pattern = self._patterns.get(_kinds_of(values, kwargs))
        if pattern is not None:
            known = pattern.routines.get(pattern.constants_of(values) if pattern.constants else ())
            if known is not None:
                try:
                    return self._results(known, [values[place] for place in pattern.operands])
                except LongIntegerError:  # which is to be a constant
                    pass
        leaves: list[Any] = []
        record: list[Hashable] = []
        pytree.scan((args, kwargs), leaves, record)
        tensors = arrays = False
        for leaf in leaves:
            if isinstance(leaf, TensorValue):
                tensors = True
            elif is_array(leaf):
                arrays = True
        if arrays and not tensors and not is_tracing():
            return self._run_at_once((args, kwargs), leaves, record)
        return self._recorded((args, kwargs), leaves, record)

    def _recorded(self, arguments: Any, leaves: list[Any], record: list[Hashable]) -> object:
        are_operands = all(map(is_operand, leaves))
        structure = (are_operands, *record)
        layout = self._layouts.get(_hashable(structure, self.name))
        if layout is None:
            layout = self._layouts.add(structure, self._layout(arguments, leaves, are_operands))
        operands: list[Any] = []
        device = common_device([leaf for leaf in leaves if isinstance(leaf, TensorValue)], default_device())
        key: list[Hashable] = [default_float().name, device]
        for leaf, is_number in zip(leaves, layout.numbers, strict=True):
            if isinstance(leaf, TensorValue):
                operands.append(leaf)
                key.append(leaf.ref.kind)
            elif is_number:
                operands.append(leaf)
            elif is_array(leaf):
                value = Value.of_array(on_device(np.array(array_from(leaf)), device))
                operands.append(value)
                key.append(value.kind)
            else:
                key += (type(leaf), _constant(leaf))
        known = layout.routines.get(_hashable(tuple(key), self.name))
        if known is None:
            known = self._traceable(layout, arguments, leaves, operands, device)
            if not layout.has_numbers:
                operands = [leaf for leaf in operands if not isinstance(leaf, (bool, int, float))]
            layout.routines.add(tuple(key), known)
        if are_operands:
            self._remember(arguments, layout, known)
        return self._results(known, operands)

    def _remember(self, arguments: Any, layout: _Layout, known: Traceable) -> None:
        """Let the next call with such arguments find the routine at once, if none of them is a container."""
        args, kwargs = arguments
        values: tuple[Any, ...] = (*args, *kwargs.values())
        if not all(isinstance(value, TensorValue) or type(value) in _ATOMS for value in values):
            return
        names = {name: len(args) + place for place, name in enumerate(kwargs)}
        order = [*range(len(args)), *(names[name] for name in sorted(names))]
        leaves = zip([place for place in order if values[place] is not None], layout.numbers, strict=True)
        operands = tuple(place for place, number in leaves if number or isinstance(values[place], TensorValue))
        constants = tuple(place for place in range(len(values)) if place not in operands)
        if len(self._patterns) >= _CALLS:
            self._patterns = {}
        pattern = self._patterns.setdefault(_kinds_of(values, kwargs), _Pattern(operands, constants, {}))
        if len(pattern.routines) >= _CALLS:
            pattern.routines = {}
        pattern.routines[pattern.constants_of(values)] = known

    def _results(self, known: Traceable, operands: list[Any]) -> object:
        for place, dtype in known.integers:
            _require_fit(operands[place], dtype)
        found: list[Any] = self._viewed(known, operands) if self._views else invoke(known.routine, operands)
        return found[0] if known.results.kind is None else pytree.unflatten(known.results, found)

    def _viewed(self, known: Traceable, operands: list[Any]) -> list[Any]:
        """The results, of which those are views that can be."""
        views = views_of(operands[0], known.routine) if isinstance(operands[0], TensorValue) else [None]
        if all(view is not None for view in views):
            return views
        found: list[Any] = invoke(known.routine, operands)
        for place, view in enumerate(views):
            found[place] = found[place] if view is None else view
        return found

    def _layout(self, arguments: Any, leaves: list[Any], are_operands: bool) -> _Layout:
        numbers = tuple(_taken_as_tensors(self._body, arguments, leaves)) if are_operands else (False,) * len(leaves)
        return _Layout(numbers, any(numbers), Table(_CALLS))

    def _traceable(
        self, layout: _Layout, arguments: Any, leaves: list[Any], operands: list[Any], device: Device
    ) -> Traceable:
        """The body traced for these arguments.

        Where it needs to know a number, numbers are constants from now on in calls that are arranged in this way.
        """
        if layout.has_numbers:
            try:
                return self._traced(layout, arguments, leaves, operands, device)
            except Exception:
                numbers, layout.numbers, layout.has_numbers = layout.numbers, (False,) * len(leaves), False
                try:
                    traced = self._traced(layout, arguments, leaves, operands, device)
                except Exception:  # it was not the numbers
                    layout.numbers, layout.has_numbers = numbers, True
                    raise
                layout.routines.clear()
                self._patterns.clear()
                return traced
        return self._traced(layout, arguments, leaves, operands, device)

    def _traced(
        self, layout: _Layout, arguments: Any, leaves: list[Any], operands: list[Any], device: Device
    ) -> Traceable:
        tree = pytree.flatten(arguments)[1]
        inputs = [leaf for leaf in operands if layout.has_numbers or not isinstance(leaf, (bool, int, float))]
        types = [_type_of(each) for each in inputs]
        numbers: dict[int, Number] = {}

        def call(tensors: Sequence[Any]) -> object:
            remaining = enumerate(tensors)
            values: list[Any] = []
            for leaf, is_number in zip(leaves, layout.numbers, strict=True):
                if is_number:
                    kind: type[Any] = type(leaf)  # pyright: ignore[reportUnknownVariableType]
                    place, tensor = next(remaining)
                    numbers[place] = Number(tensor.in_trace(), kind)
                    values.append(numbers[place])
                else:
                    values.append(next(remaining)[1] if is_array(leaf) else leaf)
            given = cast("tuple[tuple[Any, ...], dict[str, Any]]", pytree.unflatten(tree, values))
            positional, named = with_rewritten(*given)
            return self._body(*positional, **named)

        with within_body():
            traced = trace_function(
                call, [Argument("x", type_) for type_ in types], self.name, placing=self._placing(device)
            )
        routine = Routine(self.name, traced.function.body, self._node(arguments), traced.device)
        integers = ((place, dtype) for place, number in numbers.items() for dtype in number.integers)
        return Traceable(routine, traced.results, tuple(integers))

    @staticmethod
    def _placing(device: Device) -> Placing | None:
        """Where a body is traced: on the device of its operands, or in a trace, on that one's."""
        return None if is_tracing() else Placing(device)

    def _node(self, arguments: Any) -> str:
        """The name of what remembers a call."""
        args, kwargs = arguments
        return call_name(self.name, _tensor_parameters(self._body)[0].bind(*args, **kwargs).arguments)

    def _run_at_once(self, arguments: object, leaves: list[Any], record: list[Hashable]) -> object:
        """A call on arrays of NumPy's and other libraries."""
        arrays: list[Any] = []
        for leaf in leaves:
            if is_array(leaf):
                array = array_from(leaf)
                record += (array.dtype, array.shape)
                arrays.append(array)
            else:
                record += (type(leaf), _constant(leaf))
        record.append(default_float())
        program = self._programs.get(_hashable(tuple(record), self.name))
        if program is not None:
            returned = program.entry(*arrays)
            if returned is not NotImplemented:
                return program.arranged(returned, as_tensors=False)
        dense = [dense_array(leaf, self.name) if is_array(leaf) else None for leaf in leaves]
        if program is None:
            tree = pytree.flatten(arguments)[1]
            program = self._programs.add(tuple(record), _compile(self._body, self.name, tree, leaves, dense))
        return program.run([array for array in dense if array is not None], as_tensors=False)


@functools.cache
def _tensor_parameters(body: Callable[..., Any]) -> tuple[inspect.Signature, frozenset[str]]:
    """A function's signature, and its parameters that are annotated as tensors."""
    signature = inspect.signature(body)
    named = {name for name, each in signature.parameters.items() if "TensorLike" in str(each.annotation)}
    return signature, frozenset(named)


def _taken_as_tensors(body: Callable[..., Any], arguments: Any, leaves: list[Any]) -> list[bool]:
    """For each leaf of a call's arguments, whether it is a Python number where a tensor may stand."""
    if not any(isinstance(leaf, (bool, int, float)) for leaf in leaves):
        return [False] * len(leaves)
    args, kwargs = arguments
    signature, named = _tensor_parameters(body)
    bound = signature.bind(*args, **kwargs)
    names = list(bound.signature.parameters)
    by_position: list[bool] = []
    for number, arg in enumerate(args):
        name = names[min(number, len(names) - 1)]
        by_position += [name in named] * len(pytree.flatten(arg)[0])
    by_name = [name in named for name in sorted(kwargs) for _ in pytree.flatten(kwargs[name])[0]]
    return [
        flag and type(leaf) in (bool, int, float) for flag, leaf in zip((*by_position, *by_name), leaves, strict=True)
    ]


def _kinds_of(values: Sequence[Any], names: Iterable[str]) -> tuple[Hashable, ...]:
    """The key of a call's pattern: the kinds of the arguments, `names` those of the last of them."""
    kinds: list[Hashable] = [each.ref.kind if isinstance(each, TensorValue) else type(each) for each in values]
    return (default_float().name, default_device().index, *kinds, *names)


def _require_fit(number: bool | int | float, dtype: DType) -> None:
    try:
        require_fit(number, dtype)
    except DTypeError as error:
        raise DTypeError(error.what, where=here(), mend="convert the tensor first") from None


def _constant(leaf: Any) -> Hashable:
    """A part of a key, beside the leaf's type: numbers that compare equal may differ, as 0.0 and -0.0 do."""
    return repr(leaf) if isinstance(leaf, float) else leaf


def _type_of(operand: TensorValue | Value | float) -> TensorType:
    if isinstance(operand, TensorValue):
        return operand.tensor_type
    return operand.type if isinstance(operand, Value) else number_type(operand)


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
