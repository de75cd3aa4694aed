"""Text to syntax: the lark grammar with a method per rule.

The parser is made at the first use, which takes about 0.2 s, and kept.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from tenfold.text.syntax import Alias, FilePlace, Function, Parameter, Region, Result, Signature, Statement, Text
from tenfold_rt.errors import ParseError
from tenfoldc.ir.attribute_text import Dense, Dialect, SymbolName, parse_string

Values: TypeAlias = dict[str, object]

_GRAMMAR = Path(__file__).with_name("grammar.lark")
_EXPECTED = {"SSA": "a value", "NAME": "a word", "STRING": "a string", "TENSOR": "a type", "COLON": "':'"}


def read(text: str, file: str) -> Text:
    """The syntax of `text`; `ParseError` where it is not StableHLO."""
    try:
        return _parse(text)
    except UnexpectedInput as error:
        raise parse_error(_unexpected(error), text, file, error.line, error.column) from None


def parse_error(what: str, text: str, file: str, line: int, column: int) -> ParseError:
    """An error that shows a line of `text` with a caret under `column`; both are counted from 1."""
    return ParseError(what, where=f"{file}:{line}:{column}", excerpt=excerpt(text, line, column))


def excerpt(text: str, line: int, column: int) -> str:
    """A line of `text` with a caret under `column`; a long line is cut around it."""
    lines = text.splitlines()
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    start = max(0, column - 61) if len(shown) > 120 else 0
    return f"    {shown[start : start + 120]}\n    {' ' * (max(column, 1) - 1 - start)}^"


def _unexpected(error: Any) -> str:
    if isinstance(error, UnexpectedCharacters):
        return f"unexpected character {cast(Any, error).char!r}"
    if isinstance(error, UnexpectedToken):
        token: Token = cast(Any, error).token
        if token.type != "$END":
            expected = sorted(words for name, words in _EXPECTED.items() if name in error.expected)
            return f"unexpected {str(token)!r}" + (f", expected {' or '.join(expected)}" if expected else "")
    return "the text ends too early"


@cache
def _parser() -> Any:
    grammar = _GRAMMAR.read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=True, transformer=_Syntax())


def _parse(text: str) -> Text:
    return _parser().parse(text)


def _present(children: list[Any], kind: type[Any]) -> tuple[Any, ...]:
    return tuple(child for child in children if isinstance(child, kind))


def _merged(*dictionaries: Values | None) -> Values:
    return {key: value for dictionary in dictionaries if dictionary for key, value in dictionary.items()}


class _Syntax(Transformer[Token, Any]):
    """A method per rule, given what the rule's parts became; absent optional parts are None."""

    def start(self, children: list[Any]) -> Text:
        parts: list[Any] = []
        for child in children:
            parts += cast(list[Any], child) if isinstance(child, list) else [child]
        aliases = dict(_present(parts, tuple))
        return Text(_present(parts, Function), aliases)

    def module(self, children: list[Any]) -> list[Any]:
        return [child for child in children if isinstance(child, Function | tuple)]

    def generic_module(self, children: list[Any]) -> list[Any]:
        statement, _ = children
        return [_generic_function(part) for region in statement.regions for part in region.statements]

    def alias(self, children: list[Any]) -> tuple[str, object]:
        name, value = children
        return str(name), value

    # Functions and regions

    def function(self, children: list[Any]) -> Function:
        visibility, name, parameters, results, attributes, body, _ = children
        public = visibility != "private"
        return Function(name, public, parameters or (), results or (), attributes or {}, body)

    def parameters(self, children: list[Any]) -> tuple[Parameter, ...]:
        return tuple(children)

    def parameter(self, children: list[Any]) -> Parameter:
        name, type_, attributes, _ = children
        return Parameter(name, type_, attributes or {})

    def function_results(self, children: list[Any]) -> tuple[tuple[Token, dict[str, object]], ...]:
        return tuple((child, {}) if isinstance(child, Token) else child for child in children if child is not None)

    def function_result(self, children: list[Any]) -> tuple[Token, dict[str, object]]:
        type_, attributes = children
        return type_, attributes or {}

    def region(self, children: list[Any]) -> Region:
        block, *statements, returned = children
        return Region(block or (), tuple(statements), returned)

    def block(self, children: list[Any]) -> tuple[Parameter, ...]:
        _, parameters = children
        return parameters or ()

    def terminator(self, children: list[Any]) -> tuple[Token, ...]:
        _, operands, _, _ = children
        return operands or ()

    # Statements

    def statement(self, children: list[Any]) -> Statement:
        results, statement, location = children
        statement.results = results or ()
        statement.location = location
        return statement

    def results(self, children: list[Any]) -> tuple[Result, ...]:
        return tuple(children)

    def result(self, children: list[Any]) -> Result:
        name, count = children
        return Result(name, 1 if count is None else int(count))

    def generic(self, children: list[Any]) -> Statement:
        name, operands, properties, regions, attributes, signature = children
        name = name.update(value=parse_string(name))
        values = _merged(properties, attributes)
        return Statement(name, operands or (), values, regions=regions or (), signature=signature)

    def regions(self, children: list[Any]) -> tuple[Region, ...]:
        return tuple(children)

    def operands(self, children: list[Any]) -> tuple[Token, ...]:
        return tuple(children)

    def loop(self, children: list[Any]) -> Statement:
        name, *iterations, types, attributes, condition, body = children
        pairs = [pair for pair in iterations if pair is not None]
        parameters = tuple(Parameter(inner, type_, {}) for (inner, _), type_ in zip(pairs, types or (), strict=False))
        regions = tuple(Region(parameters, part.statements, part.returned) for part in (condition, body))
        operands = tuple(outer for _, outer in pairs)
        return Statement(name, operands, attributes or {}, regions=regions, signature=Signature(types, types or ()))

    def iteration(self, children: list[Any]) -> tuple[Token, Token]:
        inner, outer = children
        return inner, outer

    def reduce(self, children: list[Any]) -> Statement:
        name, *reductions, applied, dimensions, attributes, signature, region = children
        operands = (*(x for x, _ in reductions), *(init for _, init in reductions))
        values = _merged(attributes, {"dimensions": dimensions})
        statement = Statement(name, operands, values, signature=signature)
        if region is not None:
            statement.regions = (region,)
        elif applied is not None:
            statement.words = [str(applied)]
        return statement

    def reduction(self, children: list[Any]) -> tuple[Token, Token]:
        x, init = children
        return x, init

    def reducer(self, children: list[Any]) -> Region:
        *pairs, body = children
        parameters = (*(x for x, _ in pairs), *(y for _, y in pairs))
        return Region(parameters, body.statements, body.returned)

    def pair(self, children: list[Any]) -> tuple[Parameter, Parameter]:
        x, y = children
        return x, y

    def plain(self, children: list[Any]) -> Statement:
        name, *items, signature = children
        statement = Statement(name, signature=signature)
        statement.operands = tuple(item for item in items if isinstance(item, Token) and item.type == "SSA")
        for item in items:
            match item:
                case Token(type="DENSE"):
                    statement.dense = _inside(item)
                case Token(type="SYMBOL"):
                    statement.attributes["callee"] = self.symbol([item])
                case dict():
                    statement.attributes.update(cast(dict[str, object], item))
                case str() if not isinstance(item, Token):
                    statement.words.append(item)
                case list():
                    statement.ranges = cast(list[tuple[int | str, ...]], item)
                case _:
                    pass
        return statement

    def word(self, children: list[Any]) -> str:
        return str(children[0])

    def keyword(self, children: list[Any]) -> dict[str, object]:
        name, value = children
        return {str(name): value}

    def product(self, children: list[Any]) -> tuple[object, ...]:
        return tuple(children)

    def ranges(self, children: list[Any]) -> list[tuple[int | str, ...]]:
        return [child for child in children if child is not None]

    def range(self, children: list[Any]) -> tuple[int | str, ...]:
        bounds = (bound for bound in children if bound is not None)
        return tuple(int(bound) if bound.type == "INT" else str(bound) for bound in bounds)

    # Attributes

    def dictionary(self, children: list[Any]) -> dict[str, object]:
        return dict(child for child in children if child is not None)

    def entry(self, children: list[Any]) -> tuple[str, object]:
        name, value = children
        key = parse_string(name) if name.type == "STRING" else str(name)
        return key, True if value is None else value

    def typed_number(self, children: list[Any]) -> int | float:
        number, _ = children
        return number

    def number(self, children: list[Any]) -> int | float:
        (token,) = children
        if token.startswith("0x"):
            return int(token, 16)
        return int(token) if token.type == "INT" else float(token)

    def string(self, children: list[Any]) -> str:
        return parse_string(children[0])

    def symbol(self, children: list[Any]) -> SymbolName:
        name = str(children[0])[1:]
        return SymbolName(parse_string(name) if name.startswith('"') else name)

    def name(self, children: list[Any]) -> str | bool:
        word = str(children[0])
        return word == "true" if word in ("true", "false") else word

    def array(self, children: list[Any]) -> list[object]:
        return [child for child in children if child is not None]

    def dense(self, children: list[Any]) -> Dense:
        text, type_ = children
        return Dense(_inside(text), str(type_))

    def numbers(self, children: list[Any]) -> list[object]:
        _, _, items = _inside(children[0]).partition(":")
        try:
            return [_item(word.strip()) for word in items.split(",") if word.strip()]
        except ValueError:
            raise UnexpectedToken(children[0], set[str]()) from None

    def dialect(self, children: list[Any]) -> Dialect:
        return Dialect(str(children[0]))

    def reference(self, children: list[Any]) -> Alias:
        return Alias(str(children[0]))

    # Types and locations

    def signature(self, children: list[Any]) -> Signature:
        if len(children) == 1:
            return children[0]
        types, results = children
        return Signature(None, types) if results is None else Signature(types, results)

    def function_type(self, children: list[Any]) -> Signature:
        operands, results = children
        return Signature(operands or (), results)

    def result_types(self, children: list[Any]) -> tuple[Token, ...]:
        (child,) = children
        return (child,) if isinstance(child, Token) else (child or ())

    def types(self, children: list[Any]) -> tuple[Token, ...]:
        return tuple(children)

    def type(self, children: list[Any]) -> Token:
        return children[0]

    def location(self, children: list[Any]) -> FilePlace | Alias | None:
        return children[0]

    def file_place(self, children: list[Any]) -> FilePlace:
        file, line = children[:2]
        return FilePlace(parse_string(file), int(line))

    def unknown_place(self, children: list[Any]) -> None:
        return None

    def alias_place(self, children: list[Any]) -> Alias:
        return Alias(str(children[0]))

    def inner_place(self, children: list[Any]) -> FilePlace | Alias | None:
        return next(iter(child for child in children if isinstance(child, FilePlace | Alias)), None)


def _generic_function(statement: Statement) -> Function:
    """The function that a `"func.func"() <{sym_name = "f", function_type = ...}> ({...})` is."""
    values: dict[str, Any] = statement.attributes
    name = statement.name.update(value=f"@{values.get('sym_name', '')}")
    signature = values.get("function_type")
    types = signature.results if isinstance(signature, Signature) else ()
    body = statement.regions[0] if statement.regions else Region((), (), None)
    of_parameters: list[Values] = values.get("arg_attrs") or [_merged() for _ in body.parameters]
    of_results: list[Values] = values.get("res_attrs") or [_merged() for _ in types]
    parameters = tuple(
        Parameter(parameter.name, parameter.type, attributes)
        for parameter, attributes in zip(body.parameters, of_parameters, strict=False)
    )
    results = tuple(zip(types, of_results, strict=False))
    public = values.get("sym_visibility") != "private"
    return Function(name, public, parameters, results, values, Region((), body.statements, body.returned))


def _inside(text: str) -> str:
    return text.partition("<")[2].removesuffix(">")


def _item(word: str) -> object:
    if word in ("true", "false"):
        return word == "true"
    number = word.lstrip("-")
    return int(word) if number.isdigit() else float(word) if number[:1].isdigit() else word
