"""Syntax to tensor IR: names become values, words attributes, and every type is checked."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn

from lark import Token

from tenfold.text.forms import attribute_values
from tenfold.text.reader import excerpt, parse_error
from tenfold.text.syntax import Alias, FilePlace, Function, Parameter, Region, Signature, Statement, Text
from tenfold_rt.errors import TenfoldError, UnsupportedError
from tenfoldc.ir import core
from tenfoldc.ir.attribute_text import decode_attributes, parse_string
from tenfoldc.ir.op import OPS
from tenfoldc.ir.type_text import parse_type, print_types
from tenfoldc.ir.types import FunctionType, TensorType
from tenfoldc.ops.control import CALL

_RENAMED = {"call": CALL.name}
"""Short names that MLIR allows inside a function."""

_RETURNS = ("func.return", "stablehlo.return")

_DEEPEST = 64
"""Regions within regions beyond this are refused: stages follow them by recursion."""


def build(syntax: Text, text: str, file: str) -> core.Module:
    """The module that `syntax` describes; `text` and `file` are for messages.

    Raises `ParseError`, `UnsupportedError` for ops and element types that Tenfold lacks, and the errors of the
    ops' type rules, all with the place in the text.
    """
    builder = _Builder(syntax, text, file)
    functions: dict[str, core.Function] = {}
    for part in syntax.functions:
        function = builder.function(part)
        if function.name in functions:
            builder.fail(f"there are two functions {function.name}", part.name)
        functions[function.name] = function
    entries = tuple(_symbol(part.name) for part in syntax.functions if part.public)
    return core.Module(functions, entries)


def _symbol(token: Token) -> str:
    name = str(token)[1:]
    return parse_string(name) if name.startswith('"') else name


class _Builder:
    """Builds functions.  `names` holds the values that are visible, `scopes` which names end with which region."""

    def __init__(self, syntax: Text, text: str, file: str) -> None:
        self.aliases = syntax.aliases
        self.text = text
        self.file = file
        self.names: dict[str, core.Value] = {}
        self.scopes: list[list[str]] = []

    # Functions and regions

    def function(self, part: Function) -> core.Function:
        name = _symbol(part.name)
        body = self.region(part.body, part.parameters, part.name)
        declared = tuple(self.type(type_) for type_, _ in part.results)
        if declared != body.type.results:
            given, wanted = print_types(body.type.results), print_types(declared)
            self.fail(f"function {name} returns ({given}), but declares ({wanted})", part.name)
        donated = tuple(
            (number, result)
            for number, parameter in enumerate(part.parameters)
            if isinstance(result := parameter.attributes.get("tf.aliasing_output"), int)
        )
        return core.Function(
            name,
            body,
            _given_names([parameter.attributes for parameter in part.parameters]),
            _given_names([attributes for _, attributes in part.results]),
            donated,
            str(part.attributes.get("tenfold.doc", "")),
        )

    def region(self, part: Region, parameters: Sequence[Parameter], at: Token) -> core.Region:
        """A block with its own names, which end with it; it belongs to what is written `at`."""
        if len(self.scopes) == _DEEPEST:
            self.fail(f"regions nest more than {_DEEPEST} deep", at)
        self.scopes.append([])
        values = tuple(core.Value(self.type(parameter.type)) for parameter in parameters)
        for parameter, value in zip(parameters, values, strict=True):
            self.define(str(parameter.name), value, parameter.name)
        statements, returned = _without_terminator(part)
        operations = tuple([self.statement(statement) for statement in statements])
        if returned is None:
            self.fail("a region ends with a return", statements[-1].name if statements else at)
        results = tuple(self.use(token) for token in returned)
        for name in self.scopes.pop():
            del self.names[name]
        return core.Region(values, operations, results)

    # Names and types

    def define(self, name: str, value: core.Value, at: Token) -> None:
        if name in self.names:
            self.fail(f"{name} is defined twice", at)
        self.names[name] = value
        self.scopes[-1].append(name)

    def use(self, token: Token) -> core.Value:
        name = str(token)
        value = self.names.get(name) or self.names.get(name.removesuffix("#0"))
        if value is None:
            self.fail(f"{name} is not defined here", token)
        return value

    def type(self, token: Token) -> TensorType:
        with self.place(token):
            return parse_type(str(token))

    # Operations

    def statement(self, part: Statement) -> core.Operation:
        name = _RENAMED.get(str(part.name), str(part.name))
        op = OPS.get(name)
        if op is None:
            what = f"op {name} is not supported"
            raise UnsupportedError(what, where=self.where(part.name), excerpt=self.excerpt(part.name))
        operands = tuple([self.use(token) for token in part.operands])
        regions = tuple([self.region(region, region.parameters, part.name) for region in part.regions])
        signature = self.signature(part, operands)
        if name == "stablehlo.reduce" and part.words:
            regions = (self.reducer(part, signature),)
        with self.place(part.name):
            values = {key: self.resolve(value) for key, value in attribute_values(name, part, signature).items()}
            attributes = decode_attributes(op.attributes, values, signature)
            inferred = op.infer(signature.parameters, attributes, regions)
        declared = signature.results
        if declared != inferred:
            given, wanted = print_types(declared), print_types(inferred)
            self.fail(f"{name}: the results are declared as ({given}), but are ({wanted})", part.name)
        results = tuple(core.Value(type_) for type_ in inferred)
        self.define_results(part, results)
        return core.Operation(op, operands, results, attributes, regions, self.location(part))

    def signature(self, part: Statement, operands: Sequence[core.Value]) -> FunctionType:
        """The types of the operands and the declared types of the results."""
        given = tuple(operand.type for operand in operands)
        written = part.signature or Signature(None, ())
        results = tuple(self.type(token) for token in written.results)
        if written.operands is None:
            named = sum(result.count for result in part.results)
            return FunctionType(given, results[-max(named, 1) :])
        declared = tuple(self.type(token) for token in written.operands)
        if declared != given:
            what = f"the operands are ({print_types(given)}), but the signature says ({print_types(declared)})"
            self.fail(f"{part.name}: {what}", part.name)
        return FunctionType(given, results)

    def reducer(self, part: Statement, signature: FunctionType) -> core.Region:
        """The body of `applies stablehlo.add`: that op on two elements."""
        op = OPS.get(part.words[0])
        if op is None or len(signature.parameters) != 2:
            self.fail(f"reduce cannot apply {part.words[0]} here", part.name)
        element = signature.parameters[1]
        parameters = (core.Value(element), core.Value(element))
        with self.place(part.name):
            results = tuple(map(core.Value, op.infer((element, element), core.NO_ATTRIBUTES, ())))
        operation = core.Operation(op, parameters, results, location=self.location(part))
        return core.Region(parameters, (operation,), results)

    def define_results(self, part: Statement, results: Sequence[core.Value]) -> None:
        named = sum(result.count for result in part.results)
        if part.results and named != len(results):
            self.fail(f"{part.name}: {named} results are named, there are {len(results)}", part.results[0].name)
        remaining = iter(results)
        for result in part.results:
            for number in range(result.count):
                name = str(result.name) if result.count == 1 else f"{result.name}#{number}"
                self.define(name, next(remaining), result.name)

    def resolve(self, value: object) -> object:
        """`value`, or what an alias stands for; None for aliases that stand for each other."""
        seen: set[Alias] = set()
        while isinstance(value, Alias) and value not in seen:
            seen.add(value)
            value = self.aliases.get(value.name)
        return None if isinstance(value, Alias) else value

    def location(self, part: Statement) -> core.Location:
        """The place in the program that was exported, where the text tells it, else the place in the text."""
        place = self.resolve(part.location)
        if isinstance(place, FilePlace):
            return core.Location(place.file, place.line)
        return core.Location(self.file, part.name.line or 0)

    # Errors

    def where(self, token: Token) -> str:
        return f"{self.file}:{token.line}:{token.column}"

    def excerpt(self, token: Token) -> str:
        return excerpt(self.text, token.line or 0, token.column or 0)

    @contextmanager
    def place(self, token: Token) -> Generator[None]:
        """Give errors raised inside the place of `token`."""
        try:
            yield
        except TenfoldError as error:
            if error.where:
                raise
            where, shown = self.where(token), self.excerpt(token)
            raise type(error)(error.what, where=where, mend=error.mend, excerpt=shown) from None
        except ValueError as error:
            self.fail(f"{token}: {error}", token)
        except RecursionError:
            self.fail(f"{token}: brackets nest too deeply", token)

    def fail(self, what: str, at: Token) -> NoReturn:
        raise parse_error(what, self.text, self.file, at.line or 0, at.column or 0) from None


def _given_names(attributes: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """The names of parameters or results; none unless each has one."""
    names = [name for each in attributes if isinstance(name := each.get("tenfold.name"), str)]
    return tuple(names) if len(names) == len(attributes) else ()


def _without_terminator(part: Region) -> tuple[tuple[Statement, ...], tuple[Token, ...] | None]:
    """The statements before the return and what it returns, also where it is written in generic form."""
    last = part.statements[-1] if part.statements else None
    if part.returned is None and last is not None and last.name in _RETURNS:
        return part.statements[:-1], last.operands
    return part.statements, part.returned
