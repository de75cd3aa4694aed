"""What a command line names: a Python file or a StableHLO file, in; a module of tensor IR out."""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tenfold.compile import Compiled
from tenfold.compile import compile as compile_function
from tenfold.export import merge
from tenfold.specs import Spec
from tenfold.text.parser import parse
from tenfold_rt import dtypes
from tenfold_rt.errors import RequestError, SpecError, TenfoldError
from tenfoldc.ir.core import Module

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
    functions = {key: value for key, value in namespace.items() if isinstance(value, Compiled)}
    if not functions:
        raise RequestError(f"{path} has no function under @tn.compile", mend=f"name one, as in {path}:predict")
    specified = [function for function in functions.values() if function.signature.specified()]
    passed_over = [key for key, function in functions.items() if not function.signature.specified()]
    if not specified:
        function = functions[passed_over[0]]
        function.lower()  # raises the error that names the parameter
    return merge([function.lower().module for function in specified]), passed_over


def _named(path: Path, namespace: Mapping[str, Any], name: str, arguments: Sequence[str]) -> Any:
    function = namespace.get(name)
    if function is None:
        known = [key for key, value in namespace.items() if isinstance(value, Compiled)]
        raise RequestError(
            f"{path} has no function {name}", mend=f"it has {', '.join(known) or 'none that is compiled'}"
        )
    if not isinstance(function, Compiled):
        if not callable(function):
            raise RequestError(f"{name} in {path} is a {type(function).__name__}, not a function")
        function = compile_function(function)
    specs: dict[str, Any] = dict(function.signature.specs)
    for argument in arguments:
        parameter, spec = parse_argument(argument)
        if parameter not in function.signature.signature.parameters:
            known = ", ".join(function.signature.signature.parameters)
            raise RequestError(f"{name} has no parameter {parameter}", mend=f"its parameters are {known or 'none'}")
        specs[parameter] = spec
    missing = [parameter for parameter in function.signature.signature.parameters if parameter not in specs]
    if missing:
        raise SpecError(
            f"{name}: parameter {missing[0]} has no spec",
            mend=f"give --arg {missing[0]}=f32[32,784], or annotate it",
        )
    return function.lower(**specs)


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
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"cannot read {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except TenfoldError:
        raise
    except (Exception, SystemExit) as error:
        line = next(
            (f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)),
            None,
        )
        where = str(path) if line is None else f"{path}:{line}"
        raise RequestError(f"running the file failed with {type(error).__name__}: {error}", where=where) from error
    return module
