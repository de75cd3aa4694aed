"""`tenfold inspect`: a file in, lines for a person out.

For a source file they are a table of the memory that its functions take, and for a GPU of its kernels too; for a
library, what it was made for, its functions, and a table of the kernels for GPUs that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tenfold.cli.compiling import target_name
from tenfold.cli.sources import read_module
from tenfold.export import gpu_libraries
from tenfold.program import compiler, known_tuning, refuse_uncompiled
from tenfold_rt.errors import RequestError
from tenfold_rt.library_file import read_manifest
from tenfold_rt.manifest import Buffer, Entry, GpuCode, Manifest
from tenfoldc import target as targets

_COLUMNS = ("entry", "parameters", "results", "constants", "workspace", "live", "thread", "peak")
_GPU_COLUMNS = ("entry", "parameters", "results", "constants", "workspace")
_KERNEL_COLUMNS = ("kernel", "registers", "shared", "spilled", "from")
_UNITS = ("B", "KiB", "MiB", "GiB")


def findings(source: str, arguments: Sequence[str], target: str = "cpu") -> Iterator[str]:
    """The lines for a source file or a library; `TenfoldError` where it is neither."""
    if Path(source).suffix != ".so":
        machine = target_name(target, "native")
        return memory(source, arguments) if target == "cpu" else kernels(source, arguments, machine)
    if arguments:
        raise RequestError("--arg gives types to Python functions", mend=f"{source} is compiled")
    if target != "cpu":
        raise RequestError(f"--target {target} is for files that are compiled", mend=f"{source} has its target")
    manifest, _ = read_manifest(Path(source))
    return contents(manifest)


def memory(source: str, arguments: Sequence[str]) -> Iterator[str]:
    """The lines of the table; `TenfoldError` where `source` cannot be compiled."""
    module, _ = read_module(source, arguments)
    refuse_uncompiled(module)
    rows: list[tuple[str, ...]] = [_COLUMNS]
    machine = targets.host()
    for use in compiler().memory_usage(module, target=machine, tuning=known_tuning(machine)):
        sizes = (use.parameters, use.results, use.constants, use.workspace, use.live, use.per_thread, use.peak)
        rows.append((use.entry, *map(_amount, sizes)))
    yield from _table(rows)


def kernels(source: str, arguments: Sequence[str], target: str) -> Iterator[str]:
    """What each function takes of a GPU's memory, and each kernel of a multiprocessor."""
    module, _ = read_module(source, arguments)
    refuse_uncompiled(module)
    made = gpu_libraries().inspect(module, targets.named(target))
    rows: list[tuple[str, ...]] = [_GPU_COLUMNS]
    for use in made.entries:
        rows.append((use.entry, *map(_amount, (use.parameters, use.results, use.constants, use.workspace))))
    yield from _table(rows)
    yield from _kernels(made.code)


def contents(manifest: Manifest) -> Iterator[str]:
    """What a library holds."""
    yield f"library  {manifest.library}, made by Tenfold {manifest.version}"
    yield f"target   {manifest.triple}, {manifest.cpu}"
    if manifest.gpu is not None:
        yield f"GPU      {manifest.gpu.architecture}, as {' and '.join(manifest.gpu.forms)}"
    for entry in manifest.entries:
        yield f"entry    {_signature(entry)}"
    if manifest.gpu is not None:
        yield from _kernels(manifest.gpu)


def _kernels(code: GpuCode) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [_KERNEL_COLUMNS]
    for kernel in code.kernels:
        sizes = ("?" if size is None else _amount(size) for size in (kernel.shared_bytes, kernel.spilled_bytes))
        registers = "?" if kernel.registers is None else str(kernel.registers)
        rows.append((kernel.name, registers, *sizes, kernel.location))
    yield from _table(rows)


def _signature(entry: Entry) -> str:
    parameters, results = (", ".join(map(_buffer, buffers)) for buffers in (entry.parameters, entry.results))
    return f"{entry.name}({parameters}) -> ({results})"


def _buffer(buffer: Buffer) -> str:
    return f"{buffer.name}: {buffer.dtype.name}[{', '.join(map(str, buffer.shape))}]"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows whose first column is flush left and whose others are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *padded])


def _amount(size: int) -> str:
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.4g} {_UNITS[unit]}"
