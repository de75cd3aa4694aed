"""Loads and stores: ld and st in every state space, with vectors; prefetch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ptx_machine import global_memory
from ptx_machine.addresses import LOCAL_START, PARAMETER_START, WINDOWS
from ptx_machine.errors import Misaligned, OutOfBounds
from ptx_machine.instructions.table import builds
from ptx_machine.operands import Array, Assembler, Execute
from ptx_machine.scalars import Scalar
from ptx_machine.syntax import Address, Register, Symbol

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

Load = Callable[["Wave", Array, int, int], Array]
Store = Callable[["Wave", Array, int, Array], None]

_SHARED = ("shared", "shared::cta")
_SCOPES = ("cta", "cluster", "gpu", "sys")
_CACHE = ("ca", "cg", "cs", "lu", "cv")
_EVICTION = ("L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate")
_PREFETCH = ("L2::64B", "L2::128B", "L2::256B")


class Access:
    """The modifiers of a load or a store."""

    def __init__(self, a: Assembler) -> None:
        is_load = a.name == "ld"
        ordering = a.optional("volatile", "weak", "relaxed", "acquire" if is_load else "release")
        if ordering in ("relaxed", "acquire", "release"):
            a.required(*_SCOPES)
        self.ordering = ordering or "weak"
        space = a.optional("global", *_SHARED, "local", "param", "const")
        if space == "param":
            a.optional("func")
        self.space = (space or "generic").partition("::")[0]
        a.optional(*_CACHE)
        self.constant = is_load and a.flag("nc")
        a.optional(*_EVICTION)
        a.optional(*_PREFETCH)
        vector = a.optional("v2", "v4", "v8")
        self.vector = int(vector[1]) if vector else 1
        self.scalar: Scalar = a.scalar("b", "u", "s", "f")
        a.end(2)
        if self.constant and self.space != "global":
            raise a.unknown(f"nc in {self.space} memory")

    @property
    def synchronising(self) -> bool:
        return self.ordering != "weak"

    @property
    def releases(self) -> bool:
        return self.ordering == "release"


@builds("ld")
def build_load(a: Assembler) -> Execute:
    access = Access(a)
    if access.space == "param":
        return _load_parameter(a, access)
    address = a.address(1)
    writes = _vector_targets(a, access)
    size, vector, dtype = access.scalar.nbytes, access.vector, access.scalar.dtype
    if access.space == "global" and vector > 1:
        return _load_used(a, access, address, writes)
    load = loader(access)
    if len(writes) == 1:
        write = writes[0]
        return lambda w: write(w, load(w, w.each(address(w)), size, 1)[:, 0].view(dtype))

    def execute(w: Wave) -> None:
        values = load(w, w.each(address(w)), size, vector).view(dtype)
        for i, put in enumerate(writes):
            put(w, values[:, i])

    return execute


def _load_used(a: Assembler, access: Access, address: Callable[[Wave], Any], writes: Sequence[Any]) -> Execute:
    """A vector from global memory, of which trailing elements that nothing uses may be anything, or nothing.

    They lie in the same 16 bytes as the first, so that a device reads them without harm.
    """
    items = a.items(0)
    used = [not isinstance(item, Register) or a.function.mentions(item.name) > 1 for item in items]
    count = max((number + 1 for number, is_used in enumerate(used) if is_used), default=1)
    size, dtype, nbytes = access.scalar.nbytes, access.scalar.dtype, access.scalar.nbytes * access.vector
    writes = writes[:count]

    def execute(w: Wave) -> None:
        addresses = w.each(address(w))
        global_memory.check_alignment(w, addresses, nbytes)
        loaded = global_memory.load(w, addresses, size, count, access.synchronising, access.constant, aligned=True)
        values = loaded.view(dtype)
        for number, put in enumerate(writes):
            put(w, values[:, number])

    return execute


def _vector_targets(a: Assembler, access: Access) -> list[Any]:
    writes = a.targets(0, access.scalar)
    if len(writes) != access.vector:
        raise a.unknown(f"{len(writes)} registers for a vector of {access.vector}")
    return writes


@builds("st")
def build_store(a: Assembler) -> Execute:
    access = Access(a)
    size, vector = access.scalar.nbytes, access.vector
    reads = a.sources(1, access.scalar)
    if len(reads) != vector:
        raise a.unknown(f"{len(reads)} registers for a vector of {vector}")

    def values(w: Wave) -> Array:
        columns = np.empty((w.count, vector), access.scalar.dtype)
        for i, read in enumerate(reads):
            columns[:, i] = read(w)
        return columns.view(f"u{size}")

    if access.space == "param":
        return _store_parameter(a, values, size * vector)
    store = storer(access)
    address = a.address(0)
    return lambda w: store(w, w.each(address(w)), size, values(w))


# ---- parameters


def _load_parameter(a: Assembler, access: Access) -> Execute:
    operand = a.operand(1)
    writes = _vector_targets(a, access)
    size, vector, dtype = access.scalar.nbytes, access.vector, access.scalar.dtype
    if isinstance(operand, Address) and isinstance(operand.base, Symbol):
        name, start, end = operand.base.name, operand.offset, operand.offset + size * vector
        if name not in a.symbols.parameters:
            frame = frame_name(a, name)

            def execute_frame(w: Wave) -> None:
                values = np.ascontiguousarray(w.frames[frame][w.ix, start:end]).view(dtype)
                for i, put in enumerate(writes):
                    put(w, values[:, i])

            return execute_frame
    address = a.address(1)

    def execute(w: Wave) -> None:
        values = parameter_bytes(w, w.each(address(w)), size, vector).view(dtype)
        for i, put in enumerate(writes):
            put(w, values[:, i])

    return execute


def frame_name(a: Assembler, name: str) -> str:
    """The name of the bytes, per thread, that hold a parameter of a function or of a call."""
    return name if name.startswith(f"{a.function.name}.") else f"{a.function.name}.{name}"


def _store_parameter(a: Assembler, values: Callable[[Wave], Array], nbytes: int) -> Execute:
    operand = a.operand(0)
    if not isinstance(operand, Address) or not isinstance(operand.base, Symbol):
        raise a.unknown("a parameter is named")
    frame, start = frame_name(a, operand.base.name), operand.offset

    def execute(w: Wave) -> None:
        w.frames[frame][w.ix, start : start + nbytes] = np.ascontiguousarray(values(w)).view(np.uint8)

    return execute


def parameter_bytes(w: Wave, addresses: Array, size: int, vector: int) -> Array:
    """Elements of the kernel's parameters."""
    offsets = addresses - PARAMETER_START
    data = w.parameters
    bad = (offsets < 0) | (offsets + size * vector > data.size)
    if bad.any():
        w.fault(OutOfBounds, f"byte {int(offsets[bad][0])} of {data.size} bytes of parameters", int(np.argmax(bad)))
    if (offsets % (size * vector)).any():
        w.fault(Misaligned, "a parameter at an odd address", int(np.argmax(offsets % (size * vector) != 0)))
    return data[offsets[:, None] + np.arange(size * vector)].view(f"u{size}")


