"""How many turns of a vector loop make a vector, and how many vectors run side by side to keep the units busy.

What one turn computes is a graph; its operations over those of its longest chain are the chains that it has by itself.
LLVM counts registers and knows nothing of chains, so that its own choice for a long body is often one turn.
"""

from __future__ import annotations

from tenfoldc.loops.ir import Apply, Call, Constant, Expr, For, Function, Load, Store
from tenfoldc.loops.traversal import operands_of

_LONG_BODY = 12
"""Operations above which one turn of a vector loop fills the reorder buffer before its chain of results is done: two
turns side by side then overlap, worth more than the constants and values that 16 registers cannot hold."""
_MOSTLY = 0.8
"""The share of operations from which a body is mostly of one type."""
_FEW_CHAINS = 2
"""Chains below which two turns leave units idle, and four do not; with more, what four turns hold is spilled."""
_SHORT_LOOP = 64
"""Turns below which a loop has too few vectors for four side by side."""


def lane_count(loop: For, vector_bytes: int) -> int | None:
    """How many turns of a long body are as many as fill a vector of what is mostly computed; None for LLVM's choice.

    LLVM takes as many as fill one of the widest type that there is, were it that of a result alone.
    """
    sizes: dict[int, int] = {}
    pending = [statement.value for statement in loop.body if isinstance(statement, Store)]
    seen: set[Expr] = set()
    while pending:
        expression = pending.pop()
        if expression in seen or isinstance(expression, Load | Call):
            continue
        seen.add(expression)
        operands = operands_of(expression)
        numbers = [e.dtype.itemsize for e in (expression, *operands) if not e.dtype.is_bool]
        if numbers and not all(isinstance(operand, Constant) for operand in operands):
            sizes[max(numbers)] = sizes.get(max(numbers), 0) + 1
        pending.extend(operands)
    total, usual = sum(sizes.values()), max(sizes, key=lambda size: sizes[size], default=0)
    if loop.carries or total <= _LONG_BODY or usual == max(sizes) or sizes[usual] < _MOSTLY * total:
        return None
    return vector_bytes // usual


def interleave_count(loop: For) -> int | None:
    """How many turns of a vector loop to interleave; None where that is LLVM's to choose."""
    roots = [statement.value for statement in loop.body if isinstance(statement, Store)]
    graph = _Graph()
    size, depth = graph.extent([*roots, *(carry.next for carry in loop.carries)])
    if size <= _LONG_BODY:
        return None
    is_short = not isinstance(loop.extent, Constant) or loop.extent.value < _SHORT_LOOP
    return 2 if is_short or size >= _FEW_CHAINS * depth else 4


class _Graph:
    """Sizes and depths of expressions in operations; those of scalar functions are computed once."""

    def __init__(self) -> None:
        self._functions: dict[Function, tuple[int, int]] = {}

    def extent(self, roots: list[Expr]) -> tuple[int, int]:
        """How many operations `roots` take, and how many their longest chain; index arithmetic counts as none."""
        size, depths, pending = 0, dict[Expr, int](), list(roots)
        while pending:
            expression = pending[-1]
            operands = () if isinstance(expression, Load) else operands_of(expression)
            missing = [operand for operand in operands if operand not in depths]
            if expression not in depths and missing:
                pending.extend(missing)
                continue
            pending.pop()
            if expression not in depths:
                own_size, own_depth = self._own(expression)
                size += own_size
                depths[expression] = own_depth + max((depths[operand] for operand in operands), default=0)
        return size, max((depths[root] for root in roots), default=0)

    def _own(self, expression: Expr) -> tuple[int, int]:
        """What one node adds to the operands' size and depth: a call, those of its function."""
        if not isinstance(expression, Call):
            return (1, 1) if isinstance(expression, Apply) else (0, 0)
        function = expression.function
        if function not in self._functions:
            self._functions[function] = self.extent([function.body])
        return self._functions[function]
