"""Attributes as StableHLO writes them, driven by the dataclasses that hold them.

`print_fields(attributes)` gives each field's name and MLIR text; `decode_attributes` makes the dataclass from
what a parser read.  A field's type says how it is spelled:

    int, bool, str                 1 : i64, true, "text"
    tuple[int, ...]                array<i64: 1, 2>
    tuple[tuple[int, int], ...]    dense<[[0, 1], [2, 3]]> : tensor<2x2xi64>
    an Enum                        #stablehlo<comparison_direction LT>
    a dataclass                    #stablehlo.gather<offset_dims = [1]>, empty fields left out
    an array                       dense<...> : tensor<...>

Fields that repeat the signature (TensorType, DType, FunctionType, a field named shape) have no text; a
`DType | None` is None where the result has the dtype of the first operand.  `DeferredRegions` have none either and
are lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Attributes, DeferredRegions
from tenfoldc.ir.dense_text import parse_dense, print_dense
from tenfoldc.ir.type_text import parse_type, print_type
from tenfoldc.ir.types import Dim, FunctionType, Symbol, TensorType


class SymbolName(str):
    """The name of a function, `@name` in the text."""

    __slots__ = ()


@frozen
class Dense:
    """`dense<text> : type` before its elements are read."""

    text: str
    type: str


@frozen
class Dialect:
    """A dialect's own attribute, `#stablehlo.gather<...>`, whole."""

    text: str


@frozen
class FieldText:
    """How one field of an attributes dataclass is spelled."""

    name: str
    hint: Any
    print: Callable[[Any], str]
    default: Any


_DERIVED = (TensorType, DType, FunctionType, DeferredRegions)
_ENUM_NAMES = {
    "Direction": "comparison_direction",
    "CompareType": "comparison_type",
    "FftType": "fft_type",
}
_IDENTIFIER = re.compile(r"[A-Za-z_][\w$.]*")
_ESCAPED = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_STRUCTURE_FIELD = re.compile(r"(\w+)\s*=\s*(\[[^\]]*\]|-?\w+)")


@cache
def _hints(kind: type[Any]) -> Mapping[str, Any]:
    return get_type_hints(kind)


@cache
def text_fields(attributes: type[Attributes]) -> tuple[FieldText, ...]:
    """The fields of `attributes` that have text, sorted by name as MLIR prints them."""
    hints = _hints(attributes)
    return tuple(
        FieldText(
            field.name,
            hints[field.name],
            _NAMED_PRINTERS.get(field.name) or _printer(hints[field.name]),
            field.default,
        )
        for field in sorted(fields(attributes), key=lambda field: field.name)
        if not _is_derived(field.name, hints[field.name])
    )


def print_fields(attributes: Attributes) -> list[tuple[str, str]]:
    """Name and text of each field that has a value."""
    values = ((field, getattr(attributes, field.name)) for field in text_fields(type(attributes)))
    return [(field.name, field.print(value)) for field, value in values if value is not None]


def decode_attributes(kind: type[Attributes], values: Mapping[str, object], signature: FunctionType) -> Attributes:
    """An instance of `kind` from parsed `values`; what has no text comes from the operation's `signature`.

    A value is a bool, int, float, str, list, dict, `SymbolName`, `Dense` or `Dialect`.  Raises `ValueError`
    where one is missing, unknown, or not what its field holds.  Names with a dot belong to other dialects and
    are passed over.
    """
    hints = _hints(kind)
    spelled = {field.name: field for field in text_fields(kind)}
    unknown = [name for name in values if name not in spelled and "." not in name]
    if unknown:
        known = ", ".join(spelled) or "none"
        raise ValueError(f"attribute {unknown[0]} is not one of this operation's, which are: {known}")
    arguments: dict[str, Any] = {
        name: _derive(name, hint, signature) for name, hint in hints.items() if _is_derived(name, hint)
    }
    for name, field in spelled.items():
        if name in values:
            try:
                arguments[name] = decode_value(values[name], field.hint)
            except ValueError as error:
                raise ValueError(f"attribute {name}: {error}") from None
        elif field.default is MISSING:
            raise ValueError(f"attribute {name} is missing")
    return kind(**arguments)


def _is_derived(name: str, hint: Any) -> bool:
    types = get_origin(hint) is tuple and get_args(hint)[0] is TensorType
    return types or _without_none(hint) in _DERIVED or name == "shape"


def _derive(name: str, hint: Any, signature: FunctionType) -> Any:
    if _without_none(hint) is DeferredRegions:
        return None
    if hint is FunctionType:
        return signature
    if get_origin(hint) is tuple and name != "shape":
        return signature.results
    if not signature.results:
        raise ValueError("the result's type is missing")
    result = signature.results[0]
    if hint is TensorType:
        return result
    if _without_none(hint) is not DType:
        return result.shape
    operands = signature.parameters
    same_as_operands = hint is not DType and bool(operands) and result.dtype == operands[0].dtype
    return None if same_as_operands else result.dtype