# ---- other spaces


def loader(access: Access) -> Load:
    """The function that loads in a state space."""
    if access.space in ("global", "const"):
        return lambda w, x, size, vector: global_memory.load(w, x, size, vector, access.synchronising, access.constant)
    if access.space == "shared":
        return lambda w, x, size, vector: w.shared.load(w, x, size, vector)
    if access.space == "local":
        return local_load
    return lambda w, x, size, vector: _generic_load(w, x, size, vector, access)


def storer(access: Access) -> Store:
    """The function that stores in a state space."""
    if access.space == "global":
        if access.releases:
            return _release_store
        return lambda w, x, size, values: global_memory.store(w, x, size, values, access.synchronising)
    if access.space == "shared":
        return lambda w, x, size, values: w.shared.store(w, x, size, values)
    if access.space == "local":
        return local_store
    return lambda w, x, size, values: _generic_store(w, x, size, values, access)


def _release_store(w: Wave, addresses: Array, size: int, values: Array) -> None:
    w.launch.races.fence(w)
    global_memory.store(w, addresses, size, values, synchronising=True)


def _local_offsets(w: Wave, addresses: Array, nbytes: int) -> Array:
    offsets = addresses - LOCAL_START
    bad = (offsets < 0) | (offsets + nbytes > w.local.shape[1])
    if bad.any():
        w.fault(OutOfBounds, f"byte {int(offsets[bad][0])} of local memory", int(np.argmax(bad)))
    if (offsets & (nbytes - 1)).any():
        w.fault(Misaligned, f"a local address is no multiple of {nbytes}", int(np.argmax(offsets & (nbytes - 1) != 0)))
    return offsets


def local_load(w: Wave, addresses: Array, size: int, vector: int) -> Array:
    first = _local_offsets(w, addresses, size * vector) // size
    return w.local.view(f"u{size}")[w.indices[:, None], first[:, None] + np.arange(vector)]


def local_store(w: Wave, addresses: Array, size: int, values: Array) -> None:
    first = _local_offsets(w, addresses, size * values.shape[1]) // size
    w.local.view(f"u{size}")[w.indices[:, None], first[:, None] + np.arange(values.shape[1])] = values


def _windows(addresses: Array) -> list[tuple[str, int, Array]]:
    """The state spaces that generic addresses lie in: name, start, and the positions there."""
    window = addresses >> 56
    names = {value >> 56: name for name, value in WINDOWS.items()}
    return [
        (names.get(int(number), "global"), int(number) << 56 if int(number) in names else 0, window == number)
        for number in np.unique(window)
    ]


def _generic_load(w: Wave, addresses: Array, size: int, vector: int, access: Access) -> Array:
    result = np.empty((addresses.size, vector), f"u{size}")
    everyone = w.ix, w.count, w.whole
    for space, start, mask in _windows(addresses):
        if not mask.all():
            w.focus(np.arange(w.size)[everyone[0]][mask])
        there = addresses[mask] - start
        if space == "global":
            result[mask] = global_memory.load(w, there, size, vector, access.synchronising)
        elif space == "shared":
            result[mask] = w.shared.load(w, there, size, vector)
        else:
            result[mask] = (local_load if space == "local" else parameter_bytes)(w, there, size, vector)
        w.ix, w.count, w.whole = everyone
    return result


def _generic_store(w: Wave, addresses: Array, size: int, values: Array, access: Access) -> None:
    everyone = w.ix, w.count, w.whole
    for space, start, mask in _windows(addresses):
        if not mask.all():
            w.focus(np.arange(w.size)[everyone[0]][mask])
        there = addresses[mask] - start
        if space == "global":
            (_release_store if access.releases else _plain_store(access))(w, there, size, values[mask])
        elif space == "shared":
            w.shared.store(w, there, size, values[mask])
        elif space == "local":
            local_store(w, there, size, values[mask])
        else:
            w.fault(OutOfBounds, "a store to the kernel's parameters", int(np.argmax(mask)))
        w.ix, w.count, w.whole = everyone


def _plain_store(access: Access) -> Store:
    return lambda w, x, size, values: global_memory.store(w, x, size, values, access.synchronising)


@builds("prefetch", "prefetchu")
def build_prefetch(a: Assembler) -> Execute:
    """A hint without an effect."""
    a.optional("param", "const", "global")
    a.required("tensormap", "L1", "L2")
    a.end(1)
    a.address(0)
    return lambda w: None
