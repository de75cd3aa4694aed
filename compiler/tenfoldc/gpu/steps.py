"""A program of launches, its buffers placed, becomes the steps of a plan's entry; its kernels are written with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tenfold_rt.cuda import plan
from tenfold_rt.cuda.plan import HostAxis, KernelInfo, Place, Region, Step
from tenfold_rt.errors import VerificationError
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.gpu.emit import kernel_text
from tenfoldc.gpu.tensor_maps import RUN_BYTES, FactorMap
from tenfoldc.loops.ir import (
    Allocation,
    Axis,
    Buffer,
    Constant,
    Expr,
    For,
    If,
    Kernel,
    Launch,
    Load,
    Program,
    ReadTape,
    Statement,
    While,
    WriteTape,
)
from tenfoldc.loops.work import work

_ALIGNMENT = 64


@dataclass(slots=True)
class Constants:
    """The constants of all entries, one after the other; equal ones are kept once."""

    data: bytearray = field(default_factory=bytearray)
    known: dict[bytes, int] = field(default_factory=dict[bytes, int])

    def place(self, content: bytes) -> Place:
        """Where `content` is."""
        if content not in self.known:
            self.data.extend(bytes(-len(self.data) % _ALIGNMENT))
            self.known[content] = len(self.data)
            self.data.extend(content)
        return Place(Region.CONSTANTS, 0, self.known[content])


class StepWriter:
    """Writes the kernels and the steps of one program into `module`."""

    def __init__(self, module: ModuleText, program: Program, allocation: Allocation, constants: Constants) -> None:
        self.infos: dict[str, KernelInfo] = {}
        """What is known of the kernels, by name."""
        self._module = module
        self._program = program
        self._tapes = {tape: number for number, tape in enumerate(program.tapes)}
        self._axes: dict[Axis, str] = {}
        memory = {b: Place(Region.PARAMETER, number, 0) for number, b in enumerate(program.parameters)}
        memory |= {b: Place(Region.RESULT, number, 0) for number, b in enumerate(program.results)}
        for parameter, result in program.donated:
            memory[program.parameters[parameter]] = memory[program.results[result]]
        memory |= {b: constants.place(np.ascontiguousarray(a).tobytes()) for b, a in program.constants.items()}
        memory |= {b: Place(Region.WORKSPACE, 0, offset) for b, offset in allocation.offsets.items()}
        self._memory = memory

    def steps(self) -> tuple[Step, ...]:
        """The steps of the whole program."""
        return tuple(step for kernel in self._program.kernels for step in self._block(kernel.body, kernel))

    def _block(self, statements: Sequence[Statement], kernel: Kernel) -> list[Step]:
        return [self._step(statement, kernel) for statement in statements]

    def _step(self, statement: Statement, kernel: Kernel) -> Step:
        match statement:
            case Launch():
                return self._launch(statement, kernel)
            case For(extent=Constant() as extent):
                name = self._axes.setdefault(statement.axis, f"{statement.axis.name}{len(self._axes)}")
                return plan.Repeat(name, int(extent.value), tuple(self._block(statement.body, kernel)))
            case While(turns=int(count)):
                name = self._axes.setdefault(Axis("turn"), f"turn{len(self._axes)}")
                return plan.Repeat(name, count, tuple(self._block(statement.body, kernel)))
            case While(condition=Load(buffer=flag)):
                return plan.Loop(self._place(flag), tuple(self._block(statement.body, kernel)))
            case If(condition=Load(buffer=flag)):
                branches = (tuple(self._block(b, kernel)) for b in (statement.then, statement.otherwise))
                return plan.Choose(self._place(flag), *branches)
            case WriteTape(place=Load(buffer=cell), source=moved):
                return plan.WriteTape(self._tapes[statement.tape], self._place(cell), self._place(moved), moved.nbytes)
            case ReadTape(place=Load(buffer=cell), target=moved):
                return plan.ReadTape(self._tapes[statement.tape], self._place(cell), self._place(moved), moved.nbytes)
            case _:
                raise VerificationError(f"{kernel.name}: {type(statement).__name__} is nothing that a host does")

    def _launch(self, launch: Launch, kernel: Kernel) -> Step:
        name = f"{self._program.name}_{kernel.name}_{launch.name}"
        text = kernel_text(self._module, name, launch, self._memory)
        axes = [HostAxis(self._axes[axis]) for axis in text.axes]
        places = [self._place(buffer) for buffer in text.buffers]
        done = work(Kernel(text.name, (launch,), kernel.scratch))
        counts = (None, None, None) if done is None else (done.f32_flops, done.f64_flops, done.bytes)
        self.infos[text.name] = KernelInfo(text.name, kernel.location, *counts)
        arguments = (*places, *axes, *(self._tensor_map(own) for own in text.maps))
        return plan.Launch(text.name, _number(launch.blocks, kernel), launch.threads, text.shared_bytes, arguments)

    def _tensor_map(self, own: FactorMap) -> plan.TensorMap:
        place, size = self._place(own.buffer), own.buffer.dtype.itemsize
        return plan.TensorMap(
            replace(place, offset=place.offset + own.offset * size),
            own.buffer.dtype.name,
            own.shape,
            tuple(stride * size for stride in own.strides[1:]),
            own.box,
            RUN_BYTES,
        )

    def _place(self, buffer: Buffer) -> Place:
        return self._memory[buffer.storage]


def _number(blocks: Expr, kernel: Kernel) -> int:
    if not isinstance(blocks, Constant):
        raise VerificationError(f"{kernel.name}: how many blocks a launch has is not known")
    return int(blocks.value)
