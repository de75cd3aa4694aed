"""The compiler for GPUs from end to end: a module of tensor IR in, a plan out.

    tensor IR  ── widen ── simplify ── fuse ── lower ── schedule ── allocate ──  launches, buffers placed
               ── emit ──  LLVM IR of kernels, steps  ── optimise ──  PTX

What comes before `lower` is the CPU's; lowering takes the rules of `tenfoldc.gpu.lower`.
"""

from __future__ import annotations

from tenfold_rt.cuda.plan import KernelInfo, Plan, PlanEntry
from tenfold_rt.frozen import frozen
from tenfold_rt.manifest import Buffer as ManifestBuffer
from tenfold_rt.version import __version__
from tenfoldc.allocate import allocate
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.fuse import fuse
from tenfoldc.gpu.emit import compile_ptx
from tenfoldc.gpu.lower import gpu_rules
from tenfoldc.gpu.schedule import schedule
from tenfoldc.gpu.steps import Constants, StepWriter
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.verifier import check_sizes, verify
from tenfoldc.loops.ir import Allocation, Program
from tenfoldc.loops.printer import print_program
from tenfoldc.lower import lower
from tenfoldc.run import Observer, Run, function_text
from tenfoldc.simplify import simplify
from tenfoldc.target import Target
from tenfoldc.widen import widen


@frozen
class _Emitted:
    """LLVM text of all kernels, with the entries that launch them."""

    text: str
    entries: tuple[PlanEntry, ...]
    kernels: tuple[KernelInfo, ...]
    constants: bytes


def compile_plan(module: Module, *, target: Target, library: str, observe: Observer | None = None) -> Plan:
    """The entries of `module` as kernels for the GPUs of `target`, in PTX, and the steps that launch them.

    `VerificationError` where the module breaks a rule; `UnsupportedError` where it holds what is not compiled.
    """
    run = Run(observe)
    emitted = _emitted(run, module, target, library)
    ptx = run.stage("optimise", library, lambda: compile_ptx(emitted.text, target), str)
    return Plan(library, __version__, target.cpu, ptx, emitted.constants, emitted.entries, emitted.kernels)


def stage_text(
    module: Module, stage: str, *, target: Target, library: str | None = None, observe: Observer | None = None
) -> str:
    """What stage `"tensor"`, `"loops"`, `"llvm"` or `"asm"` (PTX) makes of `module`, as text."""
    run = Run(observe)
    if stage == "tensor":
        return print_module(module)
    if stage == "loops":
        entries = [_loops(run, module, name, target) for name in module.entries]
        return "\n".join(print_program(program, allocation) for program, allocation in entries)
    emitted = _emitted(run, module, target, library or module.entries[0])
    return emitted.text if stage == "llvm" else compile_ptx(emitted.text, target)


def _loops(run: Run, module: Module, name: str, target: Target) -> tuple[Program, Allocation]:
    """One entry of `module` as launches, its buffers placed."""
    widened = run.stage("widen", name, lambda: widen(module), print_module)
    check_sizes(widened)
    function = run.stage("simplify", name, lambda: simplify(widened, name), function_text)
    groups = run.stage("fuse", name, lambda: fuse(function), str)
    program = run.stage("lower", name, lambda: lower(function, groups, gpu_rules(target)), print_program)
    program = run.stage("schedule", name, lambda: schedule(program), print_program)
    allocation = run.stage("allocate", name, lambda: allocate(program), lambda a: print_program(program, a))
    return program, allocation


def _emitted(run: Run, module: Module, target: Target, library: str) -> _Emitted:
    if run.settings.verify:
        verify(module)
    programs = [(module[name], *_loops(run, module, name, target)) for name in module.entries]
    return run.stage("emit", library, lambda: _emit(programs, target), lambda emitted: emitted.text)


def _emit(programs: list[tuple[Function, Program, Allocation]], target: Target) -> _Emitted:
    text, constants = ModuleText(target, inline_data=True), Constants()
    entries: list[PlanEntry] = []
    kernels: dict[str, KernelInfo] = {}
    for function, program, allocation in programs:
        writer = StepWriter(text, program, allocation, constants)
        steps = writer.steps()
        kernels |= writer.infos
        parameters, results = (
            tuple(ManifestBuffer(b.name, b.dtype, b.shape) for b in buffers)
            for buffers in (program.parameters, program.results)
        )
        size, tapes = allocation.workspace_bytes, len(program.tapes)
        entries.append(
            PlanEntry(function.name, parameters, results, function.donated, size, tapes, steps, function.doc)
        )
    return _Emitted(str(text), tuple(entries), tuple(kernels.values()), bytes(constants.data))
