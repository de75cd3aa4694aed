"""Loop IR as text that reads like a program, for people and for golden tests.

kernel k0_add(x: f32[64], y: f32[64]) at model.py:7:
  vector i0 in 64:
    y[i0] = x[i0] + 1.0
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tenfoldc.loops.ir import (
    Allocation,
    Apply,
    Axis,
    Barrier,
    Buffer,
    Call,
    Carry,
    Combine,
    Constant,
    Expr,
    For,
    If,
    Kernel,
    Launch,
    Load,
    Local,
    Mode,
    MultiplyChain,
    MultiplyPanels,
    MultiplyStrip,
    MultiplyTiles,
    Prefetch,
    Primitive,
    Program,
    ReadTape,
    RequestMatrixUnit,
    RowFold,
    RowSum,
    Statement,
    Store,
    StreamCopy,
    TileFactor,
    TransposeTile,
    While,
    WriteTape,
)
from tenfoldc.loops.traversal import expressions, operands_of, roots_of

_SYMBOLS = {
    Primitive.ADD: "+",
    Primitive.SUB: "-",
    Primitive.MUL: "*",
    Primitive.DIV: "/",
    Primitive.REM: "%",
    Primitive.AND: "&",
    Primitive.OR: "|",
    Primitive.XOR: "^",
    Primitive.SHL: "<<",
    Primitive.SHR: ">>",
    Primitive.EQ: "==",
    Primitive.NE: "!=",
    Primitive.LT: "<",
    Primitive.LE: "<=",
    Primitive.GT: ">",
    Primitive.GE: ">=",
}

_MODES = {
    Mode.SERIAL: "for",
    Mode.VECTOR: "vector",
    Mode.LANES: "lanes",
    Mode.UNROLLED: "unrolled",
    Mode.PARALLEL: "parallel",
}


def print_program(program: Program, allocation: Allocation | None = None) -> str:
    """`program` as text; with an allocation, also where its memory lies."""
    lines = [f"program {program.name}({_declared(program.parameters)}) -> ({_declared(program.results)})"]
    if program.donated:
        pairs = (f"{program.parameters[p].name} -> {program.results[r].name}" for p, r in program.donated)
        lines.append(f"  donated {', '.join(pairs)}")
    lines.extend(f"  constant {_declaration(buffer)}" for buffer in program.constants)
    if allocation is not None:
        lines.append(f"  workspace {allocation.workspace_bytes} bytes")
    for buffer in program.temporaries:
        place = "" if allocation is None else f" at {allocation.offsets[buffer]}"
        lines.append(f"  temporary {_declaration(buffer)}{place}")
    for kernel in program.kernels:
        lines.extend(["", *_KernelText(kernel, allocation).lines])
    return "\n".join(lines) + "\n"


def _declared(buffers: Sequence[Buffer]) -> str:
    return ", ".join(map(_declaration, buffers))


def _declaration(buffer: Buffer) -> str:
    return f"{buffer.name}: {buffer.dtype.name}[{', '.join(map(str, buffer.shape))}]"


class _KernelText:
    """The lines of one kernel.  An expression that is used twice is written once and named."""

    def __init__(self, kernel: Kernel, allocation: Allocation | None) -> None:
        self.lines = [f"kernel {kernel.name}{f' at {kernel.location}' if kernel.location else ''}:"]
        self._names: list[dict[Expr, str]] = [{}]
        self._numbered = 0
        for buffer in kernel.scratch:
            place = "" if allocation is None else f" at {allocation.offsets[buffer]}"
            self.lines.append(f"  scratch {_declaration(buffer)}{place}")
        self._block(kernel.body, 1)

    def _block(self, statements: Sequence[Statement], depth: int, carries: Sequence[Carry] = ()) -> None:
        """The statements of one scope; what they share is named before the first that uses it."""
        own = [statement for statement in statements if isinstance(statement, Store | Combine)]
        roots = [root for statement in own for root in roots_of(statement)] + [c.next for c in carries]
        shared = _shared(roots)
        for statement in statements:
            self._define([e for e in expressions(roots_of(statement)) if e in shared and statement in own], depth)
            self._statement(statement, depth)
        for carry in carries:
            self._define([e for e in expressions((carry.next,)) if e in shared], depth)
            self._write(depth, f"next {self._name(carry.value)} = {self._text(carry.next)}")

    def _define(self, shared: Iterable[Expr], depth: int) -> None:
        """Name expressions, inner ones first."""
        for expression in sorted(shared, key=_size):
            if self._find(expression) is None:
                text = self._text(expression)
                self._write(depth, f"{self._new_name(expression, 'v')} = {text}")

    def _statement(self, statement: Statement, depth: int) -> None:
        match statement:
            case For():
                extent = self._text(statement.extent)
                self._carried(statement.carries, depth)
                private = (
                    f" private {', '.join(buffer.name for buffer in statement.private)}" if statement.private else ""
                )
                self._write(depth, f"{_MODES[statement.mode]} {statement.axis.name} in {extent}{private}:")
                self._scope(statement.body, depth, statement.carries)
            case While():
                self._carried(statement.carries, depth)
                self._write(depth, f"while {self._text(statement.condition)}:")
                self._scope(statement.body, depth, statement.carries)
            case If():
                self._write(depth, f"if {self._text(statement.condition)}:")
                self._scope(statement.then, depth)
                if statement.otherwise:
                    self._write(depth, "else:")
                    self._scope(statement.otherwise, depth)
            case Store():
                self._write(depth, f"{self._place(statement.buffer, statement.index)} = {self._text(statement.value)}")
            case Prefetch():
                self._write(depth, f"prefetch {self._place(statement.buffer, statement.index)}")
            case MultiplyPanels():
                self._write(depth, self._panels(statement))
            case RequestMatrixUnit():
                self._write(depth, f"{statement.granted.name}[0] = tiles granted")
            case MultiplyStrip():
                self._write(depth, self._strip(statement))
            case TransposeTile():
                self._write(depth, self._transposed(statement))
            case StreamCopy():
                self._write(depth, self._streamed(statement))
            case WriteTape():
                self._write(depth, f"{statement.tape.name}[{self._text(statement.place)}] = {statement.source.name}")
            case ReadTape():
                self._write(depth, f"{statement.target.name} = {statement.tape.name}[{self._text(statement.place)}]")
            case Launch():
                self._launch(statement, depth)
            case Combine():
                self._combine(statement, depth)
            case Barrier():
                self._write(depth, "barrier")
            case MultiplyTiles():
                self._tiles(statement, depth)
            case MultiplyChain():
                self._chain(statement, depth)

    def _scope(self, statements: Sequence[Statement], depth: int, carries: Sequence[Carry] = ()) -> None:
        self._names.append({})
        self._block(statements, depth + 1, carries)
        self._names.pop()

    def _carried(self, carries: Sequence[Carry], depth: int) -> None:
        for carry in carries:
            name = self._new_name(carry.value, carry.value.name)
            self._names[-1][carry.result] = name
            self._write(depth, f"carry {name} = {self._text(carry.init)}")

    def _launch(self, launch: Launch, depth: int) -> None:
        shared = "".join(f" shared {_declaration(buffer)}" for buffer in launch.shared)
        space = f"{launch.block.name} in {self._text(launch.blocks)}, {launch.thread.name} in {launch.threads}"
        self._write(depth, f"launch {launch.name} {space}{shared}:")
        self._scope(launch.body, depth)

    def _combine(self, combine: Combine, depth: int) -> None:
        for result, value in zip(combine.results, combine.values, strict=True):
            name, text = self._new_name(result, result.name), self._text(value)
            self._write(depth, f"{name} = combine {text} of {combine.threads} threads by {combine.stride}")
        for names in zip(combine.results, combine.lhs, combine.rhs, combine.combined, strict=True):
            result, lhs, rhs, combined = names
            self._write(depth + 1, f"{lhs.name}, {rhs.name} -> {self._text(combined)} of {self._name(result)}")

    def _tiles(self, tiles: MultiplyTiles, depth: int) -> None:
        place = f"[{self._text(tiles.first_row)}:{tiles.rows}, {self._text(tiles.first_column)}:{tiles.columns}]"
        slices = f"slices {self._text(tiles.first_slice)}:+{tiles.slices}"
        self._write(depth, f"multiply tiles {place} {tiles.tile.name} in {tiles.tiles}, {slices}, {tiles.tiling}:")
        for name, factor in (("lhs", tiles.lhs), ("rhs", tiles.rhs)):
            self._factor(name, factor, depth + 1)
        self._names.append({})
        value = self._new_name(tiles.value, tiles.value.name)
        self._write(depth + 1, f"{value} at {tiles.row.name}, {tiles.column.name}:")
        self._scope(tiles.body, depth + 1)
        self._names.pop()

    def _factor(self, name: str, factor: TileFactor, depth: int) -> None:
        self._names.append({})
        index = f"{factor.line.name}, {factor.position.name}, {factor.channel.name}"
        condition = "" if factor.inside is None else f" where {self._text(factor.inside)}"
        along = "depth" if factor.along_depth else "lines"
        element = self._text(factor.element)
        self._write(depth, f"{name}[{index}] = {element}{condition}, {factor.vector} along {along}")
        self._names.pop()

    def _chain(self, chain: MultiplyChain, depth: int) -> None:
        space = (
            f"{chain.row.name} in {self._text(chain.first_row)}:{chain.rows}, {chain.column.name} in {chain.columns}"
        )
        stretches = f"stretches {self._text(chain.first)}:{self._text(chain.end)}"
        self._write(depth, f"multiply chain {space}, {stretches}, {chain.tiling}:")
        self._names.append({})
        for number, each in enumerate(chain.passes):
            self._write(depth + 1, f"pass {number}:")
            for product in each.products:
                name = self._new_name(product.value, product.value.name)
                self._write(depth + 2, f"{name} = product over {product.channels}:")
                self._factor("lhs", product.lhs, depth + 3)
                self._factor("rhs", product.rhs, depth + 3)
            for fold in each.folds:
                self._fold(fold, depth + 2)
            for row_sum in each.sums:
                self._row_sum(row_sum, depth + 2)
        self._write(depth + 1, "each row:")
        self._scope(chain.body, depth + 1)
        self._names.pop()

    def _fold(self, fold: RowFold, depth: int) -> None:
        name, before = (self._new_name(local, local.name) for local in (fold.result, fold.value))
        self._names[-1][fold.current] = name
        self._write(depth, f"{name} = fold {self._text(fold.element)} from {self._text(fold.init)}:")
        lhs, rhs, part = (self._new_name(local, local.name) for local in (fold.lhs, fold.rhs, fold.part))
        self._write(depth + 1, f"{lhs}, {rhs} -> {self._text(fold.combined)}")
        self._write(depth + 1, f"{before}, {part} -> {self._text(fold.next)}")

    def _row_sum(self, row_sum: RowSum, depth: int) -> None:
        name = self._new_name(row_sum.total, row_sum.total.name)
        factor = "" if row_sum.factor is None else f", what was before by {self._text(row_sum.factor)}"
        self._write(
            depth, f"{name} = sum of {', '.join(map(self._text, row_sum.elements))} by {row_sum.features}{factor}:"
        )
        self._factor("rhs", row_sum.rhs, depth + 1)
        value = self._new_name(row_sum.value, row_sum.value.name)
        self._write(depth + 1, f"{value} = {self._text(row_sum.finished)} at {row_sum.feature.name}:")
        self._scope(row_sum.body, depth + 1)

    def _panels(self, tile: MultiplyPanels) -> str:
        place = f"{tile.target.name}[{self._text(tile.row)}:+{tile.rows}, {self._text(tile.column)}:+{tile.columns}]"
        lhs = f"{tile.lhs.name}[{self._text(tile.lhs_panel)}]"
        rhs = f"{tile.rhs.name}[{self._text(tile.rhs_panel)}]"
        packing = "" if tile.packed is None else f", packing {tile.packed.name}"
        return f"{place} {'+=' if tile.accumulate else '='} {lhs} @ {rhs} over {self._text(tile.depth)}{packing}"

    def _strip(self, strip: MultiplyStrip) -> str:
        rows = f"{self._text(strip.row)}:+{self._text(strip.rows)}"
        place = f"{strip.target.name}[{rows}, {self._text(strip.column)}:+{strip.columns}]"
        lhs = f"{strip.lhs.name}[{self._text(strip.lhs_panel)}:]"
        rhs = f"{strip.rhs.name}[{self._text(strip.rhs_panel)}]"
        return f"{place} {'+=' if strip.accumulate else '='} tiles {lhs} @ {rhs} over {self._text(strip.steps)} steps"

    def _transposed(self, tile: TransposeTile) -> str:
        rows, columns = self._text(tile.rows), self._text(tile.columns)
        target = f"{tile.target.name}[{self._text(tile.target_first)}: {rows} by {tile.target_stride}, {columns}]"
        source = f"{tile.source.name}[{self._text(tile.source_first)}: {columns} by {tile.source_stride}, {rows}]"
        return f"{target} = transpose {source}"

    def _streamed(self, copy: StreamCopy) -> str:
        target = f"{copy.target.name}[{self._text(copy.target_first)}:+{self._text(copy.count)}]"
        return f"{target} = stream {copy.source.name}"

    def _text(self, root: Expr) -> str:
        """An expression as text; long chains are written without recursion."""
        texts: dict[Expr, str] = {}
        pending = [root]
        while pending:
            expression = pending[-1]
            known = self._find(expression)
            missing = [] if known else [operand for operand in operands_of(expression) if operand not in texts]
            if missing:
                pending.extend(missing)
            else:
                pending.pop()
                texts[expression] = known or self._written(expression, [texts[o] for o in operands_of(expression)])
        return texts[root]

    def _written(self, expression: Expr, operands: Sequence[str]) -> str:
        match expression:
            case Constant():
                return repr(expression.value)
            case Axis() | Local():
                return expression.name
            case Load():
                return f"{expression.buffer.name}[{', '.join(operands)}]"
            case Call():
                return f"{expression.function.name}({', '.join(operands)})"
            case Apply():
                symbol = _SYMBOLS.get(expression.primitive)
                if symbol is not None and len(operands) == 2:
                    return f"({operands[0]} {symbol} {operands[1]})"
                suffix = f" to {expression.dtype.name}" if expression.primitive in _TYPED else ""
                return f"{expression.primitive.value}({', '.join(operands)}{suffix})"

    def _place(self, buffer: Buffer, index: Sequence[Expr]) -> str:
        return f"{buffer.name}[{', '.join(map(self._text, index))}]"

    def _find(self, expression: Expr) -> str | None:
        return next((names[expression] for names in reversed(self._names) if expression in names), None)

    def _name(self, local: Local) -> str:
        return self._find(local) or local.name

    def _new_name(self, expression: Expr, prefix: str) -> str:
        name = self._names[-1][expression] = f"{prefix}{self._numbered}"
        self._numbered += 1
        return name

    def _write(self, depth: int, text: str) -> None:
        self.lines.append("  " * depth + text)


_TYPED = frozenset({Primitive.CONVERT, Primitive.BITCAST})


def _shared(roots: Sequence[Expr]) -> set[Expr]:
    """Computed expressions that are used more than once below `roots`."""
    uses: dict[Expr, int] = {}
    for root in roots:
        uses[root] = uses.get(root, 0) + 1
    for expression in expressions(roots):
        for operand in operands_of(expression):
            uses[operand] = uses.get(operand, 0) + 1
    return {e for e, count in uses.items() if count > 1 and isinstance(e, Apply | Call | Load)}


def _size(expression: Expr) -> int:
    return sum(1 for _ in expressions((expression,)))
