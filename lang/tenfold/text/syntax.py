"""What a StableHLO text says, before it means anything: names are still words, types still text.

The pretty and the generic form of an operation become the same `Statement`.  Tokens carry their line and column.
Attribute values are Python's (bool, int, float, str, list, dict) or those of `tenfoldc.ir.attribute_text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lark import Token

from tenfold_rt.frozen import frozen


@frozen
class Alias:
    """A use of `#name`, which stands for what the text says elsewhere."""

    name: str


@frozen
class FilePlace:
    """`"file":line:column` of a location."""

    file: str
    line: int


@frozen
class Parameter:
    """`%name: type {attributes}`."""

    name: Token
    type: Token
    attributes: Mapping[str, object]


@frozen
class Signature:
    """`(operands) -> results`; `operands` is None in the short form, which lists some of the types."""

    operands: tuple[Token, ...] | None
    results: tuple[Token, ...]


@frozen
class Result:
    """`%name` or `%name:count` to the left of an equals sign."""

    name: Token
    count: int


@frozen
class Region:
    """A block; `returned` is None where an operation in generic form ends it."""

    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    returned: tuple[Token, ...] | None


@dataclass(slots=True)
class Statement:
    """One operation.  `words`, `ranges` and `symbols` hold what a pretty form says without naming it."""

    name: Token
    operands: tuple[Token, ...] = ()
    attributes: dict[str, object] = field(default_factory=dict[str, object])
    words: list[str] = field(default_factory=list[str])
    ranges: list[tuple[int | str, ...]] = field(default_factory=list[tuple[int | str, ...]])
    dense: str | None = None
    regions: tuple[Region, ...] = ()
    signature: Signature | None = None
    results: tuple[Result, ...] = ()
    location: FilePlace | Alias | None = None


@frozen
class Function:
    """`func.func`; `results` pairs each type with its attributes."""

    name: Token
    public: bool
    parameters: tuple[Parameter, ...]
    results: tuple[tuple[Token, Mapping[str, object]], ...]
    attributes: Mapping[str, object]
    body: Region


@frozen
class Text:
    """A whole file: its functions and what its aliases stand for."""

    functions: tuple[Function, ...]
    aliases: Mapping[str, object]
