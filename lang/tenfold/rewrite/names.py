"""Names in a function's source: what statements read and assign, and how they may jump out of a block."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Loop: TypeAlias = ast.While | ast.For
Control: TypeAlias = ast.If | ast.While | ast.For

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
CONTROL = (ast.If, ast.While, ast.For)


def loads(*nodes: ast.AST | None) -> frozenset[str]:
    """The names that `nodes` read, functions within them too; what is assigned with an operator is read."""
    found: set[str] = set()
    for node in nodes:
        for part in () if node is None else ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                found.add(part.id)
            elif isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
                found.add(part.target.id)
    return frozenset(found)


def stores(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """The names that `nodes` assign or delete in their own scope."""
    return frozenset(name for node in nodes for name in _stored(node))


def _stored(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, COMPREHENSIONS):
        for part in ast.walk(node):
            if isinstance(part, ast.NamedExpr):
                yield part.target.id
    elif not isinstance(node, ast.Lambda):
        yield from _captured(node)
        for child in ast.iter_child_nodes(node):
            yield from _stored(child)


def _captured(node: ast.AST) -> Iterator[str]:
    """Names that `except … as name` and the patterns of `match` bind."""
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """`nodes` and what they hold, except what is inside other functions and classes."""
    for node in nodes:
        yield node
        if not isinstance(node, SCOPES):
            yield from own_nodes(ast.iter_child_nodes(node))


def parameters(function: Function) -> frozenset[str]:
    return frozenset(part.arg for part in ast.walk(function.args) if isinstance(part, ast.arg))


def declared(body: Iterable[ast.AST], kind: type[ast.Global] | type[ast.Nonlocal]) -> frozenset[str]:
    """The names that `global` or `nonlocal` statements of this scope give."""
    return frozenset(name for node in own_nodes(body) if isinstance(node, kind) for name in node.names)


def jumps(nodes: Iterable[ast.AST]) -> frozenset[type[ast.stmt]]:
    """The kinds of jumps (`Return`, `Break`, `Continue`) that lead out of `nodes`."""
    found: set[type[ast.stmt]] = set()
    for node in nodes:
        if isinstance(node, (ast.Return, ast.Break, ast.Continue)):
            found.add(type(node))
        elif isinstance(node, (ast.While, ast.For)):
            found |= (jumps(node.body) & {ast.Return}) | jumps(node.orelse)
        elif not isinstance(node, SCOPES):
            found |= jumps(ast.iter_child_nodes(node))
    return frozenset(found)


def assigns_within(*nodes: ast.AST) -> bool:
    """Whether an expression assigns a name with `:=`."""
    return any(isinstance(part, ast.NamedExpr) for node in nodes for part in ast.walk(node))


def is_resumable(function: Function) -> bool:
    """Whether a function is a generator or a coroutine."""
    if isinstance(function, ast.AsyncFunctionDef):
        return True
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    return any(isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)) for node in own_nodes(body))
