"""The C header of a library: its manifest in, text out that C11 and C++ compilers accept without a warning.

The header needs nothing but <stddef.h> and <stdint.h>.  What all libraries share is pasted into each and
guarded, so that a program may include the headers of several.
"""

from __future__ import annotations

import textwrap

from tenfold_rt.c_names import EntryNames, LibraryNames, library_names
from tenfold_rt.errors import UnsupportedError
from tenfold_rt.manifest import ABI_VERSION, Buffer, Entry, Manifest
from tenfold_rt.status import DRIVER_FAILURE, GpuStatus, Status

_STATUSES = ",\n".join(f"  TENFOLD_{s.name} = {s:d} /* {s.message} */" for s in Status)
_GPU_STATUSES = ",\n".join(f"  TENFOLD_{s.name} = {s:d} /* {s.message} */" for s in GpuStatus)

_SHARED = f"""\
/* Shared by all libraries of ABI {ABI_VERSION}. */
#ifndef TENFOLD_ABI_{ABI_VERSION}
#define TENFOLD_ABI_{ABI_VERSION}

/* Floats of 16 bits, as their bits: f16 is IEEE 754's binary16 (C's _Float16 where there is one), bf16 (bfloat16)
   the upper half of a float. */
typedef uint16_t tenfold_f16;
typedef uint16_t tenfold_bf16;

#ifdef __cplusplus
#define TENFOLD_EXTERN extern "C"
#else
#define TENFOLD_EXTERN extern
#endif

/* What a function returns.  After any status but TENFOLD_OK no result has been written to. */
enum tenfold_status {{
{_STATUSES}
}};

typedef void (*tenfold_task)(void *arg, int32_t index);

/* What a caller may provide; every field but `size` may be 0.  Fields are only ever appended. */
typedef struct tenfold_ctx {{
  size_t size;            /* sizeof(tenfold_ctx) */
  void *workspace;        /* 64-byte aligned; used if large enough, see NAME_workspace(num_threads) */
  size_t workspace_bytes;
  void *(*alloc)(void *user, size_t bytes, size_t alignment);
  void (*dealloc)(void *user, void *block, size_t bytes);
  int32_t num_threads;    /* 0 or 1: the calling thread only; the results are the same bits for any number */
  /* Run task(arg, 0) to task(arg, count - 1), in any order or at one time, and return when all are done.
     Tasks never wait for each other; count is num_threads at most.  NULL: the library's own threads. */
  void (*parallel_for)(void *user, tenfold_task task, void *arg, int32_t count);
  void *user;             /* passed to the three functions above */
}} tenfold_ctx;

#endif
"""


_GPU_SHARED = f"""\
/* Shared by all libraries for GPUs. */
#ifndef TENFOLD_GPU_ABI_{ABI_VERSION}
#define TENFOLD_GPU_ABI_{ABI_VERSION}

/* What a function returns beside. */
enum tenfold_gpu_status {{
{_GPU_STATUSES},
  TENFOLD_EDRIVER = {DRIVER_FAILURE} /* {DRIVER_FAILURE} - n: the driver failed with its result n, a CUresult */
}};

/* A CUstream, and a cudaStream_t, is a pointer to this. */
struct CUstream_st;

#endif
"""

_GPU_NOTE = """\
   The functions NAME and NAME_ctx take pointers to the memory of the CPU, copy to the GPU and back, and return when all
   is done; nothing in a tenfold_ctx has a use here.  NAME_device takes pointers to the GPU's memory, each a multiple of
   16 bytes, and asks for the work on a stream; what goes wrong on the GPU is told by whoever waits for the stream, and
   then what the results hold is not known.
   The GPU is that of the thread's current context, or the first one where there is none.
"""


def header(manifest: Manifest) -> str:
    """The header for the library that `manifest` describes."""
    names = library_names(manifest)
    guard = f"TENFOLD_LIBRARY_{names.prefix}_H"
    target = f"{manifest.triple}, {manifest.cpu}"
    note, shared = "", [_SHARED]
    if manifest.gpu is not None:
        target, note = f"{target}, with GPUs of NVIDIA's, {manifest.gpu.architecture}", _GPU_NOTE
        shared.append(_GPU_SHARED)
    parts = [
        f"/* {_comment(manifest.library)}: made by Tenfold {manifest.version} for {_comment(target)}.\n{note}"
        "   All functions may be called from several threads at once.  Tensors are dense and row-major;\n"
        "   results must not overlap anything, but for those said to be updated in place. */\n"
        f"#ifndef {guard}\n#define {guard}\n\n#include <stddef.h>\n#include <stdint.h>\n",
        *shared,
        *(_entry(entry, entry_names) for entry, entry_names in zip(manifest.entries, names.entries, strict=True)),
        _library(names),
        "#endif\n",
    ]
    return "\n".join(parts)


def _library(names: LibraryNames) -> str:
    return (
        "/* What a status means, in words. */\n"
        f"TENFOLD_EXTERN const char *{names.status}(int32_t status);\n\n"
        "/* What this library holds, as JSON. */\n"
        f"TENFOLD_EXTERN const char {names.manifest}[];\n"
    )


def _entry(entry: Entry, names: EntryNames) -> str:
    donated = {result: parameter for parameter, result in entry.donated}
    arguments: list[str] = []
    for index, buffer in enumerate(entry.parameters):
        arguments.append(f"const {_c_type(entry, buffer)} *{names.arguments[index]} /* {_describe(buffer)} */")
    for index, buffer in enumerate(entry.results):
        note = _describe(buffer)
        if index in donated:
            note += f"; may be {names.arguments[donated[index]]} itself"
        name = names.arguments[len(entry.parameters) + index]
        arguments.append(f"{_c_type(entry, buffer)} *{name} /* out: {note} */")
    context = ["const tenfold_ctx *ctx /* may be NULL */", *arguments]
    on_device = ""
    if names.device is not None:
        stream = [*arguments, "struct CUstream_st *stream /* may be NULL, the default stream */"]
        on_device = f"TENFOLD_EXTERN int32_t {names.device}({_lines(stream)});\n"
    return (
        f"{_documentation(entry)}"
        f"TENFOLD_EXTERN int32_t {names.plain}({_lines(arguments) or 'void'});\n"
        f"TENFOLD_EXTERN int32_t {names.with_context}({_lines(context)});\n"
        f"TENFOLD_EXTERN int64_t {names.workspace}(int32_t num_threads); /* bytes */\n{on_device}"
    )


def _documentation(entry: Entry) -> str:
    text = _comment(entry.doc.strip()) or _comment(entry.name)
    return f"/* {textwrap.indent(text, '   ').strip()} */\n"


def _lines(arguments: list[str]) -> str:
    return "".join(f"\n    {argument}," for argument in arguments)[:-1]


def _c_type(entry: Entry, buffer: Buffer) -> str:
    if buffer.dtype.c is None:
        raise UnsupportedError(f"{entry.name}: C has no type for {buffer.name}, of dtype {buffer.dtype.name}")
    return buffer.dtype.c


def _describe(buffer: Buffer) -> str:
    shape = ", ".join(str(size) for size in buffer.shape)
    return _comment(f"{buffer.dtype.name}[{shape}]")


def _comment(text: str) -> str:
    """`text` as it can stand in a comment."""
    return text.replace("*/", "* /").replace("/*", "/ *")
