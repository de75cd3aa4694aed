"""A device whose kernels are whole functions of tensor IR, run by the interpreter: for what is around compiled code.

`compile_plan` stands in for the compiler: its plans hold the text of the module instead of PTX, and an entry is one
launch, or two with nothing in the second, so that calls may be captured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from stand_in_device import StandInDevice

from tenfold.text.parser import parse
from tenfold_rt.cuda.plan import KernelInfo, Launch, Place, Plan, PlanEntry, Region
from tenfold_rt.manifest import Buffer
from tenfoldc.interpret import interpret
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.types import TensorType
from tenfoldc.target import Target


def compile_plan(module: Module, *, target: Target, library: str, observe: object = None) -> Plan:
    """The entries of `module`, each to be interpreted by its name."""
    assert target.is_gpu
    entries = tuple(_entry(module[name]) for name in module.entries)
    kernels = tuple(KernelInfo(entry.name, "", None, None, None) for entry in entries)
    return Plan(library, "0", target.cpu, print_module(module), b"", entries, kernels)


def _entry(function: Function) -> PlanEntry:
    parameters = _buffers("x", function.type.parameters)
    results = _buffers("r", function.type.results)
    given = dict(function.donated)
    places = [
        Place(Region.RESULT, given[number], 0) if number in given else Place(Region.PARAMETER, number, 0)
        for number in range(len(parameters))
    ]
    places += [Place(Region.RESULT, number, 0) for number in range(len(results))]
    steps = (Launch(function.name, 1, 1, 0, tuple(places)), Launch("nothing", 1, 1, 0, ()))
    return PlanEntry(function.name, parameters, results, function.donated, 256, 0, steps, function.doc)


def _buffers(letter: str, types: tuple[TensorType, ...]) -> tuple[Buffer, ...]:
    return tuple(Buffer(f"{letter}{number}", type_.dtype, type_.sizes) for number, type_ in enumerate(types))


class InterpretingDevice(StandInDevice):
    """A stand-in device for the plans of `compile_plan` here."""

    def load(self, plan: Plan) -> Mapping[str, Any]:
        module = parse(plan.ptx)
        kernels: dict[str, Any] = {"nothing": ("nothing", lambda *_: None)}
        for name in module.entries:
            kernels[name] = (name, _interpreted(module, name))
        return kernels


def _interpreted(module: Module, name: str) -> Callable[..., None]:
    function = module[name]

    def kernel(memory: Any, grid: int, threads: int, *addresses: int) -> None:
        types, count = function.type.parameters, len(function.type.parameters)
        arrays = [_read(memory, address, type_) for address, type_ in zip(addresses[:count], types, strict=True)]
        results = interpret(module, arrays, name)
        for address, result in zip(addresses[count:], results, strict=True):
            memory.write(address, np.ascontiguousarray(result).tobytes())

    return kernel


def _read(memory: Any, address: int, type_: TensorType) -> Any:
    data = memory.read(address, type_.size * type_.dtype.itemsize) if type_.size else b""
    return np.frombuffer(data, type_.dtype.numpy).reshape(type_.sizes).copy()
