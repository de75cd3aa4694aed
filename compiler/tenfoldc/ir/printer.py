"""Tensor IR to text: StableHLO's MLIR syntax, the same text for the same program.

The text is what people read, what golden tests compare and what cache keys are made of, so it is exact, takes
linear time, and reads back to the same text.  Ops with a form of their own in StableHLO are printed in it,
others in MLIR's generic form.  What StableHLO has no words for stands in attributes:

    %arg0: tensor<4xf32> {tenfold.name = "x", tf.aliasing_output = 0 : i32}    a parameter's name and donation
    -> (tensor<4xf32> {tenfold.name = "y"})                                   a result's name
    attributes {tenfold.doc = "..."}                                          a function's documentation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

from tenfoldc.ir.attribute_text import (
    print_convolution_dimensions,
    print_fields,
    print_string,
    print_symbol,
    text_fields,
)
from tenfoldc.ir.core import Function, Module, Operation, Region, Value
from tenfoldc.ir.op import Kind
from tenfoldc.ir.pretty import KEYWORDS, WINDOW, natural_comparison
from tenfoldc.ir.type_text import print_signature, print_type, print_types

_SURROUNDINGS = 3


def print_module(module: Module, *, generic: bool = False, locations: bool = False) -> str:
    """`module` as text.  `generic`: no pretty forms.  `locations`: with each operation's file and line."""
    printer = _Printer(generic, locations)
    printer.lines.append("module {")
    for function in module.functions.values():
        printer.function(function, "public" if function.name in module.entries else "private")
    printer.lines.append("}\n")
    return "\n".join(printer.lines)


def print_function(function: Function, *, generic: bool = False, locations: bool = False) -> str:
    """One function as text."""
    printer = _Printer(generic, locations, indent=0)
    printer.function(function, "public")
    return "\n".join(printer.lines) + "\n"


def print_surroundings(function: Function, operation: Operation) -> str:
    """The lines around `operation`, which an arrow marks; for messages, so broken IR is printed too."""
    printer = _Printer(generic=True, locations=False, indent=0)
    printer.marked = operation
    printer.function(function, "public")
    first, last = printer.marked_lines
    shown = range(max(0, first - _SURROUNDINGS), min(len(printer.lines), last + _SURROUNDINGS))
    arrows = ("-->" if first <= line < last else "   " for line in shown)
    return "\n".join(f"{arrow} {printer.lines[line]}" for arrow, line in zip(arrows, shown, strict=True))


class _Names(dict[Value, str]):
    """The name of each value."""

    def __missing__(self, value: Value) -> str:
        return "%undefined"


