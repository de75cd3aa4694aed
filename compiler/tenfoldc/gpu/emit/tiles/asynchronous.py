"""What sm_90 does beside its threads, as instructions: barriers in memory, the copy engine, products of warp groups.

The formats are those of NVIDIA's "Parallel Thread Execution ISA": sections "mbarrier", "cp.async.bulk.tensor",
"Matrix descriptor format" and "wgmma.mma_async".
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.emit.function_text import FunctionText
from tenfoldc.gpu.emit.tiles.turns import when
from tenfoldc.gpu.emit.tiles.words import Words
from tenfoldc.loops.tiles import Multiplier

GROUP_ROWS = 64
"""Rows of the lhs that a warp group multiplies at once."""

STEP_BYTES = 32
"""Depth of one product, in bytes of each line."""

_SWIZZLE_128 = 1 << 62
_EIGHT_RUNS = 8 * 128


class Barriers:
    """A ring of barriers in shared memory, eight bytes each, from `base` on."""

    def __init__(self, text: FunctionText, base: str) -> None:
        self.text, self.words, self.base = text, Words(text), base

    def at(self, number: str) -> str:
        """The address of a barrier."""
        return self.words.shared(self.base, self.words.scaled(number, 8))

    def start(self, number: int, arrivals: int) -> None:
        """Make a barrier that so many arrivals complete."""
        self.text.effect(
            f"call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) {self.at(str(number))}, i32 {arrivals})"
        )

    def expect(self, number: str, size: int) -> None:
        """Arrive, and have the barrier wait for `size` bytes too."""
        name = "llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta"
        self.text.fresh(f"call i64 @{name}(ptr addrspace(3) {self.at(number)}, i32 {size})")

    def arrive(self, number: str) -> None:
        name = "llvm.nvvm.mbarrier.arrive.scope.cta.space.cta"
        self.text.fresh(f"call i64 @{name}(ptr addrspace(3) {self.at(number)}, i32 1)")

    def wait(self, number: str, phase: str) -> None:
        """Wait until the phase of this parity is complete."""
        text, address = self.text, self.at(number)
        again, done = text.label("wait"), text.label("complete")
        text.branch(again)
        text.start(again)
        name = "llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta"
        text.branch_if(text.fresh(f"call i1 @{name}(ptr addrspace(3) {address}, i32 {phase})"), done, again)
        text.start(done)


class Ring:
    """Where in a ring of `stages` stages a thread is: the stage, and the parity of how often it has been around."""

    def __init__(self, text: FunctionText, stages: int) -> None:
        self.text, self.stages = text, stages

    def advanced(self, stage: str, parity: str) -> tuple[str, str]:
        text = self.text
        following = text.fresh(f"add nuw nsw i32 {stage}, 1")
        is_end = text.fresh(f"icmp eq i32 {following}, {self.stages}")
        turned = text.fresh(f"xor i32 {parity}, 1")
        return (
            text.fresh(f"select i1 {is_end}, i32 0, i32 {following}"),
            text.fresh(f"select i1 {is_end}, i32 {turned}, i32 {parity}"),
        )


def copy_box(text: FunctionText, target: str, tensor_map: str, place: Sequence[str], barrier: str) -> None:
    """Have the copy engine bring the box at `place`, i32 from the innermost axis on, and tell the barrier."""
    rank = len(place)
    coordinates = ", ".join(f"${number + 3}" for number in range(rank))
    name = f"cp.async.bulk.tensor.{rank}d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
    constraints = ",".join(["r", "l", "r", *["r"] * rank, "~{memory}"])
    words = [text.fresh(f"ptrtoint ptr addrspace(3) {address} to i32") for address in (target, barrier)]
    operands = ", ".join([f"i32 {words[0]}", f"ptr {tensor_map}", f"i32 {words[1]}", *(f"i32 {at}" for at in place)])
    code = f"{name} [$0], [$1, {{{coordinates}}}], [$2];"
    text.effect(f'call void asm sideeffect "{code}", "{constraints}"({operands}) convergent')


def descriptor(text: FunctionText, address: str, along_depth: bool, box_bytes: int) -> str:
    """What tells a product where a factor lies in shared memory, swizzled by 128 bytes.

    Runs of 128 bytes along the depth, eight lines after eight lines; or along the lines, eight depths after eight
    depths, and `box_bytes` on the next run of lines.
    """
    word = text.fresh(f"ptrtoint ptr addrspace(3) {address} to i32")
    start = text.fresh(f"and i32 {text.fresh(f'lshr i32 {word}, 4')}, 16383")
    leading = 1 if along_depth else box_bytes >> 4
    rest = _SWIZZLE_128 | (_EIGHT_RUNS >> 4) << 32 | leading << 16
    return text.fresh(f"or i64 {text.fresh(f'zext i32 {start} to i64')}, {rest}")


def step_of(along_depth: bool, dtype_bytes: int) -> int:
    """How much a descriptor grows from one step of the depth to the next."""
    return STEP_BYTES >> 4 if along_depth else (STEP_BYTES // dtype_bytes * 128) >> 4


class GroupProduct:
    """The product of a warp group's 64 rows by `columns` columns, one step of the depth at a time."""

    def __init__(
        self, text: FunctionText, multiplier: Multiplier, columns: int, *, along_depth: tuple[bool, bool]
    ) -> None:
        self.text, self.count = text, columns // 2
        self.kind = "{" + ", ".join(["float"] * self.count) + "}"
        name = multiplier.value
        depth = 8 if multiplier is Multiplier.TF32 else 16
        turned = "" if multiplier is Multiplier.TF32 else "".join(f", {int(not along)}" for along in along_depth)
        registers = ", ".join(f"${number}" for number in range(self.count))
        shape = f"m64n{columns}k{depth}.f32.{name}.{name}"
        lhs, rhs, flag = (f"${2 * self.count + number}" for number in range(3))
        self.code = (
            f"{{ .reg .pred p; setp.ne.b32 p, {flag}, 0; wgmma.mma_async.sync.aligned.{shape} "
            f"{{{registers}}}, {lhs}, {rhs}, p, 1, 1{turned}; }}"
        )
        tied = [str(number) for number in range(self.count)]
        self.constraints = ",".join(["=f"] * self.count + tied + ["l", "l", "r"])
        self.tied = ",".join(["=f"] * self.count + tied + ["~{memory}"])

    def step(self, lhs: str, rhs: str, sums: Sequence[str], adds: str) -> list[str]:
        """Begin one step; the sums before it count where `adds` is not 0."""
        operands = ", ".join([*(f"float {value}" for value in sums), f"i64 {lhs}", f"i64 {rhs}", f"i32 {adds}"])
        asm = f'call {self.kind} asm sideeffect "{self.code}", "{self.constraints}"({operands}) convergent'
        return self._parts(self.text.fresh(asm))

    def fence(self, sums: Sequence[str]) -> list[str]:
        """The sums, in the registers where products will find them."""
        return self._passed("wgmma.fence.sync.aligned;", sums)

    def commit(self) -> None:
        self.text.effect("call void @llvm.nvvm.wgmma.commit_group.sync.aligned()")

    def wait(self, pending: int) -> None:
        """Wait until at most so many groups of steps are not complete."""
        self.text.effect(f"call void @llvm.nvvm.wgmma.wait_group.sync.aligned(i64 {pending})")

    def finished(self, sums: Sequence[str]) -> list[str]:
        """The sums when all steps are complete; nothing reads them before."""
        return self._passed("wgmma.wait_group.sync.aligned 0;", sums)

    def _passed(self, code: str, sums: Sequence[str]) -> list[str]:
        """The sums after an instruction that orders what is done with their registers."""
        operands = ", ".join(f"float {value}" for value in sums)
        return self._parts(
            self.text.fresh(f'call {self.kind} asm sideeffect "{code}", "{self.tied}"({operands}) convergent')
        )

    def _parts(self, whole: str) -> list[str]:
        return [self.text.fresh(f"extractvalue {self.kind} {whole}, {number}") for number in range(self.count)]


def release(barriers: Barriers, number: str, condition: str) -> None:
    """Arrive at a barrier where `condition` is set."""
    when(barriers.text, condition, lambda: barriers.arrive(number))
