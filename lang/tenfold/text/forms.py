"""From the words of pretty forms to attributes: `dims = [1, 0]` of a transpose is its `permutation`.

What a form says without naming it (a comparison's direction, a slice's ranges, a constant's elements) is given
its attribute's name here, so that pretty and generic forms are decoded alike afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from tenfold.text.syntax import Statement
from tenfoldc.ir.attribute_text import Dense, Dialect
from tenfoldc.ir.pretty import KEYWORDS, WINDOW, natural_comparison
from tenfoldc.ir.type_text import print_type
from tenfoldc.ir.types import FunctionType

Values = dict[str, object]
_NO_AXES: tuple[list[int], list[int]] = ([], [])
_NO_KEYWORDS: Mapping[str, str] = {}


def attribute_values(name: str, statement: Statement, signature: FunctionType) -> Values:
    """The attributes of `statement`, an operation of op `name`, by StableHLO's names; `ValueError` if malformed."""
    keywords = KEYWORDS.get(name, _NO_KEYWORDS)
    values = {keywords.get(key, key): value for key, value in statement.attributes.items()}
    form = _FORMS.get(name)
    if form is not None:
        if not (signature.results if form is _constant else signature.parameters):
            raise ValueError("the operation has no operands" if signature.results else "the result's type is missing")
        form(statement, values, signature)
    elif statement.words or statement.ranges or statement.dense is not None:
        raise ValueError("the operation is not written in this form")
    return values


def _constant(statement: Statement, values: Values, signature: FunctionType) -> None:
    if statement.dense is not None:
        values["value"] = Dense(statement.dense, print_type(signature.results[0]))


def _compare(statement: Statement, values: Values, signature: FunctionType) -> None:
    """`LT, %0, %1, FLOAT`; a type that goes without saying is left unsaid."""
    values.update(zip(("comparison_direction", "compare_type"), statement.words, strict=False))
    kind = values.get("compare_type")
    natural = natural_comparison(signature.parameters[0].dtype)
    if kind == natural or (isinstance(kind, Dialect) and kind.text.endswith(f" {natural}>")):
        del values["compare_type"]


def _slice(statement: Statement, values: Values, signature: FunctionType) -> None:
    """`[start:limit:stride, ...]`."""
    if statement.ranges or "start_indices" not in values:
        triples = [(*bounds, 1)[:3] for bounds in statement.ranges]
        names = ("start_indices", "limit_indices", "strides")
        values.update(zip(names, map(list, zip(*triples, strict=True)) if triples else ([], [], []), strict=True))


def _dot_general(statement: Statement, values: Values, signature: FunctionType) -> None:
    """`batching_dims = [0] x [0], contracting_dims = [2] x [1], precision = [DEFAULT, DEFAULT]`."""
    if "precision" in values:
        values["precision_config"] = values.pop("precision")
    if "dot_dimension_numbers" not in values:
        parts: list[str] = []
        for word, role in (("batching_dims", "batching"), ("contracting_dims", "contracting")):
            sides = cast(tuple[list[int], ...], values.pop(word, _NO_AXES))
            parts += [f"{side}_{role}_dimensions = {axes}" for side, axes in zip(("lhs", "rhs"), sides, strict=False)]
        values["dot_dimension_numbers"] = Dialect(f"#stablehlo.dot<{', '.join(parts)}>")


def _convolution(statement: Statement, values: Values, signature: FunctionType) -> None:
    """`dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {stride = [1], ...}`."""
    if "dim_numbers" in values:
        lhs, rhs, out = (
            f"[{', '.join(map(str, side))}]" for side in cast(tuple[list[object], ...], values.pop("dim_numbers"))
        )
        values["dimension_numbers"] = Dialect(f"#stablehlo.conv<{lhs}x{rhs}->{out}>")
    window = cast(Mapping[str, object], values.pop("window", {}))
    values.update({WINDOW[word]: value for word, value in window.items() if word in WINDOW})
    spatial = signature.parameters[0].rank - 2
    values.setdefault("window_reversal", [False] * spatial)
    for name in ("window_strides", "lhs_dilation", "rhs_dilation"):
        values.setdefault(name, [1] * spatial)
    values.setdefault("padding", [[0, 0]] * spatial)


def _reduce(statement: Statement, values: Values, signature: FunctionType) -> None:
    """The body is a region by now."""


_FORMS: dict[str, Callable[[Statement, Values, FunctionType], None]] = {
    "stablehlo.compare": _compare,
    "stablehlo.constant": _constant,
    "stablehlo.convolution": _convolution,
    "stablehlo.dot_general": _dot_general,
    "stablehlo.reduce": _reduce,
    "stablehlo.slice": _slice,
}
