"""LLVM IR text and a target in; optimised text, assembly and position-independent object code out.

The only module that runs LLVM. Code generation for another CPU than the host's initialises all of LLVM's
targets, the first time only.  Object code refers to the functions it calls through the global offset
table, never through a procedure linkage table, because the object writer makes none.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import llvmlite
import llvmlite.binding as llvm

from tenfold_rt.errors import RequestError, VerificationError
from tenfold_rt.frozen import frozen
from tenfold_rt.version import __version__
from tenfoldc.emit.units import Effort, Unit
from tenfoldc.target import Target

_MODULE_FLAGS = """
!llvm.module.flags = !{!4294967290, !4294967291, !4294967292}
!4294967290 = !{i32 8, !"PIC Level", i32 2}
!4294967291 = !{i32 7, !"RtLibUseGOT", i32 1}
!4294967292 = !{i32 7, !"uwtable", i32 0}
"""

_INITIALISE = threading.Lock()

_OPTIONS = (
    # Choices are written where data decide: as branches, into which LLVM makes some in loops, they are mispredicted.
    "-x86-cmov-converter=false",
    # The scheduler compares each access to memory with those before it, in blocks of up to so many with all of them.
    "-dag-maps-huge-region=200",
    # Peeling the last turn of a loop fails an assertion of LLVM's where a choice depends on two bounds of the index.
    "-unroll-allow-peeling=false",
    # A load that the turn before has done is not taken over from it: the turns of a vector are to be independent.
    "-enable-load-in-loop-pre=false",
)
"""LLVM has these for the whole process, and no attributes that would say them of a function."""

_VERSIONS = (__version__, llvmlite.__version__, *llvm.llvm_version_info)


class ObjectStore(Protocol):
    """Object code that is kept from run to run, by the digest of what it was made from."""

    def read(self, key: str) -> bytes | None:
        """What was written under `key`, if it is still there."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Keep `data`, or do nothing where that cannot be done."""
        ...


@frozen
class ObjectCode:
    """The machine code of a unit, and the names of the symbols that are numbered in it."""

    code: bytes
    names: Mapping[str, str]


@frozen
class CompiledText:
    """One module after optimisation, as an object file and as LLVM IR."""

    object_code: bytes
    target: Target
    optimised: str

    def optimised_text(self) -> str:
        """The module as LLVM IR after optimisation."""
        return self.optimised

    def assembly(self) -> str:
        """The module as assembly, generated anew."""
        module = llvm.parse_assembly(self.optimised, context=llvm.create_context())
        return _machine(self.target, Effort.ALL).emit_assembly(module)


def compile_text(text: str, target: Target) -> CompiledText:
    """Optimise a module and generate object code for it.  Safe to call from several threads.

    `text` has no triple and no module flags.  Raises `VerificationError` where LLVM refuses the text, which
    is a defect of this compiler, and `RequestError` where LLVM does not know the target.
    """
    machine = _machine(target, Effort.ALL)
    module = _optimised(text, target, machine, Effort.ALL)
    return CompiledText(_emit(machine, module), target, str(module))


def compile_units(units: Sequence[Unit], target: Target, store: ObjectStore | None = None) -> list[ObjectCode]:
    """The machine code of each of `units`: equal ones are compiled once, and those that `store` has not at all.

    All processors of this process take part.  Errors are as of `compile_text`.  After one, or a Ctrl-C, only the units
    that LLVM has begun are finished.
    """
    _machine(target, Effort.ALL)
    longest_first = sorted({unit.text: unit.effort for unit in units}.items(), key=lambda item: -len(item[0]))
    remaining = iter(longest_first)
    processors = sorted(os.sched_getaffinity(0))
    workers = min(len(longest_first), len(processors))

    def share(worker: int) -> dict[str, bytes]:
        """What one thread makes of those that remain."""
        _move_to(processors[worker], processors)
        machines = {effort: _machine(target, effort) for effort in Effort}
        return {text: _kept(text, target, machines[effort], effort, store) for text, effort in remaining}

    with ThreadPoolExecutor(workers) as threads:
        try:
            codes = {text: code for made in threads.map(share, range(workers)) for text, code in made.items()}
        finally:
            longest_first.clear()  # which ends the iteration
    return [ObjectCode(codes[unit.text], unit.names) for unit in units]


