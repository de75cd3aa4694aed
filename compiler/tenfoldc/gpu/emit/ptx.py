"""LLVM text of kernels in, PTX out.

LLVM's back end for GPUs ends the process where it meets an intrinsic that it cannot write (an exponential, a power),
so all that a module calls is looked at first.
"""

from __future__ import annotations

import re

import llvmlite.binding as llvm

from tenfold_rt.errors import VerificationError
from tenfoldc.emit.object_code import initialise_all
from tenfoldc.target import Target

_INTRINSIC = re.compile(r"@(llvm\.[A-Za-z0-9_.]+)")

_KNOWN = re.compile(
    r"llvm\.(nvvm\..*"
    r"|(fma|sqrt|fabs|floor|ceil|trunc|roundeven|rint|nearbyint|copysign|maximum|minimum|maxnum|minnum)\.(f16|bf16|f32|f64)"
    r"|fpto[su]i\.sat\.i\d+\.f(32|64)"
    r"|(smax|smin|umax|umin|abs|ctpop|ctlz|cttz|bswap|bitreverse|fshl|fshr|uadd\.sat|usub\.sat)\.i\d+"
    r"|is\.fpclass\.f(32|64)|[su]cmp\.i\d+\.i\d+"
    r"|(lifetime\.(start|end)\.p\d|assume|memcpy\.p\d\.p\d\.i64|memset\.p\d\.i64))"
)
"""What the back end writes as instructions."""


def compile_ptx(text: str, target: Target) -> str:
    """The PTX of a module of kernels, optimised.  Safe to call from several threads.

    `VerificationError`, a defect of this compiler, where LLVM refuses the text or its back end would not write it.
    """
    _refuse_unknown(text, "")
    initialise_all()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=",".join(f"+{feature}" for feature in target.features), opt=3
    )
    header = f'target datalayout = "{machine.target_data}"\ntarget triple = "{target.triple}"\n'
    try:
        module = llvm.parse_assembly(header + text, context=llvm.create_context())
    except RuntimeError as error:
        raise VerificationError(f"LLVM refuses the code made for a GPU: {error}") from error
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = False
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    _refuse_unknown(str(module), ", which LLVM makes of the code")
    return machine.emit_assembly(module)


def _refuse_unknown(text: str, why: str) -> None:
    """`VerificationError` for a module that calls what the back end would not write."""
    unknown = sorted({name for name in _INTRINSIC.findall(text) if not _KNOWN.fullmatch(name)})
    if unknown:
        raise VerificationError(f"the back end for GPUs cannot write {', '.join(unknown)}{why}")
