"""`tenfold run`: a StableHLO file and arrays in, the results of one call out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from tenfold.cli.sources import read_mlir, split_source
from tenfold.export import write_files
from tenfold.program import compiled_library
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import RequestError
from tenfoldc.ir.core import Function

Array = NDArray[Any]


def run_file(source: str, inputs: Path | None, outputs: Path | None) -> None:
    """Compile, call once, and write or print the results; `TenfoldError` says why it cannot be done."""
    path, name = split_source(source)
    if path.suffix != ".mlir" or not path.is_file():
        raise RequestError(f"there is no StableHLO file {path}", mend="give a file that ends in .mlir")
    module = read_mlir(path, name)
    function = module[module.entries[0]]
    arguments = read_arguments(function, inputs)
    results = compiled_library(module).call(function.name, arguments)
    labels = function.result_names or tuple(f"result{number}" for number in range(len(results)))
    named = dict(zip(labels, results, strict=True))
    if outputs is None:
        for label, array in named.items():
            click.echo(f"{label} = {np.array2string(array, threshold=20)}")
    else:
        _write(outputs, named)


def read_arguments(function: Function, path: Path | None) -> list[Array]:
    """The arrays of an .npz file as arguments of `function`; `RequestError` where they do not fit."""
    return _matched(function, _read(path), path)


def _read(path: Path | None) -> dict[str, Array]:
    if path is None:
        return {}
    mend = "give an .npz file, as numpy.savez writes"
    try:
        with path.open("rb") as file:
            archive = np.load(file)
            if isinstance(archive, np.lib.npyio.NpzFile):
                return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror or error}", mend=mend) from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RequestError(f"cannot read {path}: {error}", mend=mend) from error
    raise RequestError(f"{path} holds one array without a name", mend=mend)


def _matched(function: Function, arrays: dict[str, Array], path: Path | None) -> list[Array]:
    """The arrays in the order of the function's parameters, dense and of the right types."""
    parameters = function.type.parameters
    labels = function.parameter_names or tuple(f"arg{number}" for number in range(len(parameters)))
    by_name = set(labels) == set(arrays)
    given = [arrays[label] for label in labels] if by_name else list(arrays.values())
    if len(given) != len(parameters):
        source = "no --inputs" if path is None else f"{path}"
        takes = f"{len(parameters)} array{'' if len(parameters) == 1 else 's'}"
        raise RequestError(f"{function.name} takes {takes}, but {source} gives {len(given)}")
    given = [_as_meant(array, type_.dtype) for array, type_ in zip(given, parameters, strict=True)]
    for label, type_, array in zip(labels, parameters, given, strict=True):
        if array.dtype != type_.dtype.numpy or array.shape != type_.shape:
            shape = ", ".join(map(str, array.shape))
            raise RequestError(f"{function.name}: {label} must be {type_}, but the array is {array.dtype}[{shape}]")
    return [np.ascontiguousarray(array).reshape(array.shape) for array in given]


def _as_meant(array: Array, dtype: DType) -> Array:
    """A file calls elements of bfloat16 two bytes, `|V2`: they are meant where a parameter is bf16."""
    return array.view(dtype.numpy) if dtype is dtypes.bf16 and array.dtype == np.dtype("V2") else array


def _write(path: Path, arrays: dict[str, Array]) -> None:
    content = io.BytesIO()
    # The arguments of `savez` by keyword cannot have every name: `file` is its own.
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array)
    write_files({path: (content.getvalue(), 0o644)})
