"""Work on constants, done while compiling: scratch memory that a kernel fills from constants alone becomes a constant.

    pack c0 into rhs_panels; for v: multiply x, rhs_panels   →   for v: multiply x, c1

Weights that a model holds are so laid out in panels once, whichever rule packs or transforms them.  It is done only
where the constants that are made take the place of those that they are made of, or are small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tenfoldc.ir.op import Array
from tenfoldc.loops.execute import NotExecutableError, execute, is_reproducible
from tenfoldc.loops.ir import Buffer, Kernel, Program, Statement
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import loaded, owners, stored, touched
from tenfoldc.lower.filling import fills_from
from tenfoldc.lower.storage import Storage


def with_constants_made(kernel: Kernel, storage: Storage) -> Kernel:
    """`kernel` without the statements that fill scratch memory from constants alone; `storage` has what they made."""
    if not storage.constants:
        return kernel
    given = storage.constants.keys()
    if given.isdisjoint(owners(loaded(kernel.body))):
        return kernel
    moved = fills_from(given, kernel.body, kernel.scratch, lambda statement: is_reproducible((statement,)))
    kept = tuple(statement for statement in kernel.body if statement not in moved)
    needed = owners(loaded(kept)) & owners(stored(moved))
    read = owners(loaded(moved)) - owners(stored(moved))
    if not moved or not storage.pays_ahead(read, sum(buffer.nbytes for buffer in needed)):
        return kernel
    made = _made(moved, needed, read, storage)
    if made is None:
        return kernel
    constants = {buffer: storage.constant(array, buffer.dtype) for buffer, array in made.items()}
    body = BufferReplacer(constants).statements(kept)
    left = touched(body)
    return replace(kernel, body=body, scratch=tuple(buffer for buffer in kernel.scratch if buffer in left))


def without_unread(program: Program) -> Program:
    """`program` with the constants that its kernels read."""
    read = owners(buffer for kernel in program.kernels for buffer in loaded(kernel.body))
    return replace(program, constants={b: array for b, array in program.constants.items() if b in read})


def _made(
    statements: Sequence[Statement], needed: set[Buffer], read: set[Buffer], storage: Storage
) -> dict[Buffer, Array] | None:
    """What `statements` leave in the `needed` memory; None where they cannot be run."""
    memory = {buffer: np.ascontiguousarray(storage.constants[buffer]).reshape(-1) for buffer in read}
    for buffer in owners(stored(statements)):
        memory[buffer] = np.zeros(math.prod(buffer.shape), buffer.dtype.numpy)
    try:
        execute(statements, memory)
    except NotExecutableError:
        return None
    return {buffer: memory[buffer].reshape(buffer.shape) for buffer in needed}
