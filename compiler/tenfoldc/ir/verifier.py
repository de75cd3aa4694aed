"""The rules of the tensor IR, checked: `verify(module)` raises `VerificationError` for the first broken one.

Checked are definitions (once each, before use, visible), types (those that each op's type rule gives),
attributes (of the op's class), calls (of a function that exists, with its types, never recursive), and a
function's names and donations.  A message shows the operation within the lines around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from tenfold_rt.errors import TenfoldError, VerificationError
from tenfoldc.ir.core import Function, Module, Operation, Region, Value, walk
from tenfoldc.ir.printer import print_surroundings
from tenfoldc.ir.types import TensorType, check_addressable

_DEEPEST_CALLS = 200
"""Stages follow calls by recursion."""


def verify(module: Module) -> None:
    """Raise `VerificationError` unless `module` keeps the rules of the tensor IR."""
    for entry in module.entries:
        if entry not in module.functions:
            raise VerificationError(f"module: entry {entry} is not one of its functions")
    defined: set[Value] = set()
    for name, function in module.functions.items():
        if name != function.name:
            raise VerificationError(f"module: function {function.name} is listed under the name {name}")
        _check_interface(function)
        _FunctionCheck(module, function, defined).region(function.body)
    _check_recursion(module)


def _check_interface(function: Function) -> None:
    """Names and donations fit the parameters and results."""
    if "\0" in function.name or function.name.startswith("llvm."):
        raise VerificationError(
            f"no function can be called {function.name!r}", mend="LLVM takes such names for its own"
        )
    parameters, results = function.type.parameters, function.type.results
    _check_names(function, "parameter", function.parameter_names, len(parameters))
    _check_names(function, "result", function.result_names, len(results))
    for parameter, result in function.donated:
        if parameter not in range(len(parameters)) or result not in range(len(results)):
            raise VerificationError(
                f"function {function.name}: donates parameter {parameter} to result {result}, "
                f"but has {len(parameters)} parameters and {len(results)} results"
            )
        if parameters[parameter] != results[result]:
            raise VerificationError(
                f"function {function.name}: parameter {parameter} is donated to result {result}, "
                f"but their types differ, {parameters[parameter]} and {results[result]}"
            )
    for kind, numbers in zip(("parameter", "result"), zip(*function.donated, strict=True), strict=False):
        if len(set(numbers)) != len(numbers):
            raise VerificationError(f"function {function.name}: donates a {kind} twice")


def _check_names(function: Function, kind: str, names: Sequence[str], count: int) -> None:
    if names and len(names) != count:
        raise VerificationError(f"function {function.name}: {len(names)} {kind} names for {count} {kind}s")
    if len(set(names)) != len(names):
        raise VerificationError(f"function {function.name}: two {kind}s have one name, {', '.join(names)}")


class _FunctionCheck:
    """The check of one function.  `defined` holds every value that the module has defined so far."""

    def __init__(self, module: Module, function: Function, defined: set[Value]) -> None:
        self.module = module
        self.function = function
        self.defined = defined
        self.visible: set[Value] = set()

    def region(self, region: Region) -> None:
        """Check `region`, which sees what is visible around it; what it defines is not visible after it."""
        inside: list[Value] = []
        self.define(region.parameters, inside, None)
        for operation in region.operations:
            self.operation(operation)
            for inner in operation.regions:
                self.region(inner)
            self.define(operation.results, inside, operation)
        for number, result in enumerate(region.results):
            if result not in self.visible:
                self.fail(f"result {number} of a region is not visible in it", None)
        self.visible.difference_update(inside)

    def define(self, values: Iterable[Value], inside: list[Value], operation: Operation | None) -> None:
        for value in values:
            if value in self.defined:
                self.fail(f"value of type {value.type} is defined twice", operation)
            self.defined.add(value)
            self.visible.add(value)
            inside.append(value)

    def operation(self, operation: Operation) -> None:
        op = operation.op
        for number, operand in enumerate(operation.operands):
            if operand not in self.visible:
                what = "is used before its definition or outside its region"
                self.fail(f"{op.name}: operand {number} {what}", operation)
        if not isinstance(operation.attributes, op.attributes):
            given, wanted = type(operation.attributes).__name__, op.attributes.__name__
            self.fail(f"{op.name}: attributes are {given}, not {wanted}", operation)
        self.types(operation)
        if op.name == "func.call":
            self.call(operation)

    def types(self, operation: Operation) -> None:
        given = tuple(result.type for result in operation.results)
        operands = [operand.type for operand in operation.operands]
        try:
            inferred = operation.op.infer(operands, operation.attributes, operation.regions)
        except TenfoldError as error:
            self.fail(str(error), operation)
        if given != inferred:
            what = f"results are {_listed(given)}, not {_listed(inferred)}"
            self.fail(f"{operation.op.name}: {what}", operation)

    def call(self, operation: Operation) -> None:
        attributes: Any = operation.attributes
        callee = self.module.functions.get(attributes.callee)
        if callee is None:
            self.fail(f"func.call: there is no function {attributes.callee}", operation)
        if callee.type != attributes.callee_type:
            self.fail(f"func.call: {callee.name} has another type than the call says", operation)

    def fail(self, what: str, operation: Operation | None) -> NoReturn:
        where, text = "", ""
        if operation is not None:
            where = "" if operation.location is None else str(operation.location)
            text = print_surroundings(self.function, operation)
        raise VerificationError(f"function {self.function.name}: {what}", where=where, excerpt=text)


def _listed(types: Iterable[TensorType]) -> str:
    return f"({', '.join(map(str, types))})"


def _check_recursion(module: Module) -> None:
    """Calls form no circle: everything is compiled into one body."""
    callees = {
        name: sorted({_callee(site) for site in walk(function.body) if site.op.name == "func.call"})
        for name, function in module.functions.items()
    }
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise VerificationError(f"module: functions call each other in a circle, {circle}")
        if len(path) > _DEEPEST_CALLS:
            raise VerificationError(f"module: calls nest more than {_DEEPEST_CALLS} deep, in {name}")
        if name not in finished:
            for callee in callees[name]:
                visit(callee, (*path, name))
            finished.add(name)

    for name in callees:
        visit(name, ())


def _callee(operation: Operation) -> str:
    attributes: Any = operation.attributes
    return attributes.callee


def check_sizes(module: Module) -> None:
    """`ShapeError` for a tensor that is larger than any memory, with its place."""
    for function in module.functions.values():
        for type_ in function.type.parameters:
            check_addressable(type_)
        for operation in walk(function.body):
            for result in operation.results:
                try:
                    check_addressable(result.type)
                except TenfoldError as error:
                    raise error.at(operation.location) from None