class _Printer:
    """Collects lines; names are counted per function, in order of definition."""

    def __init__(self, generic: bool, locations: bool, indent: int = 2) -> None:
        self.generic = generic
        self.locations = locations
        self.indent = " " * indent
        self.lines: list[str] = []
        self.names = _Names()
        self.results = 0
        self.parameters = 0
        self.marked: Operation | None = None
        self.marked_lines = (0, 0)

    # Functions and regions

    def function(self, function: Function, visibility: str) -> None:
        self.names, self.results, self.parameters = _Names(), 0, 0
        body = function.body
        self.name_parameters(body.parameters)
        aliases = dict(function.donated)
        parameters = ", ".join(
            self.typed(value) + _braced(_parameter_attributes(number, function, aliases))
            for number, value in enumerate(body.parameters)
        )
        results = _function_results(function)
        doc = f" attributes {{tenfold.doc = {print_string(function.doc)}}}" if function.doc else ""
        head = f"func.func {visibility} {print_symbol(function.name)}({parameters}){results}{doc}"
        self.lines.append(f"{self.indent}{head} {{")
        self.body(body, "func.return" if self.generic else "return")
        self.lines.append(f"{self.indent}}}")

    def body(self, region: Region, terminator: str) -> None:
        """The operations of `region` and its return, indented."""
        outer, self.indent = self.indent, self.indent + "  "
        for operation in region.operations:
            self.operation(operation)
        types = [value.type for value in region.results]
        if self.generic:
            text = f'"{terminator}"({self.uses(region.results)}) : {print_signature(types, ())}'
        else:
            text = f"{terminator} {self.uses(region.results)} : {print_types(types)}" if types else terminator
        self.lines.append(self.indent + text)
        self.indent = outer

    def nested(self, regions: Sequence[Region], close: str) -> None:
        """Regions in generic form; the line that opens the first is the last one there is."""
        for number, region in enumerate(regions):
            if number:
                self.lines.append(f"{self.indent}}}, {{")
            self.name_parameters(region.parameters)
            if region.parameters:
                self.lines.append(f"{self.indent}^bb0({', '.join(map(self.typed, region.parameters))}):")
            self.body(region, "stablehlo.return")
        self.lines.append(f"{self.indent}}}{close}")

    # Names

    def name_parameters(self, parameters: Sequence[Value]) -> None:
        for value in parameters:
            self.names[value] = f"%arg{self.parameters}"
            self.parameters += 1

    def define(self, results: Sequence[Value]) -> str:
        """Names for `results`; gives `%0 = ` or, for two, `%0:2 = `."""
        if not results:
            return ""
        name = f"%{self.results}"
        self.results += 1
        if len(results) == 1:
            self.names[results[0]] = name
            return f"{name} = "
        for number, value in enumerate(results):
            self.names[value] = f"{name}#{number}"
        return f"{name}:{len(results)} = "

    def uses(self, values: Sequence[Value]) -> str:
        names = self.names
        return ", ".join([names[value] for value in values])

    def typed(self, value: Value) -> str:
        return f"{self.names[value]}: {print_type(value.type)}"

    # Operations

    def operation(self, operation: Operation) -> None:
        first = len(self.lines)
        form = None if self.generic else _FORMS.get(operation.op.name, _plain)
        text = form(self, operation) if form is not None else None
        if text is not None:
            self.lines.append(f"{self.indent}{self.define(operation.results)}{text}{self.location(operation)}")
        elif operation.op.name == "stablehlo.while" and not self.generic and operation.operands:
            self.loop(operation)
        elif operation.op.name == "stablehlo.reduce" and not self.generic:
            self.reduce(operation)
        else:
            self.generic_form(operation)
        if operation is self.marked:
            self.marked_lines = (first, len(self.lines))

    def generic_form(self, operation: Operation) -> None:
        uses = self.uses(operation.operands)
        head = f'{self.indent}{self.define(operation.results)}"{operation.op.name}"({uses})'
        attributes = ", ".join([f"{name} = {text}" for name, text in print_fields(operation.attributes)])
        if attributes:
            head += f" <{{{attributes}}}>"
        tail = f" : {_signature(operation)}{self.location(operation)}"
        if operation.regions:
            self.lines.append(f"{head} ({{")
            self.nested(operation.regions, f"){tail}")
        else:
            self.lines.append(head + tail)

    def location(self, operation: Operation) -> str:
        if not self.locations or operation.location is None:
            return ""
        return f" loc({print_string(operation.location.file)}:{operation.location.line}:0)"

    def loop(self, operation: Operation) -> None:
        """`stablehlo.while(%arg0 = %0) : type cond {...} do {...}`; the regions name their parameters alike."""
        condition, body = operation.regions
        uses = [self.names[value] for value in operation.operands]
        results = self.define(operation.results)
        self.name_parameters(condition.parameters)
        names = [self.names[value] for value in condition.parameters]
        self.names.update(zip(body.parameters, names, strict=True))
        carry = ", ".join(f"{name} = {use}" for name, use in zip(names, uses, strict=True))
        types = print_types(value.type for value in operation.operands)
        self.lines.append(f"{self.indent}{results}stablehlo.while({carry}) : {types}")
        self.lines.append(f"{self.indent}cond {{")
        self.body(condition, "stablehlo.return")
        self.lines.append(f"{self.indent}}} do {{")
        self.body(body, "stablehlo.return")
        self.lines.append(f"{self.indent}}}{self.location(operation)}")

    def reduce(self, operation: Operation) -> None:
        """`stablehlo.reduce(%0 init: %1) applies stablehlo.add across ...`, or with the reducer in full."""
        count = len(operation.results)
        (region,) = operation.regions
        uses = [self.names[value] for value in operation.operands]
        pairs = ", ".join(f"({x} init: {init})" for x, init in zip(uses[:count], uses[count:], strict=True))
        results = self.define(operation.results)
        attributes: Any = operation.attributes
        across = f"across dimensions = {_list(attributes.dimensions)} : {_signature(operation)}"
        applied = _applied(region)
        if applied is not None:
            text = f"{self.indent}{results}stablehlo.reduce{pairs} applies {applied} {across}"
            self.lines.append(text + self.location(operation))
            return
        self.lines.append(f"{self.indent}{results}stablehlo.reduce{pairs} {across}")
        self.name_parameters(region.parameters)
        typed = [self.typed(value) for value in region.parameters]
        groups = " ".join(f"({x}, {y})" for x, y in zip(typed[:count], typed[count:], strict=True))
        self.lines.append(f"{self.indent} reducer{groups} {{")
        self.body(region, "stablehlo.return")
        self.lines.append(f"{self.indent}}}{self.location(operation)}")


