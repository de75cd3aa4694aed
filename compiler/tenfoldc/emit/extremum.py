"""The largest, or the least, of several floats on x86: NaN where one is, and plus zero above minus zero.

The instruction for two does neither of that, and to mend each of its results takes four more.  Of several numbers, what
it leaves out is found beside: whether any is NaN, two at a time, and the sign, which the largest has only where all
have it.  So a number takes three instructions instead of five.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfold_rt.dtypes import DType
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.scalar_types import literal, register_type
from tenfoldc.loops.ir import Apply, Expr, Local, Primitive

_LEAST = 4
"""Numbers from which this takes fewer instructions."""
_MOST = 64
"""Numbers that are taken together."""


def extremum_terms(root: Expr, is_written: Callable[[Expr], bool]) -> tuple[Expr, ...] | None:
    """The floats of which `root` is the largest or the least, where there are several; else None.

    What is written already is taken as it is, and what is carried through a loop is left for LLVM to see.
    """
    if not isinstance(root, Apply) or root.primitive not in (Primitive.MAX, Primitive.MIN):
        return None
    if not root.dtype.is_float or root.dtype.is_half:
        return None
    terms: dict[Expr, None] = {}
    pending: list[Expr] = [root]
    while pending:
        expression = pending.pop()
        if isinstance(expression, Local) or len(terms) > _MOST:
            return None
        if not isinstance(expression, Apply) or expression.primitive is not root.primitive:
            terms[expression] = None
        elif expression is root or not is_written(expression):
            pending.extend(reversed(expression.operands))
        else:
            terms[expression] = None
    return tuple(terms) if len(terms) >= _LEAST else None


def write_extremum(text: FunctionText, primitive: Primitive, dtype: DType, operands: Sequence[str]) -> str:
    """The name of the largest, or the least, of `operands`."""
    kind, bits = register_type(dtype), f"i{dtype.bits}"
    is_largest = primitive is Primitive.MAX

    def choose(x: str, y: str) -> str:
        condition = text.pure(f"fcmp {'ogt' if is_largest else 'olt'} {kind} {x}, {y}")
        return text.pure(f"select i1 {condition}, {kind} {x}, {kind} {y}")

    words = [text.pure(f"bitcast {kind} {operand} to {bits}") for operand in operands]
    join = "and" if is_largest else "or"
    signs = _in_pairs(words, lambda x, y: text.pure(f"{join} {bits} {x}, {y}"))
    unordered = [text.pure(f"fcmp uno {kind} {operand}, {operand}") for operand in operands]
    has_nan = _in_pairs(unordered, lambda x, y: text.pure(f"or i1 {x}, {y}"))
    best = text.pure(f"bitcast {kind} {_in_pairs(operands, choose)} to {bits}")
    mask = (1 << dtype.bits - 1) - 1 if is_largest else -(1 << dtype.bits - 1)
    sign = text.pure(f"{'or' if is_largest else 'and'} {bits} {signs}, {mask}")
    signed = text.pure(f"bitcast {bits} {text.pure(f'{join} {bits} {best}, {sign}')} to {kind}")
    nan = literal(float("nan"), dtype)
    return text.pure(f"select i1 {has_nan}, {kind} {nan}, {kind} {signed}")


def _in_pairs(names: Sequence[str], combine: Callable[[str, str], str]) -> str:
    """All of `names` combined, neighbours first."""
    while len(names) > 1:
        pairs = [combine(x, y) for x, y in zip(names[::2], names[1::2], strict=False)]
        names = [*pairs, *names[len(names) - len(names) % 2 :]]
    return names[0]
