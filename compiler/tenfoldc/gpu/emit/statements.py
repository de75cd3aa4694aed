"""What threads of a GPU do, as LLVM instructions: the statements of the loop IR, and what a block does together.

Pointers to global memory say so, and what they are aligned to is then known to the pass that joins accesses; those to
shared memory are generic.  Loops carry no hints for vectors: a thread has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import VerificationError
from tenfoldc.emit.expressions import scalar_function
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.scalar_types import register_type
from tenfoldc.emit.statements import StatementText
from tenfoldc.gpu.emit.tiles.bulk import multiply_bulk_tiles
from tenfoldc.gpu.emit.tiles.chain import multiply_chain
from tenfoldc.gpu.emit.tiles.product import multiply_tiles
from tenfoldc.loops.ir import (
    Barrier,
    Buffer,
    Call,
    Combine,
    For,
    Function,
    Launch,
    Mode,
    MultiplyChain,
    MultiplyPanels,
    MultiplyTiles,
    Prefetch,
    ReadTape,
    Statement,
    StreamCopy,
    TransposeTile,
    WriteTape,
)

WARP = 32


class ThreadText(StatementText):
    """Writes what one thread of a launch of `threads` threads does; `thread` names its number, an i64."""

    has_vector_registers = False

    def __init__(
        self, module: ModuleText, text: FunctionText, pointers: Mapping[Buffer, str], thread: str, threads: int
    ) -> None:
        super().__init__(module, text, pointers, {}, "")
        self.thread = thread
        self.threads = threads
        self.blocks = 0
        """How many blocks there are, where that is known."""
        self.tensor_maps: dict[MultiplyTiles, list[str]] = {}
        """Pointers to the maps of the factors of products whose slices the copy engine brings."""

    def _statement(self, statement: Statement) -> None:
        match statement:
            case Combine():
                self._combine(statement)
            case Barrier():
                self.barrier()
            case Launch() | MultiplyPanels() | TransposeTile() | StreamCopy() | WriteTape() | ReadTape():
                raise VerificationError(f"{type(statement).__name__} is nothing that a thread of a GPU does")
            case Prefetch():
                pass
            case MultiplyTiles():
                if statement.tiling.bulk:
                    multiply_bulk_tiles(self, statement, self.blocks, self.tensor_maps[statement])
                else:
                    multiply_tiles(self, statement)
            case MultiplyChain():
                multiply_chain(self, statement)
            case _:
                super()._statement(statement)

    def moved(self, pointer: str, varying: Sequence[tuple[str, int]], known: int, kind: str, *, inside: bool) -> str:
        """In two steps: neighbours then have the first in common, by which LLVM sees that they are."""
        first = super().moved(pointer, varying, 0, kind, inside=inside)
        return self.stepped(first, str(known), kind, inside=inside)

    def barrier(self) -> None:
        """All threads of the block wait for each other."""
        self.text.effect("call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)")

    def _loop_metadata(self, loop: For, group: str = "") -> str:
        return self.module.loop_metadata(['!"llvm.loop.unroll.full"']) if loop.mode is Mode.UNROLLED else ""

    def _own_metadata(self) -> str:
        return ""

    def _call(self, call: Call) -> str:
        arguments = ", ".join(self.typed(operand) for operand in call.operands)
        symbol = _with_rare_case(self.module, call.function)
        return self.text.pure(f"call {register_type(call.dtype)} {symbol}({arguments})")

    def _combine(self, combine: Combine) -> None:
        """Neighbours first, within warps by shuffles, between warps through shared memory."""
        values = self.values(combine.values)
        distance, left = combine.stride, combine.threads
        while left > 1 and distance < WARP:
            others = [
                self._shuffled(name, value.dtype, distance) for name, value in zip(values, combine.values, strict=True)
            ]
            values = self._combined(combine, values, others, self._is_higher(distance))
            distance, left = 2 * distance, left // 2
        if left > 1:
            values = self._exchange(combine, values, distance, left)
        for result, name in zip(combine.results, values, strict=True):
            self.text.bind(result, name)

    def _combined(self, combine: Combine, own: Sequence[str], other: Sequence[str], is_higher: str) -> list[str]:
        """Each value of this thread with that of another, the lower thread's first."""
        with self.text.scope():
            for position, (lhs, rhs) in enumerate(zip(combine.lhs, combine.rhs, strict=True)):
                kind = register_type(lhs.dtype)
                mine, theirs = own[position], other[position]
                low = self.text.pure(f"select i1 {is_higher}, {kind} {theirs}, {kind} {mine}")
                high = self.text.pure(f"select i1 {is_higher}, {kind} {mine}, {kind} {theirs}")
                self.text.bind(lhs, low)
                self.text.bind(rhs, high)
            return self.values(combine.combined)

    def _is_higher(self, distance: int) -> str:
        bit = self.text.pure(f"and i64 {self.thread}, {distance}")
        return self.text.pure(f"icmp ne i64 {bit}, 0")

    def _shuffled(self, name: str, dtype: DType, distance: int) -> str:
        """The value of the thread whose number differs by the bit `distance`, of the same warp."""
        bits, kind = _memory_bits(dtype), register_type(dtype)
        word = name
        if dtype.is_bool:
            word = self.text.pure(f"zext i1 {name} to i32")
        elif dtype.is_float and not dtype.is_half:
            word = self.text.pure(f"bitcast {kind} {name} to i{bits}")
        if not dtype.is_bool and bits < 32:
            word = self.text.pure(f"zext i{bits} {word} to i32")
        if bits == 64:
            halves = [self.text.pure(f"trunc i64 {part} to i32") for part in (word, self._high(word))]
            low, high = (self.text.pure(f"zext i32 {self._shuffled_word(half, distance)} to i64") for half in halves)
            other = self.text.pure(f"or i64 {low}, {self.text.pure(f'shl i64 {high}, 32')}")
        else:
            other = self._shuffled_word(word, distance)
            if bits < 32:
                other = self.text.pure(f"trunc i32 {other} to {kind}")
        if dtype.is_bool:
            return self.text.pure(f"icmp ne i32 {other}, 0")
        if dtype.is_float and not dtype.is_half:
            return self.text.pure(f"bitcast i{bits} {other} to {kind}")
        return other

    def _high(self, word: str) -> str:
        return self.text.pure(f"lshr i64 {word}, 32")

    def _shuffled_word(self, word: str, distance: int) -> str:
        return self.text.fresh(
            f"call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 {self._mask()}, i32 {word}, i32 {distance}, i32 31)"
        )

    def _mask(self) -> int:
        """The threads of a warp that take part: all that there are."""
        return -1 if self.threads >= WARP else (1 << self.threads) - 1

    def _exchange(self, combine: Combine, values: Sequence[str], distance: int, left: int) -> list[str]:
        """The values of `left` groups of threads, `distance` threads apart, through shared memory."""
        memory = [self._exchange_memory(value.dtype, number) for number, value in enumerate(combine.values)]
        self.barrier()
        for value, name, pointer in zip(combine.values, values, memory, strict=True):
            self._put(pointer, self.thread, value.dtype, name)
        self.barrier()
        span = distance * left
        inside = self.text.pure(f"and i64 {self.thread}, {distance - 1}")
        outside = self.text.pure(f"and i64 {self.thread}, {-span}")
        first = self.text.pure(f"or i64 {inside}, {outside}")
        rows: list[list[str]] = []
        for number in range(left):
            place = self.text.pure(f"add i64 {first}, {number * distance}")
            rows.append([self._taken(p, place, v.dtype) for p, v in zip(memory, combine.values, strict=True)])
        while len(rows) > 1:
            rows = [self._combined(combine, rows[i], rows[i + 1], "false") for i in range(0, len(rows), 2)]
        return rows[0]

    def _exchange_memory(self, dtype: DType, number: int) -> str:
        """A pointer to shared memory with an element for each thread of the block, for one of the values combined.

        Whatever is combined later uses it again.
        """
        kind = f"[{self.threads} x {_memory_type(dtype)}]"
        size = 16

        def write(symbol: str) -> str:
            return f"{symbol} = internal addrspace(3) global {kind} undef, align {size}"

        symbol = self.module.once(("exchange", kind, number), f"exchange{number}_{dtype.name}_{self.threads}", write)
        return self.text.pure(f"addrspacecast ptr addrspace(3) {symbol} to ptr")

    def _put(self, pointer: str, place: str, dtype: DType, name: str) -> None:
        kind = _memory_type(dtype)
        if dtype.is_bool:
            name = self.text.pure(f"zext i1 {name} to i8")
        address = self.text.pure(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {place}")
        self.text.effect(f"store {kind} {name}, ptr {address}, align {dtype.itemsize}")

    def _taken(self, pointer: str, place: str, dtype: DType) -> str:
        kind = _memory_type(dtype)
        address = self.text.pure(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {place}")
        value = self.text.fresh(f"load {kind}, ptr {address}, align {dtype.itemsize}")
        return self.text.pure(f"icmp ne i8 {value}, 0") if dtype.is_bool else value


def _memory_type(dtype: DType) -> str:
    return "i8" if dtype.is_bool else register_type(dtype)


def _memory_bits(dtype: DType) -> int:
    return 32 if dtype.is_bool else dtype.bits


def _with_rare_case(module: ModuleText, function: Function) -> str:
    """The symbol of a scalar function, with a branch to what is seldom computed, inlined where it is called."""
    if function.rare is None:
        return scalar_function(module, function)
    rare_case = function.rare

    def write(symbol: str) -> str:
        text, kind = FunctionText(), register_type(function.body.dtype)
        parameters = ", ".join(
            f"{register_type(parameter.dtype)} %p{number}" for number, parameter in enumerate(function.parameters)
        )
        is_rare = text.fresh(f"call i1 {scalar_function(module, rare_case.condition)}({parameters})")
        text.branch_if(is_rare, "rare", "common")
        text.start("rare")
        rare = text.fresh(f"call {kind} {scalar_function(module, rare_case.result)}({parameters})")
        text.effect(f"ret {kind} {rare}")
        text.start("common")
        text.effect(f"ret {kind} {text.fresh(f'call {kind} {scalar_function(module, function)}({parameters})')}")
        attributes = f"alwaysinline memory(none) {module.function_attributes}"
        return f"define internal {kind} {symbol}({parameters}) {attributes} {{\n{text}\n}}"

    return module.once(("with rare case", function), f"{function.name}.all", write)
