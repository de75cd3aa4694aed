"""Rewriting of expressions: calls, conditional expressions, `and`, `or`, `not` and chained comparisons.

What has an assignment (`:=`) in an operand that is evaluated later stays Python's.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeVar

from tenfold.rewrite.names import COMPREHENSIONS, Function, assigns_within, parameters, stores

RUNTIME = "tenfold__"
"""The name by which rewritten code refers to `tenfold.rewrite.runtime`; other names that it adds begin with it."""

Node = TypeVar("Node", bound=ast.AST)


def located(node: Node, like: ast.AST) -> Node:
    """`node`, and what it holds that has no place yet, at the beginning of `like`."""
    ast.copy_location(node, like)
    if node is not like and isinstance(node, (ast.expr, ast.stmt)):
        node.end_lineno, node.end_col_offset = node.lineno, node.col_offset
    return ast.fix_missing_locations(node)


def runtime_call(name: str, like: ast.AST, *args: ast.expr) -> ast.Call:
    """`tenfold__.name(*args)`, at the place of `like`."""
    function = ast.Attribute(ast.Name(RUNTIME, ast.Load()), name, ast.Load())
    return located(ast.Call(function, list(args), []), like)


def deferred(expression: ast.expr) -> ast.Lambda:
    """`lambda: expression`."""
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return located(ast.Lambda(nothing, expression), expression)


class Expressions(ast.NodeTransformer):
    """Rewrites expressions of one function.

    Reads of `uncertain` names are checked: they may have no value.  `rewrite_function` is what becomes of functions
    within.  `super()` gets the class and the `receiver`, since it may come to stand in a function of its own.
    """

    def __init__(
        self, uncertain: frozenset[str], receiver: str | None, rewrite_function: Callable[[Function], ast.AST]
    ) -> None:
        self.uncertain = uncertain
        self._receiver = receiver
        self._rewrite_function = rewrite_function

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(each) for each in node.decorator_list]
        return self._nested(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._nested(node)

    def _nested(self, node: ast.FunctionDef | ast.Lambda) -> ast.AST:
        node.args.defaults = [self.visit(each) for each in node.args.defaults]
        node.args.kw_defaults = [each and self.visit(each) for each in node.args.kw_defaults]
        return self._rewrite_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, COMPREHENSIONS):
            return self._comprehension(node)
        return super().generic_visit(node)

    def _comprehension(self, node: ast.AST) -> ast.AST:
        assert isinstance(node, COMPREHENSIONS)
        outside = self.uncertain
        self.uncertain = outside - stores(part.target for part in node.generators)
        try:
            return super().generic_visit(node)
        finally:
            self.uncertain = outside

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self.uncertain:
            return runtime_call("read", node, node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args and self._receiver:
            node.args = [ast.Name("__class__", ast.Load()), ast.Name(self._receiver, ast.Load())]
            return located(node, node)
        self.generic_visit(node)
        node.func = runtime_call("called", node.func, node.func)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        waits = assigns_within(node.body, node.orelse)
        self.generic_visit(node)
        if waits:
            return node
        return runtime_call("choose", node, node.test, deferred(node.body), deferred(node.orelse))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        waits = assigns_within(*node.values[1:])
        self.generic_visit(node)
        if waits:
            return node
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        return runtime_call(name, node, node.values[0], *map(deferred, node.values[1:]))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return runtime_call("not_", node, node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """`a < b < c`: each operand is evaluated once, and only if the comparisons before it hold."""
        waits = assigns_within(*node.comparators)
        self.generic_visit(node)
        if len(node.ops) == 1 or waits:
            return node
        left, right = (ast.Name(RUNTIME + side, ast.Load()) for side in ("left", "right"))
        steps: list[ast.expr] = []
        for op, operand in zip(node.ops, node.comparators, strict=True):
            compared = located(ast.Compare(left, [op], [right]), node)
            steps += [deferred(operand), _function_of((left.id, right.id), compared)]
        return runtime_call("compare", node, node.left, *steps)

    def inside(self, function: Function) -> frozenset[str]:
        """The uncertain names that `function`, which stands here, reads from outside."""
        own = parameters(function)
        if not isinstance(function, ast.Lambda):
            own |= stores(function.body)
        return self.uncertain - own


def _function_of(names: tuple[str, ...], body: ast.expr) -> ast.Lambda:
    arguments = [ast.arg(name) for name in names]
    signature = ast.arguments(posonlyargs=[], args=arguments, kwonlyargs=[], kw_defaults=[], defaults=[])
    return located(ast.Lambda(signature, body), body)
