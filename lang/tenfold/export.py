"""Writing compiled programs for others to use: a shared library, or an object for a linker, and its C header."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from tenfold.program import compiler, known_tuning, refuse_uncompiled
from tenfold_rt.atomic import written_beside
from tenfold_rt.errors import ArgumentError, RequestError
from tenfold_rt.manifest import Manifest
from tenfoldc import target as targets
from tenfoldc.artifact.header import header
from tenfoldc.ir.core import Module

SUFFIXES: Mapping[str, str] = {"so": ".so", "object": ".o"}


class HasModule(Protocol):
    """What `Compiled.lower` gives."""

    @property
    def module(self) -> Module: ...


class Exportable(Protocol):
    """A compiled function, all of whose parameters have specs."""

    def lower(self) -> HasModule: ...


def export(functions: Sequence[Exportable], path: str | os.PathLike[str], *, target: str = "native") -> Path:
    """Write one library that holds `functions` to `path`, and its C header beside it; returns the path.

    Each of `functions` is under `@tn.compile` and has specs for all its parameters (`SpecError`).  `target` is
    `native`, a level such as `x86-64-v3`, or `cuda`, as in `cuda:sm_90a`, for GPUs of NVIDIA's.  The files appear whole
    or not at all; `RequestError` where they cannot be written, or where two functions have one name.
    """
    if callable(functions):
        raise ArgumentError(f"export takes a list of functions, not {functions!r}", mend="give [f], or use f.export")
    for function in functions:
        if not hasattr(function, "lower"):
            raise ArgumentError(f"export takes compiled functions, not {function!r}", mend="put @tn.compile before it")
    return write_artifact(merge([function.lower().module for function in functions]), Path(path), target)


def merge(modules: Iterable[Module]) -> Module:
    """One module with the functions and entries of all `modules`; `RequestError` where two have one name."""
    functions: dict[str, Any] = {}
    entries: list[str] = []
    for module in modules:
        for name, function in module.functions.items():
            if name in functions:
                raise RequestError(f"two functions are called {name}", mend="rename one: a library has one of a name")
            functions[name] = function
        entries.extend(module.entries)
    if not entries:
        raise RequestError("there is no function to export")
    return Module(functions, entries=tuple(entries))


def write_artifact(
    module: Module, path: Path, target: str, *, kind: str = "so", observe: Callable[..., None] | None = None
) -> Path:
    """Compile `module` for `target` to `path`, and write its header to the same directory.

    `kind` is `so` or `object`.  `RequestError` where a file cannot be written.
    """
    refuse_uncompiled(module)
    machine = targets.named(target)
    if path.suffix != SUFFIXES[kind]:
        raise RequestError(f"{path} does not end in {SUFFIXES[kind]}", mend=f"call it {path.stem}{SUFFIXES[kind]}")
    if machine.is_gpu:
        if kind != "so":
            raise RequestError(f"programs for GPUs are written as so, not as {kind}")
        make = gpu_libraries().compile_library
    else:
        make = compiler().compile_module if kind == "so" else compiler().compile_object
        make = functools.partial(make, tuning=known_tuning(machine))
    beside = header_path(path)
    refuse_unwritable(path, beside)
    content: bytes
    manifest: Manifest
    content, manifest = make(module, target=machine, library=beside.stem, observe=observe)
    mode = 0o755 if kind == "so" else 0o644
    write_files({path: (content, mode), beside: (header(manifest).encode(), 0o644)})
    return path


def gpu_libraries() -> ModuleType:
    """`tenfoldc.gpu.library`, imported when first compiled with, as `compiler` is."""
    compiler()
    return importlib.import_module("tenfoldc.gpu.library")


def header_path(path: Path) -> Path:
    """Where the header of the library at `path` goes: `model.h` for `libmodel.so`."""
    return path.with_name((path.stem.removeprefix("lib") or path.stem) + ".h")


def refuse_unwritable(*paths: Path) -> None:
    """`RequestError` where it is known beforehand that a file cannot be written."""
    for path in paths:
        if not path.parent.is_dir():
            raise RequestError(f"cannot write {path}: there is no directory {path.parent}")
        if path.is_dir():
            raise RequestError(f"cannot write {path}: it is a directory")


def write_files(files: Mapping[Path, tuple[bytes, int]]) -> None:
    """Write a content with a mode to each path: all of them, or none and `RequestError`.

    Each is written beside its place, and moved there once all are complete, so nothing half-written is ever seen.
    """
    refuse_unwritable(*files)
    with contextlib.ExitStack() as stack:
        try:
            written = {
                path: stack.enter_context(written_beside(path, (content,), mode))
                for path, (content, mode) in files.items()
            }
            for path, temporary in written.items():
                temporary.replace(path)
        except OSError as error:
            names = " and ".join(map(str, files))
            raise RequestError(f"cannot write {names}: {error.strerror or error}") from error
