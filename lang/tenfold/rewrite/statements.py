"""Rewriting of statements: each `if`, `while` and `for` becomes functions of its parts and a call of the runtime.

    if test:                        def tenfold__then_1():
        x = f(x)                        nonlocal x
    else:                               x = f(x)
        x = g(x)             →      def tenfold__else_1():
                                        nonlocal x
                                        x = g(x)
                                    tenfold__.branch(test, tenfold__then_1, tenfold__else_1, ("x",))

The parts share the function's variables.  A part that is left by `return`, `break` or `continue` says so by what it
returns, a signal; then what follows the statement becomes a function too, which the runtime calls where nothing was
left.  Lines stay those of the source.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, cast

from tenfold.rewrite.expressions import RUNTIME, Expressions, deferred, located, runtime_call
from tenfold.rewrite.liveness import Liveness
from tenfold.rewrite.names import (
    CONTROL,
    Function,
    assigns_within,
    declared,
    is_resumable,
    jumps,
    own_nodes,
    parameters,
    stores,
)

DEPTH = RUNTIME + "depth"
_NONE = ast.Constant(None)


def rewrite_function(function: Function, uncertain: frozenset[str] = frozenset(), receiver: str | None = None) -> bool:
    """Rewrite `function` in place; whether it was: generators and coroutines are left alone.

    `uncertain` are names from around it that may have no value.
    """
    if is_resumable(function):
        return False
    _FunctionRewriter(function, uncertain, receiver).run()
    return True


class _FunctionRewriter:
    def __init__(self, function: Function, uncertain: frozenset[str], receiver: str | None) -> None:
        self._function = function
        self._parts = 0
        self._in_part = False
        body = [] if isinstance(function, ast.Lambda) else function.body
        self._liveness = Liveness(body)
        self._globals = declared(body, ast.Global)
        self._nonlocals = declared(body, ast.Nonlocal)
        self._has_parts = any(isinstance(node, CONTROL) or self._leaves_opaque(node) for node in own_nodes(body))
        # The parts of this function share its variables, which may come to have no value.
        self._shared = stores(body) - self._globals if self._has_parts else frozenset[str]()
        self._expressions = Expressions(uncertain | self._shared, receiver, self._nested)

    def run(self) -> None:
        function = self._function
        if isinstance(function, ast.Lambda):
            function.body = self._expressions.visit(function.body)
            return
        body = function.body
        opening: list[ast.stmt] = []
        while body and _opens(body[0]):
            opening.append(body[0])
            body = body[1:]
        if self._has_parts:
            opening += self._declarations(function)
        function.body = [*opening, *self._block(body)] or [located(ast.Pass(), function)]

    def _declarations(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
        """How deep the traces are when the function begins, and bindings that make its parts' variables its own."""
        names = sorted(self._shared - self._nonlocals - parameters(function))
        targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
        made: list[ast.stmt] = [ast.Assign([ast.Name(DEPTH, ast.Store())], runtime_call("depth", function))]
        if targets:
            made.append(ast.If(ast.Constant(False), [ast.Assign(targets, ast.Constant(None))], []))
        return [located(statement, function) for statement in made]

    def _nested(self, function: Function) -> ast.AST:
        rewrite_function(function, self._expressions.inside(function))
        return function

    # --- blocks -------------------------------------------------------------------------------------

    def _block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for number, statement in enumerate(statements):
            rest = statements[number + 1 :]
            if isinstance(statement, CONTROL) or self._leaves_opaque(statement):
                leaves = bool(jumps([statement]))  # asked now: parts are rewritten in place
                made += self._statement_with_parts(statement, rest)
                if leaves:
                    return made
            else:
                made += self._plain(statement)
        return made

    @staticmethod
    def _leaves_opaque(node: ast.AST) -> bool:
        """Whether `node` is a `try`, `with` or `match` that is left by a jump."""
        compound = (ast.Try, ast.TryStar, ast.With, ast.Match)
        return isinstance(node, compound) and bool(jumps([node]))

    def _statement_with_parts(self, statement: ast.stmt, rest: Sequence[ast.stmt]) -> list[ast.stmt]:
        leaves = bool(jumps([statement]))
        names = self._live(statement, [statement], self._liveness.after[statement])
        after = self._live(statement, [statement, *rest], self._liveness.block_end[statement])
        if isinstance(statement, ast.If):
            name, parts, arguments = self._if(statement)
        elif isinstance(statement, ast.While):
            name, parts, arguments = self._while(statement)
        elif isinstance(statement, ast.For):
            name, parts, arguments = self._for(statement)
        else:
            parts = [self._part("within", [statement], statement, opaque=True)]
            name, arguments = "sequence", [_name(parts[0])]
        made: list[ast.stmt] = [*parts]
        arguments = [*arguments, _names(names)]
        if leaves:
            if rest:
                made.append(self._part("rest", rest, rest[0]))
            arguments += [_name(made[-1]) if rest else _NONE, _names(after)]
        call = runtime_call(name, statement, *arguments)
        if not leaves:
            return [*made, located(ast.Expr(call), statement)]
        value = call if self._in_part else runtime_call("finish", statement, call)
        return [*made, located(ast.Return(value), statement)]

    def _live(self, statement: ast.stmt, assigning: Sequence[ast.stmt], out: frozenset[str]) -> frozenset[str]:
        """The shared variables that `assigning` change and that are read later, `out` being live behind them."""
        live = out | self._liveness.jumps[statement] | self._liveness.head.get(statement, frozenset())
        return stores(assigning) & live & self._shared

    def _part(
        self, role: str, body: Sequence[ast.stmt], like: ast.AST, *, item: bool = False, opaque: bool = False
    ) -> ast.FunctionDef:
        """A function of `body`; with a parameter for a loop's `item`."""
        self._parts += 1
        changed = stores(body)
        name = f"{RUNTIME}{role}_{self._parts}"
        outside, self._in_part = self._in_part, True
        inner = self._opaque(body[0]) if opaque else self._block(body)
        self._in_part = outside
        head: list[ast.stmt] = []
        if shared := sorted(changed & self._shared):
            head.append(ast.Nonlocal(shared))
        if outer := sorted(changed & self._globals):
            head.append(ast.Global(outer))
        arguments = [ast.arg(RUNTIME + "item")] if item else []
        signature = ast.arguments(posonlyargs=[], args=arguments, kwonlyargs=[], kw_defaults=[], defaults=[])
        whole = [*(located(each, like) for each in head), *inner] or [located(ast.Pass(), like)]
        return located(ast.FunctionDef(name, signature, whole, [], None), like)

    # --- control ------------------------------------------------------------------------------------

    def _if(self, statement: ast.If) -> tuple[str, list[ast.stmt], list[ast.expr]]:
        test = self._expressions.visit(statement.test)
        then = self._part("then", statement.body, statement)
        otherwise = self._part("else", statement.orelse, statement)
        return "branch", [then, otherwise], [test, _name(then), _name(otherwise)]

    def _while(self, statement: ast.While) -> tuple[str, list[ast.stmt], list[ast.expr]]:
        body, test = statement.body, statement.test
        if assigns_within(test) and not statement.orelse:
            # `while (x := f()): …` is `while True: if not (x := f()): break; …`.
            leave = located(ast.If(ast.UnaryOp(ast.Not(), test), [ast.Break()], []), test)
            live = self._liveness
            live.after[leave] = live.block_end[leave] = live.jumps[leave] = live.head[statement]
            body, test = [leave, *body], located(ast.Constant(True), test)
        part = self._part("body", body, statement)
        otherwise = self._otherwise(statement)
        endless = isinstance(test, ast.Constant) and bool(test.value)
        condition = _NONE if endless else deferred(self._expressions.visit(test))
        return "while_", [part, *otherwise], [condition, _name(part), _optional(otherwise)]

    def _for(self, statement: ast.For) -> tuple[str, list[ast.stmt], list[ast.expr]]:
        item = located(ast.Name(RUNTIME + "item", ast.Load()), statement.target)
        assign = located(ast.Assign([statement.target], item), statement.target)
        values = self._expressions.visit(statement.iter)
        part = self._part("body", [assign, *statement.body], statement, item=True)
        otherwise = self._otherwise(statement)
        effects = ast.Constant(_has_effects(statement.body))
        return "for_", [part, *otherwise], [values, _name(part), _optional(otherwise), effects]

    def _otherwise(self, loop: ast.While | ast.For) -> list[ast.stmt]:
        return [self._part("else", loop.orelse, loop.orelse[0])] if loop.orelse else []

    # --- other statements ---------------------------------------------------------------------------

    def _plain(self, statement: ast.stmt) -> list[ast.stmt]:
        match statement:
            case ast.Return():
                value: ast.expr = _NONE if statement.value is None else self._expressions.visit(statement.value)
                returned = runtime_call("returned", statement, value) if self._in_part else value
                return [located(ast.Return(returned), statement)]
            case ast.Break() | ast.Continue():
                signal = ast.Attribute(ast.Name(RUNTIME, ast.Load()), type(statement).__name__.upper(), ast.Load())
                return [located(ast.Return(signal), statement)]
            case ast.AnnAssign() if isinstance(statement.target, ast.Name) and self._in_part:
                if statement.value is None:
                    return []
                assign = ast.Assign([statement.target], self._expressions.visit(statement.value))
                return [located(assign, statement)]
            case ast.AugAssign(target=ast.Name(id=name)) if name in self._shared:
                assert isinstance(statement.target, ast.Name)
                return [self._augmented(statement, statement.target)]
            case ast.Assert():
                test = runtime_call("asserted", statement.test, self._expressions.visit(statement.test))
                message = statement.msg and self._expressions.visit(statement.msg)
                return [located(ast.Assert(test, message), statement)]
            case ast.Global() | ast.Nonlocal():
                return [] if self._in_part else [statement]
            case ast.Try() | ast.TryStar() | ast.With() | ast.Match():
                return self._opaque(statement)
            case _:
                check = self._check(statement)
                visited = self._expressions.visit(statement)
                return [*check, visited]

    def _augmented(self, statement: ast.AugAssign, target: ast.Name) -> ast.stmt:
        """`x += y` as an assignment, in place only where no trace is in the way."""
        read = self._expressions.visit(located(ast.Name(target.id, ast.Load()), target))
        operator = ast.Constant(type(statement.op).__name__)
        value = self._expressions.visit(statement.value)
        new = runtime_call("augmented", statement, ast.Name(DEPTH, ast.Load()), operator, read, value)
        return located(ast.Assign([target], new), statement)

    def _check(self, statement: ast.stmt) -> list[ast.stmt]:
        """A check that a statement which changes more than variables is not traced as part of a branch or loop."""
        what = self._in_part and _change(statement, self._globals)
        if not what:
            return []
        check = runtime_call("refuse_if_traced", statement, ast.Name(DEPTH, ast.Load()), ast.Constant(what))
        return [located(ast.Expr(check), statement)]

    def _opaque(self, statement: ast.stmt) -> list[ast.stmt]:
        """`try`, `with` and `match` as they are, what is in their blocks rewritten."""
        for node in (statement, *_clauses(statement)):
            for field, value in ast.iter_fields(node):
                if field in ("body", "orelse", "finalbody"):
                    setattr(node, field, self._block(value) or ([ast.Pass()] if value else []))
                elif field not in ("handlers", "cases"):
                    setattr(node, field, self._visited(value))
        return [located(statement, statement)]

    def _visited(self, value: object) -> object:
        if isinstance(value, list):
            return [self._visited(each) for each in cast("list[object]", value)]
        return self._expressions.visit(value) if isinstance(value, ast.AST) else value


