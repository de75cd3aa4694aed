"""What a command line names: a Python file or a StableHLO file, in; a module of tensor IR out."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import runpy
import sys
import traceback
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from tenfold.compile import Compiled, Lowered
from tenfold.compile import compile as compile_function
from tenfold.export import merge
from tenfold.specs import Spec
from tenfold.text.parser import parse
from tenfold_rt import dtypes
from tenfold_rt.errors import RequestError, SpecError, TenfoldError
from tenfoldc.ir.core import Module

_MODULE = "__compiled_file__"
_SPEC = re.compile(r"(?P<dtype>\w+)(\[(?P<shape>[^\]]*)\])?")


def split_source(source: str) -> tuple[Path, str | None]:
    """`FILE:NAME` as its two parts; the name is None where there is none."""
    file, colon, name = source.rpartition(":")
    return (Path(file), name) if colon and name.isidentifier() else (Path(source), None)


def read_module(source: str, arguments: Sequence[str] = ()) -> tuple[Module, list[str]]:
    """The module that `FILE[:NAME]` names, and the functions passed over for want of specs.

    `arguments` are `NAME=SPEC` texts for the parameters of the one function named.  `RequestError` says what is
    wrong with the request.
    """
    path, name = split_source(source)
    if not path.is_file():
        raise RequestError(f"there is no file {path}")
    if path.suffix == ".mlir":
        if arguments:
            raise RequestError("--arg gives types to Python functions", mend=f"{path.name} has its types in its text")
        return read_mlir(path, name), []
    if path.suffix != ".py":
        raise RequestError(f"{path} is neither Python (.py) nor StableHLO (.mlir)")
    return _read_python(path, name, arguments)


def read_mlir(path: Path, name: str | None) -> Module:
    """The public functions of a StableHLO file, or the one called `name`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read {path}: {error}") from error
    module = parse(text, file=str(path))
    if name is None and not module.entries:
        raise RequestError(f"{path} has no public function")
    if name is None:
        return module
    if name not in module.functions:
        raise RequestError(f"{path} has no function {name}", mend=f"it has {', '.join(module.functions)}")
    return Module(module.functions, entries=(name,))


def _read_python(path: Path, name: str | None, arguments: Sequence[str]) -> tuple[Module, list[str]]:
    namespace = vars(_import_file(path))
    if name is not None:
        return _named(path, namespace, name, arguments).module, []
    if arguments:
        raise RequestError("--arg needs to know whose argument it is", mend=f"name the function, as in {path}:predict")
    functions = _compiled_functions(namespace)
    if not functions:
        raise RequestError(f"{path} has no function under @tn.compile", mend=f"name one, as in {path}:predict")
    specified = [function for function in functions.values() if function.signature.specified()]
    passed_over = [key for key, function in functions.items() if not function.signature.specified()]
    if not specified:
        functions[passed_over[0]].lower()  # raises the error that names the parameter
    return merge([_lowered(function, path).module for function in specified]), passed_over


def _compiled_functions(namespace: Mapping[str, Any]) -> dict[str, Compiled[..., Any]]:
    """The compiled functions of a file by name; one that has several names, by the first."""
    by_name: dict[str, Compiled[..., Any]] = {}
    for name, value in namespace.items():
        if isinstance(value, Compiled) and value not in by_name.values():
            by_name[name] = value
    return by_name


def _named(path: Path, namespace: Mapping[str, Any], name: str, arguments: Sequence[str]) -> Lowered:
    function = namespace.get(name)
    if function is None:
        known = list(_compiled_functions(namespace))
        raise RequestError(
            f"{path} has no function {name}", mend=f"it has {', '.join(known) or 'none that is compiled'}"
        )
    if not callable(function):
        raise RequestError(f"{name} in {path} is {function!r:.40}, not a function")
    compiled = cast("Compiled[..., Any]", function if isinstance(function, Compiled) else compile_function(function))
    parameters = compiled.signature.signature.parameters
    specs: dict[str, Any] = dict(compiled.signature.specs)
    given: set[str] = set()
    for argument in arguments:
        parameter, spec = parse_argument(argument)
        if parameter not in parameters:
            known = ", ".join(parameters)
            raise RequestError(f"{name} has no parameter {parameter}", mend=f"its parameters are {known or 'none'}")
        if parameter in given:
            raise RequestError(f"--arg gives {parameter} twice", mend="give it one type")
        given.add(parameter)
        specs[parameter] = spec
    missing = [parameter for parameter in parameters if parameter not in specs]
    if missing:
        raise SpecError(
            f"{name}: parameter {missing[0]} has no spec",
            mend=f"give --arg {missing[0]}=f32[32,784], or annotate it",
        )
    return _lowered(compiled, path, **specs)


def parse_argument(text: str) -> tuple[str, Spec]:
    """`x=f32[32,784]` as the parameter's name and its spec; `RequestError` where it is not of that form."""
    name, equals, spec = text.partition("=")
    match = _SPEC.fullmatch(spec.replace(" ", ""))
    sizes = [size for size in (match["shape"] or "").split(",") if size] if match else []
    if not equals or match is None or not all(size.isdigit() or size.isidentifier() for size in sizes):
        raise RequestError(f"--arg {text} is not NAME=DTYPE[SIZE,...]", mend="write it as in --arg x=f32[32,784]")
    dtype = dtypes.BY_NAME.get(match["dtype"])
    if dtype is None:
        known = ", ".join(each.name for each in dtypes.ALL if each.compiled)
        raise RequestError(f"--arg {text}: there is no element type {match['dtype']}", mend=f"choose one of {known}")
    return name, Spec(dtype, tuple(int(size) if size.isdigit() else size for size in sizes))


def _import_file(path: Path) -> ModuleType:
    """Run a Python file as a module, with its directory on the path as `python FILE` would have it."""
    spec = importlib.util.spec_from_file_location(_MODULE, path.resolve())
    if spec is None or spec.loader is None:
        raise RequestError(f"cannot read {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # where dataclasses look for it
    sys.path.insert(0, str(path.parent.resolve()))
    with failures_of(path, "running the file"):
        spec.loader.exec_module(module)
    return module


def run_script(path: Path, arguments: Sequence[str]) -> None:
    """Run a Python file as `python FILE ARGUMENTS...` does; `RequestError` where it fails, with the line."""
    before = sys.argv, sys.path
    sys.argv, sys.path = [str(path), *arguments], [str(path.parent.resolve()), *sys.path]
    try:
        with failures_of(path, "running the file"):
            _run_to_its_end(path)
    finally:
        sys.argv, sys.path = before


def _run_to_its_end(path: Path) -> None:
    try:
        runpy.run_path(str(path.resolve()), run_name="__main__")
    except SystemExit as error:
        if error.code not in (None, 0):
            raise


def _lowered(function: Compiled[..., Any], path: Path, **specs: Any) -> Lowered:
    with failures_of(path, f"tracing {function.signature.name}"):
        return function.lower(**specs)


@contextlib.contextmanager
def failures_of(path: Path, activity: str) -> Generator[None]:
    """What a user's own code raises, as a `RequestError` that names its line in the file."""
    try:
        yield
    except TenfoldError:
        raise
    except SyntaxError as error:
        where = str(path) if error.lineno is None else f"{error.filename or path}:{error.lineno}"
        raise RequestError(f"{activity} failed with SyntaxError: {error.msg}", where=where) from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == str(path.resolve())), None)
        if line is None:
            raise  # not the user's doing
        what = f"{activity} failed with {type(error).__name__}: {error}"
        raise RequestError(what, where=f"{path}:{line}") from error
