"""Calls of a compiled function: arguments matched to parameters, taken apart into arrays, and checked against specs.

A `Signature` knows a function's parameters; `bind` gives a `Call`, whose `Request` is what one program is compiled
for: static values, the tree of each other argument, and the types of the leaves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tenfold import tree as pytree
from tenfold.gradients.modes import is_grad_enabled
from tenfold.memory import Memory, type_of
from tenfold.program import Argument, dense_array, dense_memory
from tenfold.specs import annotated_specs, as_spec, is_spec
from tenfold.tracing import ON_CPU, Array, Placing, TensorValue, array_from, is_scalar
from tenfold.tree import Tree
from tenfold_rt import dtypes
from tenfold_rt.cuda.memory import DeviceArray
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, SpecError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.types import Symbol, TensorType


@frozen
class Request:
    """What one program is compiled for: parameter names with their trees, leaf types, and static values."""

    trees: tuple[tuple[str, Tree], ...]
    types: tuple[TensorType, ...]
    static: tuple[tuple[str, type[Any], Hashable], ...]
    differentiated: tuple[bool, ...] = ()
    """For each leaf whether a gradient flows to it, where one does."""
    placing: Placing = ON_CPU
    """On which device it is to run, so far as that is known before it is traced."""

    def leaf_names(self) -> list[str]:
        """What each leaf is called in messages and in the manifest: `params.w1`."""
        return [name for parameter, tree in self.trees for name in pytree.names(tree, parameter)]


@frozen
class Parts:
    """Arguments taken apart: leaves in order, which are arrays, numbers or specs."""

    trees: tuple[tuple[str, Tree], ...]
    leaves: list[Any]
    names: list[str]
    static: tuple[tuple[str, type[Any], Hashable], ...]


class Signature:
    """The parameters of `function`, those that are `static`, and the specs that annotations give."""

    def __init__(self, function: Callable[..., Any], static: Collection[str], donated: Collection[str]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self.signature = _parameters_of(function, self.name)
        self.static = frozenset(static)
        self.donated = frozenset(donated)
        for name in sorted(self.static | self.donated):
            if name not in self.signature.parameters:
                raise SpecError(
                    f"{self.name} has no parameter `{name}`",
                    mend=f"its parameters are {', '.join(self.signature.parameters) or 'none'}",
                )
        if both := sorted(self.static & self.donated):
            raise SpecError(f"{self.name}: `{both[0]}` is both static and donated")
        self._positional = _positional(self.signature)
        self._by_name = _by_name(self.signature)
        self.specs = {name: spec for name, spec in annotated_specs(function).items() if name not in static}

    def specified(self) -> bool:
        """Whether every parameter has a spec, so that the function can be compiled without example arguments."""
        return all(name in self.specs for name in self.signature.parameters)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A call's arguments by parameter; `SpecError` where they do not match."""
        if not kwargs and len(args) == len(self._positional):
            return dict(zip(self._positional, args, strict=True))
        if len(args) + len(kwargs) == len(self._by_name):
            given = {**dict(zip(self._by_name, args, strict=False)), **kwargs}
            if given.keys() == self._by_name.keys():
                return {name: given[name] for name in self._by_name}
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise SpecError(f"{self.name}: {error}", mend=f"its parameters are {self.signature}") from None
        self._add_specified_defaults(bound)
        return bound.arguments

    def scan(self, args: Sequence[Any], kwargs: Mapping[str, Any], leaves: list[Any], record: list[Hashable]) -> None:
        """Append the leaves of a call's arguments, and to `record` their arrangement, types and static values."""
        names = self._positional
        if kwargs or len(args) != len(names):
            arguments = self.bind(args, kwargs)
            names, args = tuple(arguments), tuple(arguments.values())
            record.append(names)
        try:
            if not self.static:
                pytree.scan_each(args, leaves, record)
                return
            for name, value in zip(names, args, strict=True):
                if name in self.static:
                    record.append(self._static_value(name, value))
                else:
                    pytree.scan(value, leaves, record)
        except RecursionError:
            raise pytree.too_deep() from None

    def take_apart(self, arguments: Mapping[str, Any]) -> Parts:
        """The leaves of a call's arguments, and how they are arranged."""
        trees: list[tuple[str, Tree]] = []
        leaves: list[Any] = []
        static: list[tuple[str, type[Any], Hashable]] = []
        for name, value in arguments.items():
            if name in self.static:
                static.append(self._static_value(name, value))
                continue
            of_value, tree = pytree.flatten(value, is_spec)
            leaves.extend(of_value)
            trees.append((name, tree))
        names = [leaf for parameter, tree in trees for leaf in pytree.names(tree, parameter)]
        return Parts(tuple(trees), leaves, names, tuple(static))

    def _add_specified_defaults(self, bound: inspect.BoundArguments) -> None:
        """A default is a constant of the program, save where a spec says that it is an argument."""
        missing = [name for name in self.specs if name not in bound.arguments]
        if missing:
            present = dict(bound.arguments)
            bound.apply_defaults()
            for name in list(bound.arguments):
                if name not in present and name not in missing:
                    del bound.arguments[name]

    def _static_value(self, name: str, value: object) -> tuple[str, type[Any], Hashable]:
        """A static argument as part of a request: 1, 1.0 and True are equal, so the type is needed too."""
        try:
            hash(value)
        except TypeError:
            raise SpecError(
                f"{self.name}: static argument `{name}` is a {type(value).__name__}, which cannot be hashed",
                mend="give a number, a string, a tuple or a frozen dataclass",
            ) from None
        return name, type(value), value

    def arrays(self, parts: Parts) -> list[Memory]:
        """The leaves of a call as dense memory, each where it is.

        `SpecError` where one is no tensor or does not fit its spec.
        """
        named = list(zip(parts.leaves, parts.names, strict=True))
        tensors = [None if is_scalar(leaf) else dense_memory(leaf, name) for leaf, name in named]
        float_dtype = _float_beside(type_of(tensor) for tensor in tensors if tensor is not None)
        return [
            dense_memory(leaf, name, _dtype_of_number(leaf, spec, float_dtype)) if tensor is None else tensor
            for (leaf, name), tensor, spec in zip(named, tensors, self._expected(parts), strict=True)
        ]

    def request(self, parts: Parts, types: Sequence[TensorType], placing: Placing) -> Request:
        """What to compile for arguments of `types`; `SpecError` where one does not fit its spec."""
        for name, type_, spec in zip(parts.names, types, self._expected(parts), strict=True):
            if spec is not None and not _fits(type_, spec):
                raise SpecError(f"{self.name}: argument `{name}` is {type_}, but its spec is {spec}")
        flags = tuple(wants_gradient([leaf]) for leaf in parts.leaves)
        return Request(parts.trees, tuple(types), parts.static, flags if any(flags) else (), placing)

    def _expected(self, parts: Parts) -> list[TensorType | None]:
        """The type that each leaf must have, where annotations say."""
        if not self.specs:
            return [None] * len(parts.leaves)
        expected: list[TensorType | None] = []
        for name, tree in parts.trees:
            if name not in self.specs:
                expected.extend([None] * tree.leaves)
                continue
            specs, spec_tree = pytree.flatten(self.specs[name], is_spec)
            if spec_tree != tree:
                raise SpecError(
                    f"{self.name}: argument `{name}` has the structure {pytree.describe(tree)}, "
                    f"but its spec has {pytree.describe(spec_tree)}"
                )
            expected.extend(as_spec(spec).type for spec in specs)
        return expected

    def arguments(self, request: Request) -> list[Argument]:
        """The arguments of the program for `request`."""
        donated = [name in self.donated for name, tree in request.trees for _ in range(tree.leaves)]
        return [
            Argument(name, type_, flag)
            for name, type_, flag in zip(request.leaf_names(), request.types, donated, strict=True)
        ]

    def call(self, function: Callable[..., Any], request: Request, leaves: Sequence[Any]) -> object:
        """Call `function` with `leaves` and static values put back as its arguments."""
        for leaf, flag in zip(leaves, request.differentiated, strict=False):
            if flag:
                leaf.requires_grad_()
        values: dict[str, Any] = {name: value for name, _, value in request.static}
        remaining = iter(leaves)
        for name, tree in request.trees:
            values[name] = pytree.unflatten(tree, [next(remaining) for _ in range(tree.leaves)])
        bound = inspect.BoundArguments(self.signature, _in_order(self.signature, values))
        return function(*bound.args, **bound.kwargs)

    def is_flat(self, request: Request) -> bool:
        """Whether a call's positional arguments are the program's arrays as they are."""
        kinds = {parameter.kind for parameter in self.signature.parameters.values()}
        return (
            not request.static
            and inspect.Parameter.VAR_KEYWORD not in kinds
            and inspect.Parameter.KEYWORD_ONLY not in kinds
            and len(request.trees) == len(self.signature.parameters)
            and all(tree.is_leaf for _, tree in request.trees)
        )


