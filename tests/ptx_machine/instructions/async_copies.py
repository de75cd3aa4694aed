"""cp.async: copies of 4, 8 or 16 bytes from global to shared memory, in groups that a thread waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptx_machine import global_memory
from ptx_machine.instructions.bulk_copies import build_bulk_copy
from ptx_machine.instructions.table import builds
from ptx_machine.operands import Assembler, Execute
from ptx_machine.scalars import U32

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

_PREFETCH = ("L2::64B", "L2::128B", "L2::256B")


def build_async_copy(a: Assembler) -> Execute:
    """`cp.async` after its two first words."""
    if a.flag("commit_group"):
        a.end(0)
        return lambda w: w.work.commit()
    if a.flag("wait_all"):
        a.end(0)
        return lambda w: w.work.wait(None)
    if a.flag("wait_group"):
        a.end(1)
        groups = a.integer(0)
        return lambda w: w.work.wait(groups)
    cache = a.required("ca", "cg")
    a.required("shared", "shared::cta")
    a.required("global")
    a.optional(*_PREFETCH)
    a.end((3, 4))
    target, source, size = a.address(0), a.address(1), a.integer(2)
    if size not in (4, 8, 16) or (cache == "cg" and size != 16):
        raise a.unknown(f"{size} bytes")
    used = a.source(3, U32) if a.operand_count == 4 else None

    def execute(w: Wave) -> None:
        offsets = w.shared.offsets(w, w.each(target(w)), size)
        addresses = w.each(source(w))
        data = np.zeros((w.count, size), np.uint8)
        global_memory.check_alignment(w, addresses, size)
        kept = np.full(w.count, size) if used is None else np.minimum(w.each(used(w)), size).astype(np.int64)
        for nbytes in np.unique(kept[kept > 0]).tolist():
            chosen = kept == nbytes
            data[chosen, :nbytes] = _read(w, addresses, chosen, nbytes)
        w.work.copy(offsets, data)

    return execute


def _read(w: Wave, addresses, chosen, nbytes: int):
    """The first `nbytes` at the addresses of the chosen threads, as bytes."""
    before = w.ix, w.count, w.whole
    if not chosen.all():
        w.focus(w.indices[chosen])
    size = next(each for each in (4, 2, 1) if nbytes % each == 0)
    parts = [global_memory.load(w, addresses[chosen] + at, size, 1) for at in range(0, nbytes, size)]
    w.ix, w.count, w.whole = before
    return np.ascontiguousarray(np.concatenate(parts, axis=1)).view(np.uint8)


@builds("cp")
def build_copy(a: Assembler) -> Execute:
    a.required("async")
    if a.flag("bulk"):
        return build_bulk_copy(a)
    return build_async_copy(a)
