"""How long statements take, roughly: enough to tell work that is worth sharing between threads from work that is not.

Nanoseconds on one core of a current machine, for vectors of four-byte elements; within a factor of about three.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tenfold_rt.errors import VerificationError
from tenfoldc.loops.ir import (
    Apply,
    Barrier,
    Call,
    Combine,
    Constant,
    Expr,
    For,
    Function,
    If,
    Launch,
    Load,
    MultiplyChain,
    MultiplyPanels,
    MultiplyStrip,
    MultiplyTiles,
    Prefetch,
    Primitive,
    ReadTape,
    RequestMatrixUnit,
    Statement,
    Store,
    StreamCopy,
    TransposeTile,
    While,
    WriteTape,
)
from tenfoldc.loops.matrix_unit import TILE_DEPTH, part_products
from tenfoldc.loops.traversal import expressions, operands_of, roots_of

_OPERATION = 0.05
_DIVISION = 0.4
_BYTE_COMPUTED = 0.003
_BYTE_DIVIDED = 0.015
"""Of operations in vectors and of those of scalar functions: measured on one core with AVX2."""
_ACCESS = 0.1
_BYTE_READ = 0.02
_BYTE_WRITTEN = 0.04
_MULTIPLY_ADD = 0.02
_TILE_MULTIPLY_ADD = 0.0015
_UNKNOWN_TURNS = 8
SLOW = frozenset({Primitive.DIV, Primitive.REM, Primitive.SQRT})
"""Operations that processors do not begin anew in every cycle."""


class Costs:
    """Costs of statements; those of scalar functions are computed once."""

    def __init__(self, *, in_vectors: bool = False) -> None:
        """`in_vectors`: of statements that become vectors for certain, whose operations then cost little."""
        self._in_vectors = in_vectors
        self._functions: dict[Function, float] = {}

    def of(self, statements: Sequence[Statement], known: Iterable[Expr] = ()) -> float:
        """What it costs to run `statements` once, where the expressions `known` have been computed."""
        scopes = [set(known)]
        return sum(self._statement(statement, scopes) for statement in statements)

    def _statement(self, statement: Statement, scopes: list[set[Expr]]) -> float:
        inner = [*scopes, set[Expr]()]
        match statement:
            case Store():
                written = _ACCESS + _BYTE_WRITTEN * statement.buffer.dtype.itemsize
                return written + self._values((statement.value,), inner)
            case Prefetch() | RequestMatrixUnit():
                return _ACCESS
            case For():
                turn = self._values([carry.next for carry in statement.carries], inner)
                return turns_of(statement.extent) * (turn + self._block(statement.body, inner))
            case While():
                turn = self._values(roots_of(statement), inner)
                return turns_taken(statement) * (turn + self._block(statement.body, inner))
            case If():
                condition = self._values((statement.condition,), inner)
                branches = (self._block(branch, inner) for branch in (statement.then, statement.otherwise))
                return condition + max(branches)
            case WriteTape(source=moved) | ReadTape(target=moved):
                return moved.nbytes * (_BYTE_READ + _BYTE_WRITTEN)
            case MultiplyPanels():
                return _MULTIPLY_ADD * statement.rows * statement.columns * turns_of(statement.depth)
            case MultiplyStrip():
                pairs = len(part_products(statement.lhs.shape[2], statement.rhs.shape[2]))
                area = turns_of(statement.rows) * statement.columns
                return _TILE_MULTIPLY_ADD * pairs * area * TILE_DEPTH * turns_of(statement.steps)
            case TransposeTile():
                element = _OPERATION + (_BYTE_READ + _BYTE_WRITTEN) * statement.source.dtype.itemsize
                return element * turns_of(statement.rows) * turns_of(statement.columns)
            case StreamCopy():
                moved = (_BYTE_READ + _BYTE_WRITTEN) * statement.source.dtype.itemsize
                return moved * turns_of(statement.count)
            case Launch() | Combine() | Barrier() | MultiplyTiles() | MultiplyChain():
                raise VerificationError("threads of a CPU do not share what a GPU is to do")

    def _block(self, statements: Sequence[Statement], scopes: list[set[Expr]]) -> float:
        return sum(self._statement(statement, scopes) for statement in statements)

    def _values(self, roots: Iterable[Expr], scopes: list[set[Expr]]) -> float:
        """The cost of expressions; those that an outer scope has are known.  Index arithmetic is taken as free."""
        cost, pending = 0.0, list(roots)
        while pending:
            expression = pending.pop()
            if any(expression in scope for scope in scopes):
                continue
            scopes[-1].add(expression)
            match expression:
                case Load():
                    cost += _ACCESS + _BYTE_READ * expression.dtype.itemsize
                case Apply():
                    cost += self._operation(expression)
                    pending.extend(operands_of(expression))
                case Call():
                    cost += self._function(expression.function)
                    pending.extend(operands_of(expression))
                case _:
                    pass
        return cost

    def _operation(self, node: Apply) -> float:
        if self._in_vectors:
            return _in_vectors(node)
        return _DIVISION if node.primitive in SLOW else _OPERATION

    def _function(self, function: Function) -> float:
        if function not in self._functions:
            cost = 0.0
            for expression in expressions((function.body,)):
                if isinstance(expression, Apply):
                    cost += _in_vectors(expression)
                elif isinstance(expression, Call):
                    cost += self._function(expression.function)
            self._functions[function] = cost
        return self._functions[function]


def _in_vectors(node: Apply) -> float:
    """What an operation costs of which a vector's are done at a time, and which hardly wait for each other."""
    each = _BYTE_DIVIDED if node.primitive in SLOW else _BYTE_COMPUTED
    return each * max(operand.dtype.itemsize for operand in (node, *node.operands))


def turns_taken(loop: While) -> int:
    """How many turns `loop` takes; a guess where that depends on data."""
    return _UNKNOWN_TURNS if loop.turns is None else loop.turns


def turns_of(extent: Expr) -> int:
    """At most how many turns a loop of this extent takes; a guess where that cannot be seen."""
    match extent:
        case Constant():
            return int(extent.value)
        case Apply(Primitive.MIN, operands):
            known = [int(operand.value) for operand in operands if isinstance(operand, Constant)]
            return min([turns_of(operand) for operand in operands], default=0) if not known else min(known)
        case Apply(Primitive.MAX, operands):
            return max(turns_of(operand) for operand in operands)
        case Apply(Primitive.DIV, (dividend, Constant(divisor))):
            return turns_of(dividend) // max(1, int(divisor))
        case Apply(Primitive.MUL, (factor, Constant(scale))):
            return turns_of(factor) * int(scale)
        case Apply(Primitive.ADD, (turns, Constant(more))):
            return turns_of(turns) + int(more)
        case Apply(Primitive.SUB, (whole, _)):
            return turns_of(whole)
        case _:
            return _UNKNOWN_TURNS
