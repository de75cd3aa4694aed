"""The minimal filtering of S. Winograd for two outputs under three taps, as matrices and sums of expressions.

    outputs = A^T ((G taps) * (B^T inputs)),     four products instead of six

And so, as these are bilinear, for the sums that are its gradient by the taps, three outputs under two taps:

    sums = G^T ((A factors) * (B^T inputs))
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr

INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
"""B^T."""
KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
"""G."""
RESULT = ((1, 1, 1, 0), (0, 1, -1, -1))
"""A^T."""


def along_axes(matrix: Sequence[Sequence[float]], values: Sequence[Expr], axes: int) -> list[Expr]:
    """`matrix` times an array of `axes` axes, row-major, along each of them."""
    columns = len(matrix[0])
    found = list(values)
    for _ in range(axes):
        # The first axis is transformed and becomes the last, so that all come first in turn.
        lines = len(found) // columns
        parts = [[found[place * lines + line] for place in range(columns)] for line in range(lines)]
        found = [_sum(row, part) for part in parts for row in matrix]
    return found


def _sum(coefficients: Sequence[float], values: Sequence[Expr]) -> Expr:
    """The sum of multiples; those with one factor are added before they are multiplied."""
    total: Expr | None = None
    for size in sorted({abs(c) for c in coefficients if c}, reverse=True):
        part: Expr | None = None
        for coefficient, value in sorted(zip(coefficients, values, strict=True), key=lambda pair: pair[0] < 0):
            if abs(coefficient) == size:
                if part is None:
                    part = value if coefficient > 0 else scalar.neg(value)
                else:
                    part = scalar.add(part, value) if coefficient > 0 else scalar.sub(part, value)
        assert part is not None
        scaled = part if size == 1 else scalar.mul(part, scalar.constant(size, part.dtype))
        total = scaled if total is None else scalar.add(total, scaled)
    assert total is not None
    return total
