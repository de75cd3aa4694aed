"""Loading a compiled library: a path in, callables out.

A library's Python functions are compiled into it; loading hands it the table of Python's and NumPy's
functions and wraps what it returns as builtins, so nothing stands between the caller and the compiled code.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from tenfold_rt import cpu, dtypes, python_abi
from tenfold_rt.c_names import library_names
from tenfold_rt.errors import ArtifactError, SpecError
from tenfold_rt.library_file import read_manifest
from tenfold_rt.manifest import Entry, Manifest
from tenfold_rt.threads import OwnContext

# An entry takes arrays and numbers; it returns an array, a tuple of arrays, or NotImplemented.
EntryFunction = Callable[..., Any]
Array = np.ndarray[Any, np.dtype[Any]]


class Library:
    """A loaded library.  It stays loaded until the process ends, since its functions may be anywhere."""

    def __init__(self, path: Path, manifest: Manifest, handle: ctypes.CDLL) -> None:
        self.path, self.manifest, self.handle = path, manifest, handle
        self._methods = dict(zip((entry.name for entry in manifest.entries), _methods(self), strict=True))

    def entry(
        self, name: str, otherwise: Callable[..., object] | None = None, threads: int | None = None
    ) -> EntryFunction:
        """The compiled function `name`.

        It takes positional arguments: for each parameter an ndarray of its dtype and shape, C-contiguous and
        aligned, or for one of rank 0 a Python number.  For any other arguments, or with keywords, it does nothing
        but call `otherwise` with them; without that it returns NotImplemented.  It raises ArtifactError where the
        entry reports a failure.  `threads`, where given, is how many its calls may use, whatever the process's number.
        """
        method = self._methods.get(name)
        if method is None:
            known = ", ".join(self._methods) or "nothing"
            raise ArtifactError(f"{self.path} has no entry {name!r}; it has {known}")
        module = self.manifest.library
        if threads is not None:
            return _NEW_BOUND_FUNCTION(method, OwnContext(threads, otherwise), module)
        if otherwise is None:
            return _NEW_FUNCTION(method, None, module)
        return _NEW_BOUND_FUNCTION(method, otherwise, module)

    def call(self, name: str, arguments: Sequence[object]) -> tuple[Array, ...]:
        """Call the entry `name` and return its results as a tuple; `SpecError` says which argument does not
        fit.
        """
        result = self.entry(name)(*arguments)
        if result is NotImplemented:
            entry = next(entry for entry in self.manifest.entries if entry.name == name)
            raise SpecError(f"{name}: {_misfit(entry, arguments)}")
        return cast("tuple[Array, ...]", result) if isinstance(result, tuple) else (result,)


def load(path: str | os.PathLike[str]) -> Library:
    """Load the library at `path`.

    `ArtifactError` where it is missing, damaged, not made by Tenfold, made for a CPU unlike this one, or
    where this build of Python cannot call it.
    """
    path = Path(path)
    manifest, family = read_manifest(path)
    if family != cpu.machine():
        raise ArtifactError(f"{path} was compiled for {family}; this machine is {cpu.machine()}")
    missing = sorted(set(manifest.features) - cpu.features())
    if missing:
        raise ArtifactError(
            f"{path} was compiled for a CPU with {', '.join(missing)}, which this one lacks",
            mend="compile it here, or for a lower level such as x86-64-v2",
        )
    try:
        # dlopen searches the system's directories for a name without a slash.
        handle = ctypes.CDLL(str(path.absolute()))
    except OSError as error:
        raise ArtifactError(f"{path} cannot be loaded: {error}") from error
    if any(b.dtype is dtypes.bf16 for entry in manifest.entries for b in entry.parameters + entry.results):
        python_abi.provide_bfloat16()
    return Library(path, manifest, handle)


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


# The second argument is what the function is bound to; None is a null pointer where it is a `c_void_p`.
_NEW_FUNCTION = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.py_object)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)
_NEW_BOUND_FUNCTION = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)


_INITIALISE = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


def _methods(library: Library) -> list[int]:
    """The address of each entry's method definition, in the manifest's order."""
    names = library_names(library.manifest)
    try:
        # Called with the GIL, since it may make a Python object.
        initialise = _INITIALISE((names.python, library.handle))
    except AttributeError as error:
        raise ArtifactError(f"{library.path} does not define {names.python}") from error
    first: int = initialise(ctypes.addressof(python_abi.table()))
    return [first + ctypes.sizeof(_MethodDef) * index for index in range(len(names.entries))]


def _misfit(entry: Entry, arguments: Sequence[object]) -> str:
    """What is wrong with arguments that an entry declined."""
    if len(arguments) != len(entry.parameters):
        return f"takes {len(entry.parameters)} arguments, not {len(arguments)}"
    donated = {parameter for parameter, _ in entry.donated}
    for index, (parameter, argument) in enumerate(zip(entry.parameters, arguments, strict=True)):
        wanted = f"{parameter.name} must be {parameter.dtype.name}{list(parameter.shape)}"
        if not isinstance(argument, np.ndarray):
            return f"{wanted}, not {type(argument).__name__} {argument!r:.40}"
        array = cast(Array, argument)
        if array.dtype != parameter.dtype.numpy or array.shape != parameter.shape:
            return f"{wanted}, not {array.dtype}{list(array.shape)}"
        if not (array.flags.c_contiguous and array.flags.aligned):
            return f"{parameter.name} must be C-contiguous and aligned"
        if index in donated and not array.flags.writeable:
            return f"{parameter.name} is updated in place but is read-only"
        if type(array) is not np.ndarray:
            return f"{parameter.name} must be an ndarray itself, not {type(array).__name__}"
    return "an argument that is updated in place shares memory with another argument"