# Functions


def _parameter_attributes(number: int, function: Function, aliases: Mapping[int, int]) -> list[str]:
    attributes: list[str] = []
    if number < len(function.parameter_names):
        attributes.append(f"tenfold.name = {print_string(function.parameter_names[number])}")
    if number in aliases:
        attributes.append(f"tf.aliasing_output = {aliases[number]} : i32")
    return attributes


def _function_results(function: Function) -> str:
    types = [print_type(value.type) for value in function.body.results]
    if not types:
        return ""
    if len(types) == 1 and not function.result_names:
        return f" -> {types[0]}"
    names = [[f"tenfold.name = {print_string(name)}"] for name in function.result_names] or [[]] * len(types)
    return f" -> ({', '.join(type_ + _braced(name) for type_, name in zip(types, names, strict=False))})"


def _braced(attributes: Sequence[str]) -> str:
    return f" {{{', '.join(attributes)}}}" if attributes else ""


# Operations on one line.  A form gives None where only the generic form says everything.


def _signature(operation: Operation) -> str:
    return print_signature([v.type for v in operation.operands], [v.type for v in operation.results])


def _short_signature(operation: Operation) -> str:
    """One type where all operands and results have it, else the whole signature."""
    type_ = operation.results[0].type
    if all(value.type == type_ for value in (*operation.operands, *operation.results)):
        return print_type(type_)
    return _signature(operation)


def _list(values: Sequence[object]) -> str:
    return f"[{', '.join(map(_word, values))}]"


def _word(value: Any) -> str:
    match value:
        case tuple():
            return _list(value)  # pyright: ignore[reportUnknownArgumentType]
        case bool():
            return "true" if value else "false"
        case Enum():
            return value.name
        case _:
            return str(value)


_SHORT = frozenset({"stablehlo.cholesky", "stablehlo.iota", "stablehlo.reverse"})
"""Ops that say one type where operands and results have it, beside those that work element by element."""


def _plain(printer: _Printer, operation: Operation) -> str | None:
    """`op operands, word = value : types`."""
    op = operation.op
    keywords = KEYWORDS.get(op.name)
    if operation.regions or (keywords is None and text_fields(op.attributes)):
        return None
    words = [printer.names[value] for value in operation.operands]
    if keywords is not None:
        words += [f"{word} = {_word(getattr(operation.attributes, name))}" for word, name in keywords.items()]
    text = f"{op.name} {', '.join(words)}"
    if op.name.startswith("chlo."):
        results = print_types(value.type for value in operation.results)
        return f"{text} : {print_types(value.type for value in operation.operands)} -> {results}"
    short = op.kind is Kind.ELEMENTWISE or op.name in _SHORT
    return f"{text} : {_short_signature(operation) if short else _signature(operation)}"


