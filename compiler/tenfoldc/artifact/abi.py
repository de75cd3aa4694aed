"""The library's interface as LLVM IR text, to be appended to the text of the compiled module.

**In.** The emission stage defines, for each entry of the manifest,

    define internal i32 @"NAME.impl"(ptr %team, ptr %workspace, ptr %p0, …, ptr %r0, …)

with the parameters, then the results, as pointers to dense row-major data (a bool is one byte), aligned to
their elements and no more; and a workspace of the promised size, 64-byte aligned (null where the size is 0).
The team is null, for one thread, or what `@tenfold.parallel` takes (see `team_text`).
It returns a `Status`.  A result that is donated may be at its parameter's address; nothing else overlaps.
NAME is the entry's name as it stands in the manifest (see `implementation`).

**Out.** Per entry `NAME`, `NAME_ctx` and `NAME_workspace`; per library `LIBRARY_manifest`, `LIBRARY_status`
and `LIBRARY_python` (see `python_entry`), under the names that `tenfold_rt.c_names` gives.  Where the manifest has
kernels, `LIBRARY_times` too, a table of the addresses of `@"NAME.times"` (see `tenfoldc.emit.timing`).

**What the emitted module must be.**

- Its target machine has `reloc="pic"` and `codemodel="default"` (llvmlite's default is the JIT's).
- `target triple` and `target datalayout` are set.  No thread-local variables, ifuncs, or
  `@llvm.global_ctors`.
- It does not declare what is declared here, `DECLARED`; it may refer to them.  No name starts with `tenfold.`
- Functions of libc and libm that it declares are best marked `nonlazybind`, and the module `!{i32 7,
  !"RtLibUseGOT", i32 1}`: calls then go through the table at once, else by way of a stub (a nanosecond).
- Large constants may be `external hidden constant`s, whose bytes `elf.link` is given as `data`.

**Workspace.**  It comes from the context if that has one, else from the context's allocator, else it is the
library's own block: a block as large as the largest entry needs, or as this call's threads need, taken from one
place by an atomic exchange, allocated if the place is empty, put back by an exchange, and freed if another call put
back its own first.
So calls from many threads never wait, and one block is kept, until the library is unloaded.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenfold_rt.c_names import EntryNames, LibraryNames, library_names
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArtifactError, UnsupportedError
from tenfold_rt.frozen import frozen
from tenfold_rt.manifest import NOTE_OWNER, NOTE_TYPE, Entry, Manifest
from tenfold_rt.status import Status
from tenfoldc.artifact import abi_text, pool_text, python_entry, team_text, tiles_text
from tenfoldc.artifact.llvm_text import array_constant, bytes_literal, joined, string_constant, symbol

DECLARED = frozenset({"aligned_alloc", "free", "madvise"})


@frozen
class Needs:
    """What an entry's implementation must be given: a workspace, so much more of it for each thread after the first,
    a team where its loops are shared between threads, and permission where it has code for a matrix unit."""

    workspace_bytes: int = 0
    per_thread_bytes: int = 0
    is_parallel: bool = False
    asks_for_tiles: bool = False


def implementation(entry: Entry) -> str:
    """The name of the function that the emission stage defines for `entry`, as IR text: `@"NAME.impl"`."""
    return symbol(f"{entry.name}.impl")


def interface(manifest: Manifest, needs: Mapping[str, Needs]) -> str:
    """The IR text of everything that the library exports.

    `needs` gives each entry's by the entry's name.  `UnsupportedError` where an entry has
    what the interface cannot pass yet; `ArtifactError` where the manifest contradicts itself.
    """
    for entry in manifest.entries:
        check(entry)
    names = library_names(manifest)
    largest = max([0, *(needs[entry.name].workspace_bytes for entry in manifest.entries)])
    is_parallel = any(needs[entry.name].is_parallel for entry in manifest.entries)
    parts = [
        abi_text.declarations(large=largest >= abi_text.HUGE_PAGE or python_entry.has_large_results(manifest)),
        manifest_note(manifest, names),
        _status_function(names),
        abi_text.CHECK_BUFFERS,
        abi_text.WORKSPACE_BYTES,
        abi_text.workspace_functions(_rounded(largest)),
    ]
    ends = ["@tenfold.fini"] if largest else []
    asks_for_tiles = any(needs[entry.name].asks_for_tiles for entry in manifest.entries)
    if is_parallel or asks_for_tiles:
        parts.append("declare i64 @syscall(i64, ...) nounwind nonlazybind\n")
    if asks_for_tiles:
        parts.append(tiles_text.FUNCTIONS)
    if is_parallel:
        parts += [pool_text.functions(manifest), team_text.FUNCTIONS]
        if names.times is None:  # else what takes the times of kernels declares the clock
            parts.append(pool_text.CLOCK)
        ends.append("@tenfold.pool.fini")
    if ends:
        kept = f"[{len(ends)} x ptr] [{joined(ends)}]"
        parts.append(f'@llvm.compiler.used = appending global {kept}, section "llvm.metadata"\n')
    for entry, entry_names in zip(manifest.entries, names.entries, strict=True):
        parts += _functions_of(entry, entry_names, needs[entry.name])
    parts.append(python_entry.functions(manifest, names, is_parallel=is_parallel))
    if names.times is not None:
        parts.append(_times(manifest, names.times))
    return "\n".join(parts)


def exports(manifest: Manifest) -> frozenset[str]:
    """The names that a library with this manifest exports."""
    return library_names(manifest).exported()


def check(entry: Entry) -> None:
    """`UnsupportedError` or `ArtifactError` where an entry cannot be passed through the interface."""
    for buffer in entry.parameters + entry.results:
        for size in buffer.shape:
            if isinstance(size, str):
                raise UnsupportedError(
                    f"{entry.name}: {buffer.name} has the symbolic size {size!r}, not supported yet",
                    mend="compile with every size known",
                )
        if buffer.dtype.c is None:
            raise UnsupportedError(
                f"{entry.name}: {buffer.name} has dtype {buffer.dtype.name}, which a library cannot take yet"
            )
    for parameter, result in entry.donated:
        source, target = entry.parameters[parameter], entry.results[result]
        if (source.dtype, source.shape) != (target.dtype, target.shape):
            raise ArtifactError(f"{entry.name}: {source.name} is donated to {target.name}, which is unlike it")
    for side in zip(*entry.donated, strict=True):
        if len(set(side)) != len(side):
            raise ArtifactError(f"{entry.name}: a parameter or result is donated twice")


def _times(manifest: Manifest, exported: str) -> str:
    """The table of where each entry's times are, which the emission stage defines as `NAME.times`."""
    places = ", ".join(f"ptr {symbol(f'{entry.name}.times')}" for entry in manifest.entries)
    return f"{symbol(exported)} = constant [{len(manifest.entries)} x ptr] [{places}]\n"


