"""Programs for GPUs as libraries to ship: a module of tensor IR in, one shared object out, and nothing beside it.

tensor IR  ── `compile_plan` ──  PTX and steps  ── assemble ──  machine code, where an assembler is at hand
           ── code for the CPU that loads and starts the kernels ── optimise ── link ──  one shared library
"""

from __future__ import annotations

from tenfold_rt.cuda.plan import Plan
from tenfold_rt.frozen import frozen
from tenfold_rt.manifest import Entry, GpuCode, GpuKernel, Manifest
from tenfoldc.artifact.gpu import Images, interface
from tenfoldc.artifact.library import library as link
from tenfoldc.artifact.python_entry import byte_size
from tenfoldc.emit import compile_text
from tenfoldc.gpu.assemble import Assembled, assemble
from tenfoldc.gpu.pipeline import compile_plan
from tenfoldc.ir.core import Module
from tenfoldc.run import Observer, Run
from tenfoldc.target import Target, least_host


def compile_library(
    module: Module, *, target: Target, library: str, observe: Observer | None = None
) -> tuple[bytes, Manifest]:
    """The shared library, named `library`, with the entries of `module` as kernels for the GPUs of `target`.

    It runs on every processor of this machine's family.  Errors are those of `compile_plan`.
    """
    return library_of_plan(compile_plan(module, target=target, library=library, observe=observe), observe)


def library_of_plan(plan: Plan, observe: Observer | None = None) -> tuple[bytes, Manifest]:
    """The shared library that carries out `plan`."""
    run, name = Run(observe), plan.library
    assembled = run.stage("assemble", name, lambda: assemble(plan.ptx, plan.architecture), lambda _: "")
    images = Images(b"" if assembled is None else assembled.cubin, plan.ptx, plan.constants)
    host = least_host()
    manifest = _manifest(plan, host, gpu_code(plan, assembled))
    text = run.stage("interface", name, lambda: interface(plan, manifest, images), str)
    code = run.stage("optimise", name, lambda: compile_text(text, host), lambda c: c.optimised_text())
    return run.stage("link", name, lambda: link([code.object_code], manifest, images.data), lambda _: ""), manifest


@frozen
class EntryUse:
    """How many bytes of a GPU's memory one entry takes; the constants are shared by all entries of a library."""

    entry: str
    parameters: int
    results: int
    constants: int
    workspace: int


@frozen
class Inspected:
    """What a program takes of a GPU."""

    entries: tuple[EntryUse, ...]
    code: GpuCode


def inspect(module: Module, target: Target) -> Inspected:
    """What the entries of `module` take when they are called, and their kernels."""
    plan = compile_plan(module, target=target, library=module.entries[0])
    return Inspected(
        tuple(
            EntryUse(
                entry.name,
                sum(map(byte_size, entry.parameters)),
                sum(map(byte_size, entry.results)),
                len(plan.constants),
                entry.workspace_bytes,
            )
            for entry in plan.entries
        ),
        gpu_code(plan, assemble(plan.ptx, plan.architecture)),
    )


def gpu_code(plan: Plan, assembled: Assembled | None) -> GpuCode:
    """What the kernels of `plan` are and take, as a manifest says it."""
    known = {} if assembled is None else assembled.kernels
    kernels: list[GpuKernel] = []
    for kernel in plan.kernels:
        use = known.get(kernel.name)
        takes = (None, None, None) if use is None else (use.registers, use.shared_bytes, use.spill_stores)
        kernels.append(GpuKernel(kernel.name, kernel.location, *takes))
    return GpuCode(plan.architecture, ("ptx",) if assembled is None else ("cubin", "ptx"), tuple(kernels))


def _manifest(plan: Plan, host: Target, code: GpuCode) -> Manifest:
    entries = tuple(
        Entry(entry.name, entry.parameters, entry.results, entry.donated, True, entry.doc) for entry in plan.entries
    )
    return Manifest(plan.library, plan.version, host.triple, host.cpu, host.features, entries, code)
