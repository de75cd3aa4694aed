"""`tn.load`: a compiled library in, its functions as Python callables out, with nothing compiled.

A `LoadedLibrary` has an attribute for each function of the library, which `tn.export` or `tenfold compile` wrote.
The attribute is the compiled code itself; a `LibraryFunction` stands behind it for arguments that are not plain
dense arrays: tensors, numbers, trees, arrays that must be copied first, and those that are wrong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tenfold import tree as pytree
from tenfold.program import dense_array
from tenfold.signature import number_dtype
from tenfold.specs import array_element_type
from tenfold.tracing import Array, TensorValue
from tenfold_rt.errors import ArtifactError, SpecError
from tenfold_rt.load import EntryFunction, Library
from tenfold_rt.load import load as load_file
from tenfold_rt.manifest import Buffer, Entry
from tenfoldc.ir.types import Symbol, TensorType

_ROOT = re.compile(r"\w+")


class LoadedLibrary:
    """A compiled library: each of its functions is an attribute.  Made by `tn.load`."""

    def __init__(self, library: Library) -> None:
        self._path = library.path
        for entry in library.manifest.entries:
            function = LibraryFunction(entry, library.entry(entry.name))
            setattr(self, entry.name, library.entry(entry.name, function))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        known = ", ".join(key for key in vars(self) if key != "_path")
        raise AttributeError(f"{self._path} has no function {name}; it has {known}")

    def __repr__(self) -> str:
        return f"<library {self._path}>"


def load(path: str | os.PathLike[str]) -> LoadedLibrary:
    """The library at `path`, whose attributes are its functions: `tn.load("libmodel.so").predict(w, x)`.

    A function takes what the Python function took, or its arrays one by one in the order of the header, and gives
    one array or a tuple of arrays in that order; a `Tensor` among the arguments makes them Tensors.  `SpecError`
    where arguments do not fit.  `ArtifactError` where the file is missing, damaged, not made by Tenfold or made for
    another processor.
    """
    return LoadedLibrary(load_file(path))


class LibraryFunction:
    """One function of a library, for arguments that its code does not take as they are."""

    def __init__(self, entry: Entry, code: EntryFunction) -> None:
        self._entry, self._code = entry, code
        self._names = [buffer.name for buffer in entry.parameters]
        self._parameters = list(dict.fromkeys(map(_root, self._names)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves = self._leaves(args, kwargs)
        arrays = [self._array(leaf, buffer) for leaf, buffer in zip(leaves, self._entry.parameters, strict=True)]
        returned = self._code(*arrays)
        if returned is NotImplemented:
            for parameter, _ in self._entry.donated:
                arrays[parameter] = arrays[parameter].copy()
            returned = self._code(*arrays)
        if returned is NotImplemented:
            raise ArtifactError(f"{self._entry.name}: the compiled code refused its arguments")
        if not any(isinstance(leaf, TensorValue) for leaf in leaves):
            return returned
        return pytree.tree_map(TensorValue.of_array, returned)

    def _leaves(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The arrays that were given, in the header's order: trees by parameter, or all arrays by position."""
        if not kwargs and len(args) == len(self._names):
            arrays, tree = pytree.flatten(args)
            if all(child.is_leaf for child in tree.children):
                return arrays
        leaves: list[Any] = []
        names: list[str] = []
        for parameter, value in self._bind(args, kwargs).items():
            of_value, tree = pytree.flatten(value)
            leaves += of_value
            names += pytree.names(tree, parameter)
        if names != self._names:
            raise SpecError(
                f"{self._entry.name}: the arguments are {', '.join(names)}, but it takes {', '.join(self._names)}"
            )
        return leaves

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by parameter, in the parameters' order."""
        given: dict[str, Any] = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        if len(given) < len(args) + len(kwargs) or set(given) != set(self._parameters):
            words = [f"{len(args)} by position", *(f"{name}=" for name in kwargs)]
            parameters = ", ".join(self._parameters)
            raise SpecError(f"{self._entry.name} takes ({parameters}), but was given {', '.join(words)}")
        return {name: given[name] for name in self._parameters}

    def _array(self, leaf: object, buffer: Buffer) -> Array:
        want = TensorType(buffer.dtype, tuple(Symbol(size) if isinstance(size, str) else size for size in buffer.shape))
        array = dense_array(leaf, buffer.name, number_dtype(leaf, want))
        found = TensorType(array_element_type(array), array.shape)
        if found != want:
            raise SpecError(f"{self._entry.name}: argument `{buffer.name}` is {found}, but must be {want}")
        return array


def _root(name: str) -> str:
    """The parameter that a leaf belongs to: `network` of `network.w1` and of `network[0]`."""
    match = _ROOT.match(name)
    return name if match is None else match[0]
