"""Walking the loop IR: every statement, expression and access to memory, without recursion on expressions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from tenfoldc.loops.ir import (
    Apply,
    Barrier,
    Buffer,
    Call,
    Combine,
    Expr,
    For,
    If,
    Launch,
    Load,
    Mode,
    MultiplyChain,
    MultiplyPanels,
    MultiplyStrip,
    MultiplyTiles,
    Prefetch,
    ReadTape,
    RequestMatrixUnit,
    Statement,
    Store,
    StreamCopy,
    TransposeTile,
    While,
    WriteTape,
)


def inner_statements(statement: Statement) -> tuple[Statement, ...]:
    """The statements nested directly in `statement`."""
    match statement:
        case For() | While() | Launch() | MultiplyTiles():
            return statement.body
        case MultiplyChain():
            return (*(inner for each in statement.sums for inner in each.body), *statement.body)
        case If():
            return (*statement.then, *statement.otherwise)
        case _:
            return ()


def walk_statements(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Every statement, outer before inner, in order."""
    pending = [iter(statements)]
    while pending:
        for statement in pending[-1]:
            yield statement
            inner = inner_statements(statement)
            if inner:
                pending.append(iter(inner))
                break
        else:
            pending.pop()


def operands_of(expression: Expr) -> tuple[Expr, ...]:
    """The expressions that `expression` is computed from."""
    if isinstance(expression, Load):
        return expression.index
    return expression.operands if isinstance(expression, Apply | Call) else ()


def roots_of(statement: Statement) -> tuple[Expr, ...]:
    """The expressions that `statement` itself holds, those of nested statements left out."""
    match statement:
        case For():
            carried = (expr for carry in statement.carries for expr in (carry.init, carry.next))
            return (statement.extent, *carried)
        case While():
            carried = (expr for carry in statement.carries for expr in (carry.init, carry.next))
            return (statement.condition, *carried)
        case If():
            return (statement.condition,)
        case Launch():
            return (statement.blocks,)
        case Combine():
            return (*statement.values, *statement.combined)
        case Barrier():
            return ()
        case Store():
            return (*statement.index, statement.value)
        case Prefetch():
            return statement.index
        case WriteTape() | ReadTape():
            return (statement.place,)
        case MultiplyPanels():
            return (
                statement.row,
                statement.column,
                statement.lhs_panel,
                statement.rhs_panel,
                statement.depth,
                statement.lhs_first,
                statement.rhs_first,
            )
        case RequestMatrixUnit():
            return ()
        case MultiplyStrip():
            return (
                statement.row,
                statement.column,
                statement.lhs_panel,
                statement.rhs_panel,
                statement.steps,
                statement.rows,
            )
        case MultiplyTiles():
            inside = (factor.inside for factor in (statement.lhs, statement.rhs) if factor.inside is not None)
            place = (statement.first_row, statement.first_column, statement.first_slice)
            return (*place, statement.lhs.element, statement.rhs.element, *inside)
        case MultiplyChain():
            return tuple(_chain_roots(statement))
        case TransposeTile():
            return (statement.target_first, statement.source_first, statement.rows, statement.columns)
        case StreamCopy():
            return (statement.target_first, statement.count)


def _chain_roots(chain: MultiplyChain) -> Iterator[Expr]:
    yield from (chain.first_row, chain.first, chain.end)
    for factor in chain.factors:
        yield factor.element
        if factor.inside is not None:
            yield factor.inside
    for fold in chain.folds:
        yield from (fold.element, fold.neutral, fold.combined, fold.init, fold.next)
    for row_sum in chain.sums:
        yield from (*row_sum.elements, row_sum.finished)
        if row_sum.factor is not None:
            yield row_sum.factor


def expressions(roots: Iterable[Expr]) -> Iterator[Expr]:
    """Every expression that `roots` are computed from, themselves included, each once."""
    seen: set[Expr] = set()
    pending = list(roots)
    while pending:
        expression = pending.pop()
        if expression not in seen:
            seen.add(expression)
            yield expression
            pending.extend(operands_of(expression))


def dependents(roots: Iterable[Expr], targets: Set[Expr]) -> set[Expr]:
    """Of all that `roots` are computed from, the expressions computed from one of `targets`, these included."""
    found: dict[Expr, bool] = {}
    pending = list(roots)
    while pending:
        expression = pending[-1]
        missing = [operand for operand in operands_of(expression) if operand not in found]
        pending.extend(missing)
        if not missing:
            pending.pop()
            found[expression] = expression in targets or any(found[operand] for operand in operands_of(expression))
    return {expression for expression, does in found.items() if does}


def all_roots(statements: Iterable[Statement]) -> Iterator[Expr]:
    """The expressions that `statements` hold, nested ones included."""
    return (root for statement in walk_statements(statements) for root in roots_of(statement))


def all_expressions(statements: Iterable[Statement]) -> Iterator[Expr]:
    """Every expression in `statements`, nested ones included, each once."""
    return expressions(all_roots(statements))


def loaded(statements: Iterable[Statement]) -> Iterator[Buffer]:
    """The buffers that `statements` read, with repetitions, as they are named there (views are not resolved)."""
    roots: list[Expr] = []
    for statement in walk_statements(statements):
        roots.extend(roots_of(statement))
        if isinstance(statement, MultiplyPanels | MultiplyStrip):
            yield from (statement.lhs, statement.rhs)
            if statement.accumulate:
                yield statement.target
        elif isinstance(statement, TransposeTile | StreamCopy):
            yield statement.source
        elif isinstance(statement, WriteTape | ReadTape):
            yield statement.tape
            if isinstance(statement, WriteTape):
                yield statement.source
    for expression in expressions(roots):
        if isinstance(expression, Load):
            yield expression.buffer


def stored(statements: Iterable[Statement]) -> Iterator[Buffer]:
    """The buffers that `statements` write, with repetitions."""
    for statement in walk_statements(statements):
        if isinstance(statement, Store):
            yield statement.buffer
        elif isinstance(statement, RequestMatrixUnit):
            yield statement.granted
        elif isinstance(statement, MultiplyPanels | MultiplyStrip | TransposeTile | StreamCopy | ReadTape):
            yield statement.target
            if isinstance(statement, MultiplyPanels) and statement.packed is not None:
                yield statement.packed
        elif isinstance(statement, WriteTape):
            yield statement.tape
        elif isinstance(statement, MultiplyTiles | MultiplyChain):
            yield statement.memory


def owners(buffers: Iterable[Buffer]) -> set[Buffer]:
    """The buffers that own the memory of `buffers`."""
    return {buffer.storage for buffer in buffers}


def touched(statements: Sequence[Statement]) -> set[Buffer]:
    """The buffers that own the memory that `statements` read or write."""
    return owners(loaded(statements)) | owners(stored(statements))


def parallel_loops(statements: Iterable[Statement]) -> Iterator[For]:
    """The loops of `statements` that threads share."""
    for statement in walk_statements(statements):
        if isinstance(statement, For) and statement.mode is Mode.PARALLEL:
            yield statement


def shared_buffers(statements: Iterable[Statement]) -> Iterator[Buffer]:
    """The buffers that the blocks of launches have of their own."""
    for statement in walk_statements(statements):
        if isinstance(statement, Launch):
            yield from statement.shared