def _clauses(statement: ast.stmt) -> Sequence[ast.AST]:
    if isinstance(statement, (ast.Try, ast.TryStar)):
        return statement.handlers
    return statement.cases if isinstance(statement, ast.Match) else ()


def _opens(statement: ast.stmt) -> bool:
    """Whether a statement must stay first: a docstring, `global`, `nonlocal`."""
    if isinstance(statement, (ast.Global, ast.Nonlocal)):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _change(statement: ast.stmt, global_names: frozenset[str]) -> str:
    """What a statement changes beside variables, in words; empty where it changes nothing else."""
    if isinstance(statement, ast.Raise):
        return "an exception is raised"
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
        targets = statement.targets if isinstance(statement, (ast.Assign, ast.Delete)) else [statement.target]
        for target in targets:
            for node in ast.walk(target):
                if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
                    return f"`{ast.unparse(node)}` is assigned"
        if changed := sorted(stores(targets) & global_names):
            return f"the global variable `{changed[0]}` is assigned"
    return ""


def _has_effects(body: Sequence[ast.stmt]) -> bool:
    """Whether statements do more than assign variables: call for an effect, or change what a variable refers to."""
    for node in own_nodes(body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return True
        if isinstance(node, ast.stmt) and _change(node, frozenset()):
            return True
    return False


def _name(part: ast.stmt) -> ast.expr:
    assert isinstance(part, ast.FunctionDef)
    return ast.Name(part.name, ast.Load())


def _optional(parts: Sequence[ast.stmt]) -> ast.expr:
    return _name(parts[0]) if parts else _NONE


def _names(names: frozenset[str]) -> ast.expr:
    return ast.Constant(cast("Any", tuple(sorted(names))))
