"""Live variables of a function: which names may still be read after each `if`, `while` and `for`.

The usual backward analysis, over the source's structure; loops are repeated until nothing changes.  Whatever it does
not follow (`try`, `with`, `match`, names that inner functions read) counts as live.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace

from tenfold.rewrite.names import SCOPES, declared, jumps, loads, own_nodes, stores
from tenfold_rt.frozen import frozen

Names = frozenset[str]


@frozen
class _Targets:
    """What is live where `break`, `continue` and `return` lead."""

    leave: Names
    again: Names
    end: Names

    def of(self, kinds: frozenset[type[ast.stmt]]) -> Names:
        live: Names = frozenset()
        for kind, names in ((ast.Break, self.leave), (ast.Continue, self.again), (ast.Return, self.end)):
            if kind in kinds:
                live |= names
        return live


class Liveness:
    """For each control statement of one function: `after` it, after the block that it stands in (`block_end`), where
    its jumps lead to (`jumps`), and for loops where a turn begins (`head`)."""

    def __init__(self, body: Sequence[ast.stmt]) -> None:
        self.after: dict[ast.stmt, Names] = {}
        self.block_end: dict[ast.stmt, Names] = {}
        self.jumps: dict[ast.stmt, Names] = {}
        self.head: dict[ast.stmt, Names] = {}
        nested = [node for node in own_nodes(body) if isinstance(node, SCOPES)]
        always = loads(*nested) | declared(body, ast.Nonlocal) | declared(body, ast.Global)
        for function in nested:
            always |= declared(ast.walk(function), ast.Nonlocal)
        self._everything = always | loads(*body)
        self._block(body, always, _Targets(always, always, always))

    def _block(self, statements: Sequence[ast.stmt], out: Names, targets: _Targets) -> Names:
        """What is live before `statements`, if `out` is after them."""
        live = out
        for number in reversed(range(len(statements))):
            statement = statements[number]
            self.after[statement], self.block_end[statement] = live, out
            self.jumps[statement] = targets.of(jumps(statements[number:]))
            live = self._statement(statement, live, targets)
        return live

    def _statement(self, statement: ast.stmt, out: Names, targets: _Targets) -> Names:
        match statement:
            case ast.If():
                branches = self._block(statement.body, out, targets) | self._block(statement.orelse, out, targets)
                return loads(statement.test) | branches
            case ast.While():
                return self._loop(statement, loads(statement.test), out, targets)
            case ast.For():
                return loads(statement.iter) | self._loop(statement, loads(statement.target), out, targets)
            case ast.Return():
                return targets.end | loads(statement)
            case ast.Break():
                return targets.leave
            case ast.Continue():
                return targets.again
            case ast.Raise():
                return loads(statement)
            case ast.Assign() | ast.AnnAssign() | ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef():
                return (out - _surely_assigned(statement)) | loads(statement)
            case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Assert() | ast.Pass():
                return out | loads(statement)
            case _:
                return self._opaque(statement, targets)

    def _loop(self, loop: ast.While | ast.For, read: Names, out: Names, targets: _Targets) -> Names:
        otherwise = self._block(loop.orelse, out, targets)
        assigned = stores([loop.target]) if isinstance(loop, ast.For) else frozenset[str]()
        head: Names = read | otherwise
        while True:
            within = self._block(loop.body, head, replace(targets, leave=out, again=head))
            grown = head | (within - assigned)
            if grown == head:
                self.head[loop] = head | out
                return head
            head = grown

    def _opaque(self, statement: ast.stmt, targets: _Targets) -> Names:
        everything = self._everything
        inside = _Targets(everything, everything, everything)
        for node in ast.walk(statement):
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if isinstance(block, list) and not isinstance(node, (*SCOPES, ast.If, ast.While, ast.For)):
                    self._block(block, everything, inside)  # pyright: ignore[reportUnknownArgumentType]
        return everything


def _surely_assigned(statement: ast.stmt) -> Names:
    match statement:
        case ast.Assign():
            return stores(target for target in statement.targets)
        case ast.AnnAssign():
            return stores([statement.target]) if statement.value is not None else frozenset()
        case _:
            return stores([statement])
