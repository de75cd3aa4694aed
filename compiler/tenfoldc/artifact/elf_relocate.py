"""Relocations of x86-64 and AArch64: which need a GOT slot or a call stub, and how each patches its bytes.

A relocation's `type` is the number in the processor's ELF supplement; the names stand beside them here.
`S` is the address of the symbol, `A` the addend, `P` the address of the patched bytes, `G` the GOT slot.
"""

from __future__ import annotations

import struct

from tenfold_rt.errors import ArtifactError
from tenfold_rt.frozen import frozen
from tenfoldc.artifact.elf_format import Machine


@frozen
class Processor:
    """What differs between processors.  `page` is the largest page that their kernels use."""

    page: int
    relative: int
    absolute: int
    glob_dat: int
    through_got: frozenset[int]
    calls: frozenset[int]
    stub_bytes: int


PROCESSORS = {
    Machine.X86_64: Processor(
        page=0x1000,
        relative=8,
        absolute=1,
        glob_dat=6,
        through_got=frozenset({9, 41, 42}),  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX
        calls=frozenset({4}),  # PLT32
        stub_bytes=8,
    ),
    Machine.AARCH64: Processor(
        page=0x10000,
        relative=1027,
        absolute=257,
        glob_dat=1025,
        through_got=frozenset({311, 312}),  # ADR_GOT_PAGE, LD64_GOT_LO12_NC
        calls=frozenset({282, 283}),  # JUMP26, CALL26
        stub_bytes=16,
    ),
}

# ABS_LO12 of AArch64 loads and stores: by how many bits the offset is scaled.
_SCALED_LOW_12 = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4, 312: 3}


def call_stub(machine: Machine, stub: int, slot: int) -> bytes:
    """Code at address `stub` that jumps to the address in GOT slot `slot`."""
    if machine is Machine.X86_64:
        return b"\xff\x25" + struct.pack("<i", slot - (stub + 6)) + b"\x66\x90"
    adrp = _with_page_immediate(0x90000010, slot, stub)  # adrp x16, slot
    load = 0xF9400210 | (slot & 0xFFF) >> 3 << 10  # ldr x16, [x16, #:lo12:slot]
    return struct.pack("<IIII", adrp, load, 0xD61F0200, 0xD503201F)  # br x16; nop


def patch(machine: Machine, image: bytearray, place: int, type_: int, address: int, value: int) -> None:
    """Write `value` (S + A, or G + A) at file offset `place`, whose address is P, as `type_` encodes it."""
    if machine is Machine.X86_64:
        _patch_x86_64(image, place, type_, value - address)
    else:
        _patch_aarch64(image, place, type_, address, value)


def _patch_x86_64(image: bytearray, place: int, type_: int, distance: int) -> None:
    match type_:
        case 2 | 4 | 9 | 41 | 42:  # PC32, PLT32 and the GOT forms
            if not -(2**31) <= distance < 2**31:
                raise ArtifactError("the library passes 2 GiB, which x86-64 code cannot span")
            struct.pack_into("<i", image, place, distance)
        case 24:  # PC64
            struct.pack_into("<q", image, place, distance)
        case _:
            raise ArtifactError(f"the object has an x86-64 relocation of type {type_}; was it made with reloc='pic'?")


def _patch_aarch64(image: bytearray, place: int, type_: int, address: int, value: int) -> None:
    (word,) = struct.unpack_from("<I", image, place)
    match type_:
        case 275 | 311:  # ADR_PREL_PG_HI21, ADR_GOT_PAGE
            word = _with_page_immediate(word, value, address)
        case 274:  # ADR_PREL_LO21
            word = _with_adr_immediate(word, _in_range(value - address, 21))
        case 282 | 283:  # JUMP26, CALL26
            word = word & 0xFC000000 | _in_range(value - address, 28) >> 2 & 0x3FFFFFF
        case 260:  # PREL64
            struct.pack_into("<q", image, place, value - address)
            return
        case 261:  # PREL32
            word = _in_range(value - address, 32) & 0xFFFFFFFF
        case _ if type_ in _SCALED_LOW_12:
            word = word & ~0x3FFC00 | (value & 0xFFF) >> _SCALED_LOW_12[type_] << 10
        case _:
            raise ArtifactError(f"the object has an AArch64 relocation of type {type_}; was it made with reloc='pic'?")
    struct.pack_into("<I", image, place, word)


def _in_range(distance: int, bits: int) -> int:
    if not -(1 << bits - 1) <= distance < 1 << bits - 1:
        raise ArtifactError(f"the library is too large: a reference spans {distance} bytes, past {bits} bits")
    return distance


def _with_page_immediate(word: int, value: int, address: int) -> int:
    pages = (value >> 12) - (address >> 12)
    return _with_adr_immediate(word, _in_range(pages, 21))


def _with_adr_immediate(word: int, immediate: int) -> int:
    return word & 0x9F00001F | (immediate & 3) << 29 | (immediate >> 2 & 0x7FFFF) << 5
