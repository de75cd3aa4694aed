"""The source of a function that exists: the node of the syntax tree that its code was compiled from.

A file is parsed once.  A `def` is found by the line that its code begins in, a `lambda` by where its body stands.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from types import CodeType

from tenfold.rewrite.names import Function

_FILES: dict[str, tuple[list[str], ast.Module]] = {}


def function_node(code: CodeType, module_globals: dict[str, object]) -> Function | None:
    """The `def` or `lambda` that `code` was compiled from; None where there is no source, or more than one fits."""
    tree = _tree(code.co_filename, module_globals)
    found = [node for node in _functions(tree, code.co_firstlineno, code.co_name) if _agrees(node, code)]
    return found[0] if len(found) == 1 else None


def _tree(file: str, module_globals: dict[str, object]) -> ast.Module:
    lines = linecache.getlines(file, module_globals)
    known = _FILES.get(file)
    if known is None or known[0] is not lines:
        try:
            known = lines, ast.parse("".join(lines))
        except (SyntaxError, ValueError):
            known = lines, ast.Module([], [])
        _FILES[file] = known
    return known[1]


def _functions(tree: ast.Module, line: int, name: str) -> Iterator[Function]:
    """The functions called `name` that begin, their decorators included, in `line`."""
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, (ast.stmt, ast.expr)):
                first = _first_line(node)
                if not first <= line <= (node.end_lineno or first):
                    continue
                called = "<lambda>" if isinstance(node, ast.Lambda) else getattr(node, "name", None)
                if isinstance(node, Function) and first == line and called == name:
                    yield node
            pending.append(node)


def _first_line(node: ast.stmt | ast.expr) -> int:
    """Where a node begins, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _agrees(node: Function, code: CodeType) -> bool:
    """Whether `node` has the parameters of `code`, and a lambda its place."""
    given = node.args
    named = [part.arg for part in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    count = code.co_argcount + code.co_kwonlyargcount
    if [name.rpartition("__")[2] for name in named] != [n.rpartition("__")[2] for n in code.co_varnames[:count]]:
        return False
    if not isinstance(node, ast.Lambda):
        return True
    body = node.body
    return (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in set(code.co_positions())
