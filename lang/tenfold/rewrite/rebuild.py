"""Rewritten functions: the node of a function's source rewritten, compiled, and made a function like the original.

The new code keeps the file, lines and names of the old, so tracebacks and locations are the user's; the new function
shares the old one's globals, closure cells, defaults and attributes.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType
from typing import cast

from tenfold.rewrite import runtime
from tenfold.rewrite.expressions import RUNTIME, located
from tenfold.rewrite.names import CONTROL, Function
from tenfold.rewrite.source import function_node
from tenfold.rewrite.statements import rewrite_function

_FACTORY = RUNTIME + "factory"
_FUTURE_FLAGS = 0x1FF0000  # the bits of `from __future__ import …` in `co_flags` and in compile's flags
_CALLS = (ast.Call, ast.IfExp, ast.BoolOp, ast.Not, ast.Compare, ast.Assert)

# By a code and its file, as codes that differ in their file alone are equal.
_REWRITTEN: dict[tuple[CodeType, str], CodeType | None] = {}


def rewritten_function(function: FunctionType) -> FunctionType:
    """`function` with its control flow rewritten; itself where there is none or no source."""
    code = _rewritten_code(function)
    if code is None:
        return function
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells[RUNTIME] = CellType(runtime)
    closure = tuple(cells[name] for name in code.co_freevars)
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__, made.__module__, made.__doc__ = function.__qualname__, function.__module__, function.__doc__
    made.__annotations__ = function.__annotations__
    made.__dict__.update(function.__dict__)
    return made


def _rewritten_code(function: FunctionType) -> CodeType | None:
    key = function.__code__, function.__code__.co_filename
    if key not in _REWRITTEN:
        code = _REWRITTEN[key] = _compiled(function)
        for inner in () if code is None else _codes(code):
            _REWRITTEN.setdefault((inner, inner.co_filename), None)  # it is rewritten already
    return _REWRITTEN[key]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _compiled(function: FunctionType) -> CodeType | None:
    code = function.__code__
    found = function_node(code, function.__globals__)
    if found is None or getattr(found, "type_params", None):
        return None
    if not any(isinstance(part, (*CONTROL, *_CALLS)) for part in ast.walk(found)):
        return None
    node = copy.deepcopy(found)
    _strip(node)
    receiver = code.co_varnames[0] if code.co_argcount else None
    if not rewrite_function(node, receiver=receiver if "__class__" in code.co_freevars else None):
        return None
    _Mangling(_class_name(function)).visit(node)
    return _code_of(node, code)


def _strip(node: Function) -> None:
    """Drop what ran when the function was made: decorators, defaults and annotations."""
    node.args.defaults = []
    node.args.kw_defaults = [None for _ in node.args.kwonlyargs]
    for part in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
        if part is not None:
            part.annotation = None
    if not isinstance(node, ast.Lambda):
        node.decorator_list, node.returns = [], None


def _code_of(node: Function, original: CodeType) -> CodeType:
    """The code of `node`, compiled within a function that has its free variables."""
    names = [ast.arg(name) for name in (*original.co_freevars, RUNTIME)]
    signature = ast.arguments(posonlyargs=[], args=names, kwonlyargs=[], kw_defaults=[], defaults=[])
    if isinstance(node, ast.Lambda):
        body: ast.stmt = ast.Return(node)
    else:
        node.name = RUNTIME + "function"  # under its own name it would hide the global that it may call itself by
        body = node
    factory = located(ast.FunctionDef(_FACTORY, signature, [located(body, node)], [], None), node)
    flags = original.co_flags & _FUTURE_FLAGS
    module = compile(ast.Module([factory], []), original.co_filename, "exec", flags=flags, dont_inherit=True)
    (outer,) = (each for each in module.co_consts if isinstance(each, CodeType))
    (code,) = (each for each in outer.co_consts if isinstance(each, CodeType))
    return code.replace(co_name=original.co_name, co_qualname=original.co_qualname)


def _class_name(function: FunctionType) -> str:
    """The class that a method was written in, by its qualified name."""
    owner = function.__code__.co_qualname.rpartition(".")[0].rpartition(".")[2]
    return "" if owner == "<locals>" else owner.lstrip("_")


class _Mangling(ast.NodeTransformer):
    """Private names, `self.__x`, as the compiler writes them in a class."""

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def _mangled(self, name: str) -> str:
        private = self._owner and name.startswith("__") and not name.endswith("__")
        return f"_{self._owner}{name}" if private else name

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self._mangled(node.attr)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._mangled(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._mangled(node.arg)
        return cast("ast.AST", node)