def print_symbol(name: str) -> str:
    """A function's name: `@main`, quoted where it is not an identifier."""
    return f"@{name}" if _IDENTIFIER.fullmatch(name) else f"@{print_string(name)}"


def print_string(value: str) -> str:
    """`value` in quotes, as MLIR escapes it."""
    return '"' + re.sub(r'["\\\x00-\x1f]', lambda match: f"\\{ord(match[0]):02X}", value) + '"'


def parse_string(text: str) -> str:
    """The string that a quoted `text` stands for."""
    escape = re.compile(r"\\([0-9A-Fa-f]{2}|[nt\"\\])")
    return escape.sub(lambda match: _ESCAPED.get(match[1]) or chr(int(match[1], 16)), text[1:-1])


def _print_precision(words: Sequence[str]) -> str:
    return f"[{', '.join(f'#stablehlo<precision {word}>' for word in words)}]"


_NAMED_PRINTERS: Mapping[str, Callable[[Any], str]] = {
    "callee": print_symbol,
    "precision_config": _print_precision,
}


def _without_none(hint: Any) -> Any:
    """`X` for `X | None`."""
    if hint != Dim and get_origin(hint) in (Union, UnionType):
        (hint,) = (argument for argument in get_args(hint) if argument is not NoneType)
    return hint


def _is_array(hint: Any) -> bool:
    # NDArray names the class up to NumPy 2.4, and is an alias for it (PEP 695) since.
    return get_origin(hint) in (np.ndarray, NDArray)


# Printing


@cache
def _printer(annotation: Any) -> Callable[[Any], str]:
    """The function that prints values of a field annotated so."""
    hint = _without_none(annotation)
    if _is_array(hint):
        return lambda array: f"dense<{print_dense(array)}> : {_array_type(array)}"
    if get_origin(hint) is tuple:
        return _tuple_printer(get_args(hint)[0])
    if hint is bool:
        return lambda value: "true" if value else "false"
    if hint is int:
        return lambda value: f"{value} : i64"
    if hint is str:
        return print_string
    if is_dataclass(hint):
        return print_structure
    if issubclass(hint, Enum):
        mnemonic = _enum_mnemonic(hint)
        return lambda member: f"#stablehlo<{mnemonic} {member.name}>"
    raise TypeError(f"attributes of type {hint} have no spelling in StableHLO")


def _tuple_printer(item: Any) -> Callable[[Any], str]:
    if item is bool:
        return lambda values: f"array<i1{_after_colon('true' if value else 'false' for value in values)}>"
    if item in (int, Dim):
        return lambda values: f"array<i64{_after_colon(map(str, values))}>"
    if get_origin(item) is tuple:
        return _print_matrix
    element = _printer(item)
    return lambda values: f"[{', '.join(map(element, values))}]"


def _after_colon(items: Any) -> str:
    text = ", ".join(items)
    return f": {text}" if text else ""


def _print_matrix(rows: Sequence[Sequence[int]]) -> str:
    array = np.array(rows, np.int64).reshape(len(rows), -1 if rows else 2)
    repeats = array.size and (array == array[0, 0]).all()
    text = str(array[0, 0]) if repeats else print_dense(array)
    return f"dense<{text}> : {_array_type(array)}"


def _array_type(array: Any) -> str:
    dtype = dtypes.from_numpy(array.dtype)
    if dtype is None:
        raise TypeError(f"constants of NumPy's {array.dtype} have no spelling in StableHLO")
    return print_type(TensorType(dtype, array.shape))


def _enum_mnemonic(kind: type[Enum]) -> str:
    return _ENUM_NAMES.get(kind.__name__, re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower())


def print_structure(value: Any) -> str:
    """A dataclass as `#stablehlo.name<field = value, ...>`, fields in their order, empty ones left out."""
    if _is_convolution(type(value)):
        return f"#stablehlo.conv<{print_convolution_dimensions(value)}>"
    name = type(value).__name__.removesuffix("DimensionNumbers").lower()
    present = [(field.name, getattr(value, field.name)) for field in fields(value)]
    words = [f"{key} = {item if isinstance(item, int) else list(item)}" for key, item in present if item]
    return f"#stablehlo.{name}<{', '.join(words)}>"


# Decoding


