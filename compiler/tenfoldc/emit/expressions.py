"""Scalar expressions as LLVM instructions: each is written once in the scope where it is first needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tenfold_rt.errors import VerificationError
from tenfoldc.emit.accesses import Terms, element_terms, split_constant, varying_index
from tenfoldc.emit.extremum import extremum_terms, write_extremum
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.outlined import outlined_call
from tenfoldc.emit.primitives import write_primitive
from tenfoldc.emit.scalar_types import literal, memory_type, register_type
from tenfoldc.loops.ir import Apply, Axis, Buffer, Call, Constant, Expr, Function, Load, Local
from tenfoldc.loops.traversal import operands_of


class ExpressionText:
    """Writes expressions into one function, whose `pointers` name the memory of each storage buffer.

    A pointer is to the element of its buffer that `origins` tells, else to the first.  Its name has its address space
    before it where that is not the default: `addrspace(1) %b0`.
    """

    def __init__(
        self, module: ModuleText, text: FunctionText, pointers: Mapping[Buffer, str], origins: Mapping[Buffer, int]
    ) -> None:
        self.module = module
        self.text = text
        self.pointers = pointers
        self.origins = origins
        self.folding = False
        """Whether what is written is carried through a loop, and is to look like a reduction to LLVM."""
        self.access = ""
        """What marks accesses to memory: that of the loop whose turns do not meet there, if they are inside one."""

    def value(self, expression: Expr) -> str:
        """The name or literal of an expression, written first where it is not yet in scope."""
        if isinstance(expression, Constant):
            return literal(expression.value, expression.dtype)
        known = self.text.find(expression)
        return self._write_tree(expression) if known is None else known

    def values(self, expressions: Iterable[Expr]) -> list[str]:
        return [self.value(expression) for expression in expressions]

    def typed(self, expression: Expr) -> str:
        """An expression with its type, as an argument is written."""
        return f"{register_type(expression.dtype)} {self.value(expression)}"

    def _write_tree(self, root: Expr) -> str:
        """Write `root` after all that it needs, without recursion: expressions can be thousands deep."""
        pending = [root]
        while pending:
            expression = pending[-1]
            if self.text.find(expression) is not None:
                pending.pop()
                continue
            missing = [
                operand
                for operand in self._terms(expression) or _computed_from(expression)
                if not isinstance(operand, Constant) and self.text.find(operand) is None
            ]
            if missing:
                pending.extend(reversed(missing))
                continue
            self.text.bind(pending.pop(), self._write(expression))
        return self.value(root)

    def _write(self, expression: Expr) -> str:
        """Write one expression whose operands are in scope."""
        match expression:
            case Apply() if (terms := self._terms(expression)) is not None:
                return write_extremum(self.text, expression.primitive, expression.dtype, self.values(terms))
            case Apply():
                return write_primitive(self.text, self.module.target, expression, self.values(expression.operands))
            case Load():
                return self._load(expression)
            case Call():
                return self._call(expression)
            case Constant():
                return literal(expression.value, expression.dtype)
            case Axis() | Local():
                raise VerificationError(f"{expression.name} is used outside the loop or function that binds it")

    def _terms(self, expression: Expr) -> tuple[Expr, ...] | None:
        """The numbers of which an expression is the largest or the least, where these are written at once."""
        if self.folding or not self.module.target.triple.startswith("x86_64"):
            return None
        return extremum_terms(expression, lambda nested: self.text.find(nested) is not None)

    def _call(self, call: Call) -> str:
        function = call.function
        arguments = ", ".join(self.typed(operand) for operand in call.operands)
        if function.rare is not None or function in self.module.called:
            return self.text.pure(outlined_call(self.module, function, arguments, scalar_function))
        symbol = scalar_function(self.module, function)
        return self.text.pure(f"call {register_type(call.dtype)} {symbol}({arguments})")

    def _load(self, load: Load) -> str:
        kind = memory_type(load.dtype)
        address = self.address(load.buffer, load.index)
        value = self.text.fresh(f"load {kind}, ptr {address}, align {load.dtype.itemsize}{self.access}")
        return self.text.pure(f"icmp ne i8 {value}, 0") if load.dtype.is_bool else value

    def store(self, buffer: Buffer, index: Sequence[Expr], value: Expr) -> None:
        """Write a store of one element."""
        name = self.value(value)
        if buffer.dtype.is_bool:
            name = self.text.pure(f"zext i1 {name} to i8")
        address = self.address(buffer, index)
        kind = memory_type(buffer.dtype)
        self.text.effect(f"store {kind} {name}, ptr {address}, align {buffer.dtype.itemsize}{self.access}")

    def prefetch(self, buffer: Buffer, index: Sequence[Expr]) -> None:
        """Ask for an element, which may lie outside, to be brought to the second-level cache."""
        address = self.address(buffer, index, inside=False)
        self.text.effect(f"call void @llvm.prefetch.p0(ptr {address}, i32 0, i32 2, i32 1)")

    def address(self, buffer: Buffer, index: Sequence[Expr], *, inside: bool = True) -> str:
        """A pointer to an element; where that lies inside, the arithmetic cannot overflow."""
        return self.place(buffer, element_terms(buffer, index), inside=inside)

    def place(self, buffer: Buffer, terms: Terms, *, inside: bool = True) -> str:
        """A pointer to the element at an offset that is a sum of index times stride."""
        varying, known = split_constant(terms)
        named = [(self.value(index), stride) for index, stride in varying]
        known -= self.origins.get(buffer.storage, 0)
        return self.moved(self.pointers[buffer.storage], named, known, memory_type(buffer.dtype), inside=inside)

    def moved(self, pointer: str, varying: Sequence[tuple[str, int]], known: int, kind: str, *, inside: bool) -> str:
        """A pointer to the element of type `kind` that is `varying` times strides, and `known`, from `pointer`."""
        return self.stepped(pointer, self._weighted_sum(varying, known), kind, inside=inside)

    def stepped(self, pointer: str, offset: str, kind: str, *, inside: bool) -> str:
        """A pointer to the element `offset` elements from `pointer`, in the same address space."""
        if offset == "0":
            return pointer
        flags = " inbounds nuw" if inside else ""
        name = self.text.pure(f"getelementptr{flags} {kind}, ptr {pointer}, i64 {offset}")
        space, _, _ = pointer.rpartition(" ")
        return f"{space} {name}" if space else name

    def _weighted_sum(self, terms: Sequence[tuple[str, int]], known: int) -> str:
        """The sum of index times stride, and `known`.  An index split into quotient and remainder is made whole."""
        total = ""
        for name, stride in self._merge_quotients(terms):
            if name.lstrip("-").isdecimal():
                known += int(name) * stride
                continue
            term = name if stride == 1 else self.text.pure(f"mul nuw nsw i64 {name}, {stride}")
            total = term if not total else self.text.pure(f"add nuw nsw i64 {total}, {term}")
        if not total:
            return str(known)
        return total if known == 0 else self.text.pure(f"add nuw nsw i64 {total}, {known}")

    def _merge_quotients(self, terms: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Replace x/c * (c*s) + x%c * s by x * s, as often as it occurs."""
        merged = list(terms)
        quotients, remainders = self.text.quotients, self.text.remainders
        changed = True
        while changed:
            changed = False
            for position, (name, stride) in enumerate(merged):
                dividend, divisor = remainders.get(name, ("", 0))
                partner = next(
                    (
                        other
                        for other, (quotient, weight) in enumerate(merged)
                        if divisor and weight == stride * divisor and quotients.get(quotient) == (dividend, divisor)
                    ),
                    None,
                )
                if partner is not None:
                    merged[position] = (dividend, stride)
                    del merged[partner]
                    changed = True
                    break
        return merged


def _computed_from(expression: Expr) -> Sequence[Expr]:
    """The expressions that the code of `expression` uses."""
    if not isinstance(expression, Load):
        return operands_of(expression)
    return [varying for varying in map(varying_index, expression.index) if varying is not None]


def scalar_function(module: ModuleText, function: Function) -> str:
    """The symbol of a scalar function that is inlined, whose definition is written at its first use."""

    def write(symbol: str) -> str:
        text = FunctionText()
        parameters: list[str] = []
        for number, parameter in enumerate(function.parameters):
            text.bind(parameter, f"%p{number}")
            parameters.append(f"{register_type(parameter.dtype)} %p{number}")
        with module.calling(frozenset()):
            result = ExpressionText(module, text, {}, {}).typed(function.body)
        text.effect(f"ret {result}")
        kind = register_type(function.body.dtype)
        attributes = f"alwaysinline memory(none) {module.function_attributes}"
        return f"define internal {kind} {symbol}({', '.join(parameters)}) {attributes} {{\n{text}\n}}"

    return module.once(function, function.name, write)
