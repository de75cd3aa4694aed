"""LLVM IR text and a target in; optimised text, assembly and position-independent object code out.

The only module that runs LLVM. Code generation for another CPU than the host's initialises all of LLVM's
targets, the first time only.  Object code refers to the functions it calls through the global offset
table, never through a procedure linkage table, because the object writer makes none.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass

import llvmlite.binding as llvm

from tenfold_rt.errors import RequestError, VerificationError
from tenfoldc.target import Target

_MODULE_FLAGS = """
!llvm.module.flags = !{!4294967290, !4294967291, !4294967292}
!4294967290 = !{i32 8, !"PIC Level", i32 2}
!4294967291 = !{i32 7, !"RtLibUseGOT", i32 1}
!4294967292 = !{i32 7, !"uwtable", i32 0}
"""

_INITIALISE = threading.Lock()


@dataclass(frozen=True, slots=True)
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
        return _machine(self.target).emit_assembly(module)


def compile_text(text: str, target: Target) -> CompiledText:
    """Optimise a module and generate object code for it.  Safe to call from several threads.

    `text` has no triple and no module flags.  Raises `VerificationError` where LLVM refuses the text, which
    is a defect of this compiler, and `RequestError` where LLVM does not know the target.
    """
    machine = _machine(target)
    header = f'target datalayout = "{machine.target_data}"\ntarget triple = "{target.triple}"\n'
    try:
        module = llvm.parse_assembly(header + text + _MODULE_FLAGS, context=llvm.create_context())
        module.verify()
    except RuntimeError as error:
        what = f"LLVM refuses the code made for it, a defect of this compiler: {error}"
        raise VerificationError(what, mend="please report it with the program that shows it") from error
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    options.slp_vectorization = True
    options.loop_interleaving = True
    options.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return CompiledText(machine.emit_object(module), target, str(module))


def _machine(target: Target) -> llvm.TargetMachine:
    """LLVM's code generator for `target`: position-independent, and not the JIT's code model."""
    features = ",".join(f"+{feature}" for feature in target.features)
    _initialise(target.triple)
    try:
        description = llvm.Target.from_triple(target.triple)
    except RuntimeError as error:
        raise RequestError(f"LLVM knows no target {target.triple}: {error}") from error
    return description.create_target_machine(cpu=target.cpu, features=features, opt=2, reloc="pic", codemodel="default")


@functools.cache
def _initialise_native() -> str:
    """Prepare code generation for this machine; the first word of its triple."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # Choices are written where data decide: as branches, into which LLVM makes some in loops, they are mispredicted.
    llvm.set_option("tenfold", "-x86-cmov-converter=false")
    return llvm.get_default_triple().partition("-")[0]


@functools.cache
def _initialise_all() -> None:
    """Prepare code generation for every machine that LLVM knows."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def _initialise(triple: str) -> None:
    with _INITIALISE:
        if _initialise_native() != triple.partition("-")[0]:
            _initialise_all()
