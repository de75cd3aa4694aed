"""The source of a function that exists: the node of the syntax tree that its code was compiled from.

A file is parsed once.  A `def` is found by the line that its code begins in, a `lambda` by where its body stands.
"""

from __future__ import annotations

import ast
import linecache
from types import CodeType
from typing import TypeAlias

from tenfold.rewrite.names import Function

_Index: TypeAlias = dict[tuple[int, str], list[Function]]
_FILES: dict[str, tuple[list[str], _Index]] = {}


def function_node(code: CodeType, module_globals: dict[str, object]) -> Function | None:
    """The `def` or `lambda` that `code` was compiled from; None where there is no source, or more than one fits."""
    index = _index(code.co_filename, module_globals)
    found = [node for node in index.get((code.co_firstlineno, code.co_name), ()) if _agrees(node, code)]
    return found[0] if len(found) == 1 else None


def _index(file: str, module_globals: dict[str, object]) -> _Index:
    lines = linecache.getlines(file, module_globals)
    known = _FILES.get(file)
    if known is None or known[0] is not lines:
        try:
            known = lines, _functions(ast.parse("".join(lines)))
        except (SyntaxError, ValueError):
            known = lines, _Index()
        _FILES[file] = known
    return known[1]


def _functions(tree: ast.Module) -> _Index:
    index: _Index = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            index.setdefault((node.lineno, "<lambda>"), []).append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            index.setdefault((first, node.name), []).append(node)
    return index


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
