"""Loops that fold elements: by which operation, and all elements combined in pairs of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tenfoldc.loops.ir import Apply, Carry, Expr, Primitive

IDEMPOTENT = frozenset({Primitive.MAX, Primitive.MIN, Primitive.AND, Primitive.OR})
"""Operations that an element may be folded by twice."""


def fold_of(carry: Carry) -> tuple[Primitive, Expr] | None:
    """The operation by which a carry takes in an element, and the element; None for what may not be reordered."""
    following = carry.next
    if not isinstance(following, Apply) or len(following.operands) != 2 or following.dtype.is_bool:
        return None
    ordered = following.primitive in (Primitive.ADD, Primitive.MUL)
    if ordered and following.dtype.is_float and not following.reassociate:
        return None
    if not ordered and following.primitive not in IDEMPOTENT:
        return None
    left, right = following.operands
    if carry.value is left and carry.value is not right:
        return following.primitive, right
    return (following.primitive, left) if carry.value is right and carry.value is not left else None


def in_pairs(like: Expr, terms: Sequence[Expr]) -> Expr:
    """All `terms` combined as `like` combines two, in pairs of neighbours."""
    assert isinstance(like, Apply)
    while len(terms) > 1:
        pairs = [replace(like, operands=(x, y)) for x, y in zip(terms[::2], terms[1::2], strict=False)]
        terms = [*pairs, *terms[len(terms) - len(terms) % 2 :]]
    return terms[0]