def _positional(signature: inspect.Signature) -> tuple[str, ...]:
    """The parameters, where giving each by position is a complete call; else none."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    simple = all(parameter.kind in kinds for parameter in signature.parameters.values())
    return tuple(signature.parameters) if simple else ()


def _by_name(signature: inspect.Signature) -> dict[str, inspect.Parameter]:
    """The parameters, where each may be given by its name or its position; else none."""
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    return dict(signature.parameters) if kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD} else {}


def wants_gradient(leaves: Sequence[Any]) -> bool:
    """Whether a gradient is to flow to one of a call's leaves."""
    return is_grad_enabled() and any(isinstance(leaf, TensorValue) and leaf.ref.edge is not None for leaf in leaves)


def operands_of(leaves: Sequence[Any]) -> list[Any]:
    """What compiled code may take for `leaves`.  What needs more work stays as it is: compiled code refuses it."""
    prepared: list[Any] = []
    for leaf in leaves:
        operand = leaf
        if isinstance(leaf, TensorValue):
            operand = leaf.memory
        elif isinstance(leaf, np.generic):
            operand = array_from(cast("object", leaf))
        prepared.append(operand)
    return prepared


def array_kinds(prepared: Sequence[Any]) -> tuple[Hashable, ...]:
    """The element types and shapes of the arrays among `prepared`, and the devices of those in a GPU's memory."""
    kinds: list[Hashable] = []
    for operand in prepared:
        if type(operand) is np.ndarray:
            array: Array = operand
            kinds.append((array.dtype, array.shape))
        elif isinstance(operand, DeviceArray):
            kinds.append((operand.dtype, operand.shape, operand.device.index))
    return tuple(kinds)