def decode_value(value: object, annotation: Any) -> Any:
    """`value` as a field annotated so holds it; `ValueError` where it is something else."""
    hint = _without_none(annotation)
    if _is_array(hint) and isinstance(value, Dense):
        return parse_dense(value.text, parse_type(value.type))
    if get_origin(hint) is tuple:
        return _decode_tuple(value, get_args(hint))
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str | Dialect):
        return _word(value)
    if hint == Dim and isinstance(value, int | str):
        return Symbol(value) if isinstance(value, str) else value
    if isinstance(hint, type) and issubclass(hint, Enum) and isinstance(value, str | Dialect):
        return _decode_enum(value, hint)
    if isinstance(value, Dialect) and is_dataclass(cast(object, hint)):
        return _decode_structure(value.text, cast(Any, hint))
    raise ValueError(f"{_describe(value)} is not {_expected(hint)}")


def _describe(value: object) -> str:
    match value:
        case Dialect():
            return value.text
        case Dense():
            return f"dense<{value.text}>"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _expected(hint: Any) -> str:
    names = {bool: "true or false", int: "an integer", str: "a string"}
    return names.get(hint, "a constant" if _is_array(hint) else f"a {getattr(hint, '__name__', hint)}")


def _decode_tuple(value: object, items: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, Dense):
        value = parse_dense(value.text, parse_type(value.type)).tolist()
    if not isinstance(value, list):
        raise ValueError(f"{_describe(value)} is not a list")
    elements = cast(list[object], value)
    hints = [items[0]] * len(elements) if items[-1] is Ellipsis else list(items)
    if len(hints) != len(elements):
        raise ValueError(f"{len(elements)} values instead of {len(hints)}")
    return tuple(decode_value(element, hint) for element, hint in zip(elements, hints, strict=True))


def _decode_enum(value: str | Dialect, kind: type[Enum]) -> Enum:
    word = _word(value)
    try:
        return kind[word]
    except KeyError:
        raise ValueError(f"{word} is not one of {', '.join(member.name for member in kind)}") from None


def _word(value: str | Dialect) -> str:
    """The word of a string or of `#stablehlo<kind WORD>`."""
    return str(value) if isinstance(value, str) else value.text.rstrip("> ").rpartition(" ")[2]


def _decode_structure(text: str, kind: type[Any]) -> Any:
    inside = text.partition("<")[2].rpartition(">")[0]
    if _is_convolution(kind):
        return decode_convolution_dimensions(inside, kind)
    found = {match[1]: match[2] for match in _STRUCTURE_FIELD.finditer(inside)}
    arguments: dict[str, Any] = {}
    for name, hint in _hints(kind).items():
        numbers = tuple(int(digits) for digits in re.findall(r"-?\d+", found.pop(name, "")))
        if hint is int and len(numbers) > 1:
            raise ValueError(f"{name} takes one number")
        arguments[name] = (numbers or (0,))[0] if hint is int else numbers
    if found:
        raise ValueError(f"{next(iter(found))} is not a field of {text}")
    return kind(**arguments)


# Convolution's dimension numbers: [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]

_CONVOLUTION_SIDES = (
    (("b", "input_batch_dimension"), ("f", "input_feature_dimension"), "input_spatial_dimensions"),
    (
        ("i", "kernel_input_feature_dimension"),
        ("o", "kernel_output_feature_dimension"),
        "kernel_spatial_dimensions",
    ),
    (("b", "output_batch_dimension"), ("f", "output_feature_dimension"), "output_spatial_dimensions"),
)


def _is_convolution(kind: Any) -> bool:
    return any(field.name == "kernel_spatial_dimensions" for field in fields(kind))


def print_convolution_dimensions(value: Any) -> str:
    """The axes of operand, kernel and result as StableHLO writes them."""
    sides: list[str] = []
    for first, second, spatial in _CONVOLUTION_SIDES:
        positions = {axis: str(number) for number, axis in enumerate(getattr(value, spatial))}
        positions |= {getattr(value, field): letter for letter, field in (first, second)}
        sides.append(f"[{', '.join(positions[axis] for axis in sorted(positions))}]")
    return f"{sides[0]}x{sides[1]}->{sides[2]}"


def decode_convolution_dimensions(text: str, kind: type[Any]) -> Any:
    """The dataclass from the text that `print_convolution_dimensions` prints."""
    sides = [[word.strip() for word in side.split(",")] for side in re.findall(r"\[([^\]]*)\]", text)]
    if len(sides) != 3:
        raise ValueError(f"{text} is not of the form [b, 0, f]x[0, i, o]->[b, 0, f]")
    arguments: dict[str, Any] = {}
    for (first, second, spatial), words in zip(_CONVOLUTION_SIDES, sides, strict=True):
        axes = {word: axis for axis, word in enumerate(words)}
        wanted = {first[0], second[0], *map(str, range(len(words) - 2))}
        if set(axes) != wanted or len(axes) != len(words):
            raise ValueError(f"[{', '.join(words)}] does not name {', '.join(sorted(wanted))} once each")
        arguments |= {field: axes[letter] for letter, field in (first, second)}
        arguments[spatial] = tuple(axes[str(number)] for number in range(len(words) - 2))
    return kind(**arguments)
