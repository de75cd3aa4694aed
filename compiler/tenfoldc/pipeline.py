"""The compiler from end to end: a module of tensor IR in, one shared library out.  Read this file first.

    tensor IR  ── widen ── simplify ── fuse ── lower ── schedule ── allocate ──  loop IR, buffers placed
               ── emit ──  LLVM IR  ── with the entries for C and Python ── optimise ──  object code
               ── link ──  one shared library

Each stage is one function, IR in, IR out; `_loops` runs those for one entry, `_code` those for the whole library.
An `Observer` is told of each stage as it ends: numbered dumps, progress and `stage_text` are nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tenfold_rt.manifest import Buffer as ManifestBuffer
from tenfold_rt.manifest import Entry, Manifest
from tenfold_rt.manifest import Kernel as ManifestKernel
from tenfold_rt.version import __version__
from tenfoldc.allocate import Usage, allocate, usage
from tenfoldc.artifact import abi
from tenfoldc.artifact.library import library as link
from tenfoldc.emit import (
    CompiledText,
    LlvmText,
    ObjectStore,
    Unit,
    compile_text,
    compile_units,
    divide,
    emit_programs,
)
from tenfoldc.fuse import fuse
from tenfoldc.ir.core import Function, Module, walk
from tenfoldc.ir.op import Kind
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.types import TensorType
from tenfoldc.ir.verifier import check_sizes, verify
from tenfoldc.loops.ir import Allocation, Kernel, Program, RequestMatrixUnit
from tenfoldc.loops.printer import print_program
from tenfoldc.loops.traversal import parallel_loops, walk_statements
from tenfoldc.loops.work import work
from tenfoldc.lower import cpu_rules, lower, with_common_panels
from tenfoldc.run import Observer, Run, function_text
from tenfoldc.schedule import schedule
from tenfoldc.simplify import simplify
from tenfoldc.target import Target
from tenfoldc.tuning import UNTUNED, Decisions, Tuning
from tenfoldc.widen import widen

GIL_WORK = 20_000
"""A call that touches or computes more elements than this lets other Python threads run meanwhile."""


def compile_module(
    module: Module,
    *,
    target: Target,
    library: str,
    observe: Observer | None = None,
    store: ObjectStore | None = None,
    timed: bool = False,
    tuning: Tuning = UNTUNED,
) -> tuple[bytes, Manifest]:
    """The shared library, named `library`, that holds the entries of `module` as native code for `target`.

    What the `store` has of it is not compiled again; `tuning` decides what was measured.  A `timed` library counts and
    times the calls of its kernels, which its manifest lists.  `VerificationError` where the module breaks a rule;
    `UnsupportedError` where it holds what is not compiled.
    """
    run = Run(observe)
    manifest, emitted, interface = _text(run, module, target, library, tuning, timed=timed)
    units = run.stage("divide", library, lambda: divide(emitted.parts, emitted.metadata, interface), _unit_texts)
    objects = run.stage("optimise", library, lambda: compile_units(units, target, store), lambda _: "")
    data = dict(emitted.external_data)
    return run.stage("link", library, lambda: link(objects, manifest, data), lambda _: ""), manifest


def compile_object(
    module: Module, *, target: Target, library: str, observe: Observer | None = None, tuning: Tuning = UNTUNED
) -> tuple[bytes, Manifest]:
    """The same code as a relocatable object for the system's linker; it defines what the library would export."""
    manifest, code = _code(Run(observe), module, target, library, tuning)
    return code.object_code, manifest


def stage_text(
    module: Module,
    stage: str,
    *,
    target: Target,
    library: str | None = None,
    observe: Observer | None = None,
    tuning: Tuning = UNTUNED,
) -> str:
    """What stage `"tensor"`, `"loops"`, `"llvm"` or `"asm"` makes of `module`, as text."""
    run = Run(observe)
    if stage == "tensor":
        return print_module(module)
    if stage == "loops":
        entries = [_loops(run, module, name, target, tuning) for name in module.entries]
        return "\n".join(print_program(program, allocation) for program, allocation in entries)
    _, code = _code(run, module, target, library or module.entries[0], tuning)
    return code.assembly() if stage == "asm" else code.optimised_text()


def memory_usage(module: Module, *, target: Target, tuning: Tuning = UNTUNED) -> list[Usage]:
    """How much memory each entry of `module` takes when it is called."""
    run = Run(None)
    return [usage(*_loops(run, module, name, target, tuning)) for name in module.entries]


def kernels(module: Module, *, target: Target, tuning: Tuning = UNTUNED) -> dict[str, tuple[Kernel, ...]]:
    """The kernels of each entry, which tell what measurement could decide otherwise."""
    run = Run(None)
    return {name: _loops(run, module, name, target, tuning)[0].kernels for name in module.entries}