def _rounded(size: int) -> int:
    """aligned_alloc wants a multiple of the alignment."""
    return (size + 63) & -64


def _alignment(dtype: DType) -> int:
    """What C wants of a pointer to this element."""
    return dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize


def manifest_note(manifest: Manifest, names: LibraryNames) -> str:
    """The manifest as an ELF note, which the loader reads before it trusts the file, and a string inside that
    note.
    """
    text = manifest.to_json().encode() + b"\0"
    text += bytes(-len(text) % 4)
    owner = NOTE_OWNER + b"\0"
    owner += bytes(-len(owner) % 4)
    type_ = f"{{ i32, i32, i32, [{len(owner)} x i8], [{len(text)} x i8] }}"
    return (
        f"@tenfold.note = internal constant {type_} {{"
        f" i32 {len(NOTE_OWNER) + 1}, i32 {len(text)}, i32 {NOTE_TYPE},"
        f" [{len(owner)} x i8] {bytes_literal(owner)}, [{len(text)} x i8] {bytes_literal(text)} }},"
        ' section ".note.tenfold", align 4\n'
        f"{symbol(names.manifest)} = alias [{len(text)} x i8],"
        f" getelementptr inbounds ({type_}, ptr @tenfold.note, i32 0, i32 4)\n"
    )