def _move_to(processor: int, allowed: Sequence[int]) -> None:
    """Have this thread run on `processor` now, and later on any that is `allowed`.

    Threads begin where the one that starts them runs, and the kernel can leave them there together for a second.
    """
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {processor})
        os.sched_setaffinity(0, allowed)


def _kept(text: str, target: Target, machine: llvm.TargetMachine, effort: Effort, store: ObjectStore | None) -> bytes:
    """Object code from the `store`, or made and put there."""
    if store is None:
        return _emit(machine, _optimised(text, target, machine, effort))
    made_from = "\0".join(
        [text, effort.value, target.triple, target.cpu, *target.features, *_OPTIONS, *map(str, _VERSIONS)]
    )
    key = hashlib.sha256(made_from.encode()).hexdigest()
    code = store.read(key)
    if code is None:
        code = _emit(machine, _optimised(text, target, machine, effort))
        store.write(key, code)
    return code


def _optimised(text: str, target: Target, machine: llvm.TargetMachine, effort: Effort) -> llvm.ModuleRef:
    header = f'target datalayout = "{machine.target_data}"\ntarget triple = "{target.triple}"\n'
    try:
        module = llvm.parse_assembly(header + text + _MODULE_FLAGS, context=llvm.create_context())
    except RuntimeError as error:
        what = f"LLVM refuses the code made for it, a defect of this compiler: {error}"
        raise VerificationError(what, mend="please report it with the program that shows it") from error
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    options.slp_vectorization = True
    options.loop_interleaving = True
    options.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, options)
    manager = builder.getModulePassManager() if effort is Effort.ALL else llvm.create_new_module_pass_manager()
    if effort is not Effort.ALL:
        manager.add_always_inliner_pass()
    if effort is Effort.TIDY:
        manager.add_sroa_pass()
        manager.add_simplify_cfg_pass()
        manager.add_loop_rotate_pass()
        manager.add_instruction_combine_pass()
        manager.add_simplify_cfg_pass()
    _run_passes(manager, module, builder)
    return module


def _emit(machine: llvm.TargetMachine, module: llvm.ModuleRef) -> bytes:
    with llvm.ffi.OutputString() as error:
        buffer = _emit_to_memory(machine, module, 1, error)
        if not buffer:
            raise VerificationError(f"LLVM cannot make object code: {error}")
    try:
        return ctypes.string_at(llvm.ffi.lib.LLVMPY_GetBufferStart(buffer), llvm.ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        llvm.ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _unlocked(name: str) -> Callable[..., Any]:
    """A function of llvmlite's library without the lock by which llvmlite lets one thread in at a time.

    LLVM wants that only of threads that share a context, which ours never do.
    """
    library = ctypes.CDLL(str(Path(llvm.__file__).with_name(llvm.ffi.get_library_name())))
    function, locked = library[name], getattr(llvm.ffi.lib, name)
    function.argtypes, function.restype = locked.argtypes, locked.restype
    return function


_run_passes = _unlocked("LLVMPY_RunNewModulePassManager")
_emit_to_memory = _unlocked("LLVMPY_TargetMachineEmitToMemory")


def _machine(target: Target, effort: Effort) -> llvm.TargetMachine:
    """LLVM's code generator for `target`: position-independent, and not the JIT's code model."""
    opt = 0 if effort is Effort.NONE else 2
    features = ",".join(f"+{feature}" for feature in target.llvm_features)
    _initialise(target.triple)
    try:
        description = llvm.Target.from_triple(target.triple)
    except RuntimeError as error:
        raise RequestError(f"LLVM knows no target {target.triple}: {error}") from error
    return description.create_target_machine(
        cpu=target.cpu, features=features, opt=opt, reloc="pic", codemodel="default"
    )


@functools.cache
def _initialise_native() -> str:
    """Prepare code generation for this machine; the first word of its triple."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for option in _OPTIONS:
        llvm.set_option("tenfold", option)
    return llvm.get_default_triple().partition("-")[0]


@functools.cache
def _initialise_all() -> None:
    """Prepare code generation for every machine that LLVM knows."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def initialise_all() -> None:
    """Prepare code generation for every machine that LLVM knows, if that is not done yet."""
    with _INITIALISE:
        _initialise_native()
        _initialise_all()


def _initialise(triple: str) -> None:
    with _INITIALISE:
        if _initialise_native() != triple.partition("-")[0]:
            _initialise_all()
