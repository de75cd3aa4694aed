"""Small libraries for tests: IR text written by hand in, a linked and loaded library out."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import llvmlite.binding as llvm

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.load import Library, load
from tenfold_rt.manifest import Buffer, Entry, Manifest
from tenfoldc.artifact import abi
from tenfoldc.artifact.library import library

X86_64, AARCH64 = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
FLAGS = """
!llvm.module.flags = !{!0, !1}
!0 = !{i32 7, !"RtLibUseGOT", i32 1}
!1 = !{i32 8, !"PIC Level", i32 2}
"""


@functools.cache
def _machine(triple: str, level: int) -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple)
    cpu = "x86-64-v2" if triple == X86_64 else "generic"
    return target.create_target_machine(cpu=cpu, opt=level, reloc="pic", codemodel="default")


def compile_text(text: str, triple: str = X86_64, flags: str = FLAGS, level: int = 2) -> bytes:
    """Object code for a module's text."""
    machine = _machine(triple, level)
    head = f'target triple = "{triple}"\ntarget datalayout = "{machine.target_data}"\n'
    module = llvm.parse_assembly(head + text + flags)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


def manifest(*entries: Entry, name: str = "demo", **changes: object) -> Manifest:
    """A manifest for the least of targets."""
    fields: dict[str, object] = {
        "library": name,
        "version": "0.1.0",
        "triple": X86_64,
        "cpu": "x86-64",
        "features": (),
        "entries": entries,
    }
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


def buffer(name: str, dtype: DType = dtypes.f32, *shape: int | str) -> Buffer:
    return Buffer(name, dtype, shape)


def build(
    text: str,
    described: Manifest,
    workspace: Mapping[str, int] | None = None,
    data: Mapping[str, bytes] | None = None,
    needs: Mapping[str, abi.Needs] | None = None,
) -> bytes:
    """The library for implementations `text`."""
    wanted = {entry.name: abi.Needs((workspace or {}).get(entry.name, 0)) for entry in described.entries}
    return library([compile_text(text + abi.interface(described, wanted | dict(needs or {})))], described, data)


def build_and_load(
    directory: Path, text: str, described: Manifest, workspace: Mapping[str, int] | None = None
) -> Library:
    path = directory / f"lib{described.library}.so"
    path.write_bytes(build(text, described, workspace))
    return load(path)


def elementwise(name: str, operation: str, count: int, *, inputs: int = 2, status: str = "0") -> str:
    """An implementation over f32: `operation` computes %v from the elements %e0, %e1, …"""
    pointers = "".join(f", ptr %p{i}" for i in range(inputs))
    loads = "".join(
        f"  %a{i} = getelementptr float, ptr %p{i}, i64 %i\n  %e{i} = load float, ptr %a{i}\n" for i in range(inputs)
    )
    return f"""
define internal i32 @"{name}.impl"(ptr %team, ptr %workspace{pointers}, ptr %r0) nounwind {{
entry:
  %none = icmp eq i64 {count}, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
{loads}  %v = {operation}
  %ar = getelementptr float, ptr %r0, i64 %i
  store float %v, ptr %ar
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, {count}
  br i1 %more, label %loop, label %done
done:
  ret i32 {status}
}}
"""


def add_entry(name: str, *shape: int, **changes: object) -> Entry:
    """Two f32 tensors in, one out."""
    parameters = (buffer("x", dtypes.f32, *shape), buffer("y", dtypes.f32, *shape))
    return Entry(name, parameters, (buffer("sum", dtypes.f32, *shape),), **changes)  # type: ignore[arg-type]
