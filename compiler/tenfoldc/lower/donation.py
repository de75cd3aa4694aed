"""Results that may be given a parameter's memory: made safe where they would be written before it is read."""

from __future__ import annotations

from dataclasses import replace

from tenfoldc.loops.aliasing import may_share
from tenfoldc.loops.ir import Buffer, Kernel, Program
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import loaded, owners, stored
from tenfoldc.lower.copying import copy_buffer
from tenfoldc.lower.storage import Storage


def protect_donated(program: Program, storage: Storage) -> Program:
    """`program` with those results computed apart and copied at the end that would spoil the parameter they replace."""
    statements = [statement for kernel in program.kernels for statement in kernel.body] if program.donated else []
    touched = [(statement, owners([*loaded((statement,)), *stored((statement,))])) for statement in statements]
    apart: dict[Buffer, Buffer] = {}
    for parameter, result in program.donated:
        source, target = program.parameters[parameter], program.results[result]
        either = {source.storage, target.storage}
        if not may_share([statement for statement, buffers in touched if either & buffers], source, target):
            apart[target] = storage.temporary(target.dtype, target.shape)
    if not apart:
        return program
    replacer = BufferReplacer(apart)
    kernels = [replace(kernel, body=replacer.statements(kernel.body)) for kernel in program.kernels]
    for target, temporary in apart.items():
        copy = tuple(copy_buffer(storage, temporary, target))
        kernels.append(Kernel(f"k{len(kernels)}_copy", copy))
    return replace(program, kernels=tuple(kernels), temporaries=tuple(storage.temporaries))