def _constant(printer: _Printer, operation: Operation) -> str:
    return f"stablehlo.constant {dict(print_fields(operation.attributes))['value']}"


def _call(printer: _Printer, operation: Operation) -> str:
    attributes: Any = operation.attributes
    uses = printer.uses(operation.operands)
    return f"func.call {print_symbol(attributes.callee)}({uses}) : {_signature(operation)}"


def _select(printer: _Printer, operation: Operation) -> str:
    types = print_types((operation.operands[0].type, operation.results[0].type))
    return f"stablehlo.select {printer.uses(operation.operands)} : {types}"


def _slice(printer: _Printer, operation: Operation) -> str:
    attributes: Any = operation.attributes
    triples = zip(attributes.start_indices, attributes.limit_indices, attributes.strides, strict=True)
    ranges = ", ".join(f"{a}:{b}" if stride == 1 else f"{a}:{b}:{stride}" for a, b, stride in triples)
    return f"stablehlo.slice {printer.uses(operation.operands)} [{ranges}] : {_signature(operation)}"


def _compare(printer: _Printer, operation: Operation) -> str:
    attributes: Any = operation.attributes
    dtype = operation.operands[0].type.dtype
    kind = natural_comparison(dtype) if attributes.compare_type is None else attributes.compare_type.name
    text = f"{attributes.comparison_direction.name}, {printer.uses(operation.operands)}, {kind}"
    return f"stablehlo.compare {text} : {_signature(operation)}"


def _dot_general(printer: _Printer, operation: Operation) -> str:
    attributes: Any = operation.attributes
    numbers = attributes.dot_dimension_numbers
    words = [printer.uses(operation.operands)]
    if numbers.lhs_batching_dimensions:
        lhs, rhs = _list(numbers.lhs_batching_dimensions), _list(numbers.rhs_batching_dimensions)
        words.append(f"batching_dims = {lhs} x {rhs}")
    lhs, rhs = _list(numbers.lhs_contracting_dimensions), _list(numbers.rhs_contracting_dimensions)
    words.append(f"contracting_dims = {lhs} x {rhs}")
    words.append(f"precision = {_list(attributes.precision_config)}")
    return f"stablehlo.dot_general {', '.join(words)} : {_signature(operation)}"


def _convolution(printer: _Printer, operation: Operation) -> str:
    attributes: Any = operation.attributes
    numbers = print_convolution_dimensions(attributes.dimension_numbers)
    window = ", ".join([f"{word} = {_list(getattr(attributes, name))}" for word, name in WINDOW.items()])
    spoken = {*WINDOW.values(), "dimension_numbers"}
    rest = ", ".join([f"{name} = {text}" for name, text in print_fields(attributes) if name not in spoken])
    head = f"stablehlo.convolution({printer.uses(operation.operands)}) dim_numbers = {numbers}"
    return f"{head}, window = {{{window}}} {{{rest}}} : {_signature(operation)}"


_Form: TypeAlias = Callable[[_Printer, Operation], str | None]
_FORMS: dict[str, _Form] = {
    "func.call": _call,
    "stablehlo.compare": _compare,
    "stablehlo.constant": _constant,
    "stablehlo.convolution": _convolution,
    "stablehlo.dot_general": _dot_general,
    "stablehlo.select": _select,
    "stablehlo.slice": _slice,
}


def _applied(region: Region) -> str | None:
    """The name of the binary op that `region` applies to its parameters in order, if it does nothing else."""
    if len(region.operations) != 1 or len(region.parameters) != 2:
        return None
    (operation,) = region.operations
    alone = operation.operands == region.parameters and operation.results == region.results
    return operation.op.name if alone and not text_fields(operation.op.attributes) else None