def _loops(run: Run, module: Module, name: str, target: Target, tuning: Tuning) -> tuple[Program, Allocation]:
    """One entry of `module` as loops, its buffers placed."""
    widened = run.stage("widen", name, lambda: widen(module), print_module)
    check_sizes(widened)
    function = run.stage("simplify", name, lambda: simplify(widened, name), function_text)
    groups = run.stage("fuse", name, lambda: fuse(function), str)
    rules = cpu_rules(target, Decisions(tuning))
    program = run.stage("lower", name, lambda: with_common_panels(lower(function, groups, rules)), print_program)
    program = run.stage("schedule", name, lambda: schedule(program, target, tuning), print_program)
    allocation = run.stage("allocate", name, lambda: allocate(program), lambda a: print_program(program, a))
    return program, allocation


def _text(
    run: Run,
    module: Module,
    target: Target,
    library: str,
    tuning: Tuning,
    *,
    inline_data: bool = False,
    timed: bool = False,
) -> tuple[Manifest, LlvmText, str]:
    """LLVM IR for all entries of `module`, and that of their C and Python interface."""
    if run.settings.verify:
        verify(module)
    programs = [_loops(run, module, name, target, tuning) for name in module.entries]
    listed = {program.name: tuple(map(_kernel, program.kernels)) if timed else () for program, _ in programs}
    manifest = _manifest(module, target, library, listed)
    emitted = run.stage(
        "emit",
        library,
        lambda: emit_programs(programs, target, inline_data=inline_data, timed=timed),
        lambda e: e.text,
    )
    needs = {program.name: _needs(program, allocation, target) for program, allocation in programs}
    return manifest, emitted, abi.interface(manifest, needs)


def _code(run: Run, module: Module, target: Target, library: str, tuning: Tuning) -> tuple[Manifest, CompiledText]:
    """All of `module` as one module of LLVM's, constants and all."""
    manifest, emitted, interface = _text(run, module, target, library, tuning, inline_data=True)
    text = emitted.text + interface
    return manifest, run.stage("optimise", library, lambda: compile_text(text, target), lambda c: c.optimised_text())


def _unit_texts(units: Sequence[Unit]) -> str:
    return "\n".join(f"; unit {number}\n{unit.text}" for number, unit in enumerate(units))


def _needs(program: Program, allocation: Allocation, target: Target) -> abi.Needs:
    shared = any(map(_is_shared, program.kernels))
    asks = not target.emulates_tiles and any(map(_asks_for_tiles, program.kernels))
    return abi.Needs(allocation.workspace_bytes, allocation.private_bytes, shared, asks)


def _asks_for_tiles(kernel: Kernel) -> bool:
    return any(isinstance(statement, RequestMatrixUnit) for statement in walk_statements(kernel.body))


def _is_shared(kernel: Kernel) -> bool:
    """Whether threads share loops of `kernel`."""
    return any(True for _ in parallel_loops(kernel.body))


def _kernel(kernel: Kernel) -> ManifestKernel:
    done = work(kernel)
    counts = (None, None, None) if done is None else (done.f32_flops, done.f64_flops, done.bytes)
    return ManifestKernel(kernel.name, kernel.location, _is_shared(kernel), *counts)


def _manifest(
    module: Module, target: Target, library: str, kernels: Mapping[str, tuple[ManifestKernel, ...]]
) -> Manifest:
    return Manifest(
        library=library,
        version=__version__,
        triple=target.triple,
        cpu=target.cpu,
        features=target.required_features,
        entries=tuple(_entry(module[name], kernels[name]) for name in module.entries),
    )


def _entry(function: Function, kernels: tuple[ManifestKernel, ...]) -> Entry:
    parameters = _buffers("arg", function.parameter_names, function.type.parameters)
    results = _buffers("result", function.result_names, function.type.results)
    return Entry(function.name, parameters, results, function.donated, _is_long(function), function.doc, kernels)


def _buffers(kind: str, names: Sequence[str], types: Sequence[TensorType]) -> tuple[ManifestBuffer, ...]:
    labels = names or [f"{kind}{number}" for number in range(len(types))]
    return tuple(
        ManifestBuffer(label, type_.dtype, tuple(dim if isinstance(dim, int) else dim.name for dim in type_.shape))
        for label, type_ in zip(labels, types, strict=True)
    )


def _is_long(function: Function) -> bool:
    """Whether a call takes long enough (some 10 microseconds) that giving up the GIL is worth its price."""
    touched = 0
    for operation in walk(function.body):
        if operation.op.kind in (Kind.CONTRACTION, Kind.SORT, Kind.LINEAR_ALGEBRA, Kind.CONTROL):
            return True
        touched += sum(result.type.size for result in operation.results)
        if touched > GIL_WORK:
            return True
    return False
