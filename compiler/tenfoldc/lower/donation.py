"""Results that may be given a parameter's memory: made safe where they would be written before it is read."""

from __future__ import annotations

from dataclasses import replace

from tenfoldc.loops.aliasing import may_share
from tenfoldc.loops.ir import Buffer, Kernel, Program
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import touched
from tenfoldc.lower.copying import copy_buffer
from tenfoldc.lower.storage import Storage


def protect_donated(program: Program, storage: Storage) -> Program:
    """`program` with those results computed apart and copied at the end that would spoil the parameter they replace."""
    if not program.donated:
        return program
    statements = [statement for kernel in program.kernels for statement in kernel.body]
    buffers = [touched((statement,)) for statement in statements]
    apart: dict[Buffer, Buffer] = {}
    for parameter, result in program.donated:
        source, target = program.parameters[parameter], program.results[result]
        both = source.storage, target.storage
        near = [each for each, its in zip(statements, buffers, strict=True) if not its.isdisjoint(both)]
        if not may_share(near, source, target):
            apart[target] = storage.temporary(target.dtype, target.shape)
    if not apart:
        return program
    replacer = BufferReplacer(apart)
    kernels = [replace(kernel, body=replacer.statements(kernel.body)) for kernel in program.kernels]
    for target, temporary in apart.items():
        copy = tuple(copy_buffer(storage, temporary, target))
        kernels.append(Kernel(f"k{len(kernels)}_copy", copy))
    return replace(program, kernels=tuple(kernels), temporaries=tuple(storage.temporaries))