def _in_order(signature: inspect.Signature, values: Mapping[str, Any]) -> Any:
    return {name: values[name] for name in signature.parameters if name in values}


def number_dtype(leaf: object, spec: TensorType) -> DType | None:
    """The element type for a Python number where a scalar is wanted: the spec's, unless it is of a lower family."""
    if not is_scalar(leaf) and not isinstance(leaf, np.float64):
        return None
    order = (isinstance(leaf, (bool, np.bool_)), isinstance(leaf, int), True).index(True)
    family = 0 if spec.dtype.is_bool else 1 if spec.dtype.is_integer else 2
    return spec.dtype if family >= order else None


def _fits(type_: TensorType, spec: TensorType) -> bool:
    return (
        type_.dtype is spec.dtype
        and type_.rank == spec.rank
        and all(isinstance(want, Symbol) or want == got for want, got in zip(spec.shape, type_.shape, strict=True))
    )


def example_types(parts: Parts) -> list[TensorType]:
    """The types of leaves that are specs, arrays or numbers."""
    named = list(zip(parts.leaves, parts.names, strict=True))
    types = [None if is_scalar(leaf) else _example_type(leaf, name) for leaf, name in named]
    float_dtype = _float_beside(type_ for type_ in types if type_ is not None)
    return [
        type_ or _example_type(leaf, name, _dtype_of_number(leaf, None, float_dtype))
        for (leaf, name), type_ in zip(named, types, strict=True)
    ]


def _example_type(leaf: object, name: str, dtype: DType | None = None) -> TensorType:
    if is_spec(leaf):
        return as_spec(leaf).type  # pyright: ignore[reportArgumentType] - `is_spec` says so
    if isinstance(leaf, TensorValue):
        return leaf.tensor_type
    return type_of(dense_array(leaf, name, dtype))


def _float_beside(types: Iterable[TensorType]) -> DType | None:
    """What a Python float is beside tensors of `types`: f64 where one of them is, so that it keeps its digits.

    Else None, for the default.  Tensors of narrower types that it meets stay what they are, since it has rank 0.
    """
    return dtypes.f64 if any(type_.dtype is dtypes.f64 for type_ in types) else None


def _dtype_of_number(number: object, spec: TensorType | None, float_dtype: DType | None) -> DType | None:
    """The element type for a Python number among arguments: None for its default."""
    if spec is not None:
        return number_dtype(number, spec)
    return float_dtype if isinstance(number, float) else None


def _parameters_of(function: Callable[..., Any], name: str) -> inspect.Signature:
    """The signature of `function`; `ArgumentError` where it tells none, or where a call of it does not run it."""
    for is_of_kind, kind in _RUN_LATER:
        if is_of_kind(function):
            raise ArgumentError(f"{name} is {kind}, which a call does not run", mend="compile a function that returns")
    try:
        return inspect.signature(function)
    except ValueError:
        raise ArgumentError(
            f"{name} does not tell what parameters it has", mend=f"wrap it, as in lambda x: {name}(x)"
        ) from None


_RUN_LATER = (
    (inspect.isgeneratorfunction, "a generator"),
    (inspect.iscoroutinefunction, "a coroutine"),
    (inspect.isasyncgenfunction, "an asynchronous generator"),
)
