"""What a library holds: the entries, their arguments and the target it was made for.

The compiler writes the manifest into every library as a JSON string; the loader, the header writer and the
command line read it back.  Nothing else describes an artifact.
"""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen

ABI_VERSION = 1

# The manifest is an ELF note in every library: the loader reads it from the file before it runs any of its
# code.
NOTE_OWNER, NOTE_TYPE = b"Tenfold", ABI_VERSION


@frozen
class Buffer:
    """One dense, row-major tensor that an entry reads or writes.  A `str` in `shape` is a symbolic size."""

    name: str
    dtype: DType
    shape: tuple[int | str, ...]


@frozen
class Kernel:
    """One timed kernel of an entry: its name, the user's line, and what one call of it does, where that is known.

    `is_shared` says whether threads share its loops.
    """

    name: str
    location: str
    is_shared: bool
    f32_flops: int | None
    f64_flops: int | None
    bytes: int | None


@frozen
class Entry:
    """One C function: `parameters` in, `results` out, in that order.

    `donated` pairs (parameter, result) indices: that result may be written to the parameter's own memory.
    `releases_gil` says whether a call from Python is long enough to let other Python threads run.  `kernels` are those
    that the library times, in the order of their times; a library that was not compiled to be profiled has none.
    """

    name: str
    parameters: tuple[Buffer, ...]
    results: tuple[Buffer, ...]
    donated: tuple[tuple[int, int], ...] = ()
    releases_gil: bool = False
    doc: str = ""
    kernels: tuple[Kernel, ...] = ()


@frozen
class GpuKernel:
    """A kernel of a library for GPUs: its name, the user's line, and what the assembler says that it takes.

    That is registers of a thread, bytes of shared memory of a block, and bytes of registers that are spilled to memory;
    None where no machine code was made.
    """

    name: str
    location: str
    registers: int | None
    shared_bytes: int | None
    spilled_bytes: int | None


@frozen
class GpuCode:
    """The kernels of a library for GPUs.  `forms` says how it holds them: `cubin`, `ptx` or both."""

    architecture: str
    forms: tuple[str, ...]
    kernels: tuple[GpuKernel, ...]


@frozen
class Manifest:
    """The contents of one library.  `cpu` and `features` are LLVM's names for what it was compiled for.

    In a library for GPUs that is the code that starts the kernels, and `gpu` says what these are.
    """

    library: str
    version: str
    triple: str
    cpu: str
    features: tuple[str, ...]
    entries: tuple[Entry, ...]
    gpu: GpuCode | None = None

    def to_json(self) -> str:
        """The manifest as it stands in the library; `from_json` reads it back."""
        data: dict[str, Any] = {
            "abi": ABI_VERSION,
            "library": self.library,
            "version": self.version,
            "target": {"triple": self.triple, "cpu": self.cpu, "features": list(self.features)},
            "entries": [_entry_to_dict(entry) for entry in self.entries],
        }
        if self.gpu is not None:
            kernels = [list(astuple(kernel)) for kernel in self.gpu.kernels]
            data["gpu"] = {"architecture": self.gpu.architecture, "forms": list(self.gpu.forms), "kernels": kernels}
        return json.dumps(data, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Read a manifest; `ValueError` where the text is not one of this ABI version."""
        data = json.loads(text)
        if data.get("abi") != ABI_VERSION:
            raise ValueError(f"manifest has ABI version {data.get('abi')}, not {ABI_VERSION}")
        target = data["target"]
        return Manifest(
            library=data["library"],
            version=data["version"],
            triple=target["triple"],
            cpu=target["cpu"],
            features=tuple(target["features"]),
            entries=tuple(_entry_from_dict(entry) for entry in data["entries"]),
            gpu=_gpu_from_dict(data["gpu"]) if "gpu" in data else None,
        )


def _gpu_from_dict(data: dict[str, Any]) -> GpuCode:
    kernels = tuple(GpuKernel(*kernel) for kernel in data["kernels"])
    return GpuCode(data["architecture"], tuple(data["forms"]), kernels)


def _entry_to_dict(entry: Entry) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": entry.name,
        "parameters": [_buffer_to_list(buffer) for buffer in entry.parameters],
        "results": [_buffer_to_list(buffer) for buffer in entry.results],
        "donated": [list(pair) for pair in entry.donated],
        "releases_gil": entry.releases_gil,
        "doc": entry.doc,
    }
    if entry.kernels:
        data["kernels"] = [list(astuple(kernel)) for kernel in entry.kernels]
    return data


def _entry_from_dict(data: dict[str, Any]) -> Entry:
    return Entry(
        name=data["name"],
        parameters=tuple(_buffer_from_list(item) for item in data["parameters"]),
        results=tuple(_buffer_from_list(item) for item in data["results"]),
        donated=tuple((parameter, result) for parameter, result in data["donated"]),
        releases_gil=data["releases_gil"],
        doc=data["doc"],
        kernels=tuple(Kernel(*kernel) for kernel in data.get("kernels", ())),
    )


def _buffer_to_list(buffer: Buffer) -> list[Any]:
    return [buffer.name, buffer.dtype.name, list(buffer.shape)]


def _buffer_from_list(data: list[Any]) -> Buffer:
    name, dtype, shape = data
    return Buffer(name, dtypes.BY_NAME[dtype], tuple(shape))