def _status_function(names: LibraryNames) -> str:
    statuses = sorted(Status, reverse=True)
    messages = [string_constant(f"tenfold.message.{-status}", status.message) for status in statuses]
    table = array_constant("tenfold.messages", "ptr", [symbol(f"tenfold.message.{-status}") for status in statuses])
    return "".join(messages) + table + abi_text.status_functions(symbol(names.status), len(statuses))


def checks(entry: Entry) -> str:
    """The tables by which `tenfold.check` judges an entry's pointers."""
    buffers = entry.parameters + entry.results
    partner = {result: parameter for parameter, result in entry.donated}
    return "".join(
        [
            array_constant(f"{entry.name}.sizes", "i64", [python_entry.byte_size(buffer) for buffer in buffers]),
            array_constant(f"{entry.name}.masks", "i64", [_alignment(buffer.dtype) - 1 for buffer in buffers]),
            array_constant(
                f"{entry.name}.partners", "i64", [partner.get(index, -1) for index in range(len(entry.results))]
            ),
        ]
    )


def entry_functions(entry: Entry, names: EntryNames) -> list[str]:
    """What C calls, which refuse bad pointers and then call `NAME.run`."""
    arguments = _arguments(entry)
    return [
        _checked_function(entry, arguments),
        f"define i32 {symbol(names.plain)}({joined(arguments)}) nounwind {{\n"
        f"  %status = call i32 {symbol(f'{entry.name}.checked')}({joined(['null', *arguments])})\n"
        "  ret i32 %status\n}\n",
        abi_text.with_context(
            symbol(names.with_context),
            f"{symbol(f'{entry.name}.checked')}({joined(['%ctx', *arguments])})",
            joined(["%ctx", *arguments]),
        ),
    ]


def _arguments(entry: Entry) -> list[str]:
    return [f"%a{index}" for index in range(len(entry.parameters) + len(entry.results))]


def _functions_of(entry: Entry, names: EntryNames, needs: Needs) -> list[str]:
    return [
        checks(entry),
        _run_function(entry, _arguments(entry), needs),
        *entry_functions(entry, names),
        abi_text.workspace_size(symbol(names.workspace), _rounded(needs.workspace_bytes), needs.per_thread_bytes),
    ]


def _run_function(entry: Entry, arguments: list[str], needs: Needs) -> str:
    """`NAME.run(ctx, …)`: find threads and a workspace and run; the arguments are known to be good."""
    signature = f"{symbol(f'{entry.name}.run')}({joined(['%ctx', *arguments])})"
    return abi_text.run(
        signature,
        implementation(entry),
        joined(arguments),
        _rounded(needs.workspace_bytes),
        needs.per_thread_bytes,
        is_parallel=needs.is_parallel,
    )


def _checked_function(entry: Entry, arguments: list[str]) -> str:
    """`NAME.checked(ctx, …)`: refuse bad pointers, then run."""
    lines = [
        f"define internal i32 {symbol(f'{entry.name}.checked')}({joined(['%ctx', *arguments])}) noinline nounwind {{",
        f"  %table = alloca [{len(arguments)} x ptr]",
    ]
    for index, argument in enumerate(arguments):
        lines.append(f"  %at{index} = getelementptr ptr, ptr %table, i64 {index}")
        lines.append(f"  store ptr {argument}, ptr %at{index}")
    tables = ["%table", *(symbol(f"{entry.name}.{kind}") for kind in ("sizes", "masks", "partners"))]
    counts = f"i64 {len(entry.parameters)}, i64 {len(arguments)}"
    lines += [
        f"  %bad = call i32 @tenfold.check({joined(tables)}, {counts})",
        "  %good = icmp eq i32 %bad, 0",
        "  br i1 %good, label %run, label %refuse",
        "run:",
        f"  %status = call i32 {symbol(f'{entry.name}.run')}({joined(['%ctx', *arguments])})",
        "  ret i32 %status",
        "refuse:",
        "  ret i32 %bad",
        "}",
        "",
    ]
    return "\n".join(lines)
