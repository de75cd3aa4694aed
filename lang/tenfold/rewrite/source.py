"""The source of a function that exists: the node of the syntax tree that its code was compiled from.

A file is parsed once.  A `def` is found by the line that its code begins in, a `lambda` by what its instructions came
from: all of it stands in its body.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from types import CodeType
from typing import TypeAlias

from tenfold.rewrite.names import Function

_Place: TypeAlias = tuple[int, int]  # a line, and a column in bytes

_FILES: dict[str, tuple[list[str], ast.Module]] = {}


def function_node(code: CodeType, module_globals: dict[str, object]) -> Function | None:
    """The `def` or `lambda` that `code` was compiled from; None where there is no source, or more than one fits."""
    tree = _tree(code.co_filename, module_globals)
    found = [node for node in _functions(tree, code.co_firstlineno, code.co_name) if _agrees(node, code)]
    innermost = [node for node in found if not any(other is not node and _holds(node, other) for other in found)]
    return innermost[0] if len(innermost) == 1 else None


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
    """Whether `node` has the parameters of `code`, and a lambda's body all that its instructions came from."""
    given = node.args
    named = [part.arg for part in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    count = code.co_argcount + code.co_kwonlyargcount
    if [name.rpartition("__")[2] for name in named] != [n.rpartition("__")[2] for n in code.co_varnames[:count]]:
        return False
    if not isinstance(node, ast.Lambda):
        return True
    first, last = _extent(node.body)
    return all(first <= start and end <= last for start, end in _places(code))


def _holds(outer: Function, inner: Function) -> bool:
    """Whether `inner` stands in the text of `outer`."""
    (first, last), (start, end) = _extent(outer), _extent(inner)
    return first <= start and end <= last


def _extent(node: ast.stmt | ast.expr) -> tuple[_Place, _Place]:
    """Where the text of `node` begins and ends."""
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _places(code: CodeType) -> Iterator[tuple[_Place, _Place]]:
    """Where the text of each instruction of `code` begins and ends, but for those that come from no text."""
    for line, end_line, column, end_column in code.co_positions():
        if line is None or end_line is None or column is None or end_column is None:
            continue
        start, end = (line, column), (end_line, end_column)
        if start != end:
            yield start, end
