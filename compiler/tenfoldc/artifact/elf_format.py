"""ELF64 as bytes: the constants that the linker here uses, and one packing function per structure.

Names and layouts are those of the System V ABI (gABI 4.1) and its x86-64 and AArch64 supplements.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

from tenfold_rt.frozen import frozen

HEADER_BYTES, SEGMENT_HEADER_BYTES, SECTION_HEADER_BYTES = 64, 56, 64
SYMBOL_BYTES, RELA_BYTES, DYNAMIC_BYTES = 24, 24, 16
UNDEFINED_SECTION, ABSOLUTE_SECTION = 0, 0xFFF1
RELOCATABLE_FILE, SHARED_FILE = 1, 3


class Machine(IntEnum):
    """The processors whose objects can be linked."""

    X86_64 = 62
    AARCH64 = 183


class SectionType(IntEnum):
    NULL = 0
    PROGBITS = 1
    SYMTAB = 2
    STRTAB = 3
    RELA = 4
    HASH = 5
    DYNAMIC = 6
    NOTE = 7
    NOBITS = 8
    DYNSYM = 11
    INIT_ARRAY = 14
    FINI_ARRAY = 15
    X86_64_UNWIND = 0x70000001


class SectionFlag(IntFlag):
    NONE = 0
    WRITE = 1
    ALLOC = 2
    EXECUTE = 4
    TLS = 0x400


class SegmentType(IntEnum):
    LOAD = 1
    DYNAMIC = 2
    NOTE = 4
    GNU_STACK = 0x6474E551
    GNU_RELRO = 0x6474E552


class SegmentFlag(IntFlag):
    EXECUTE = 1
    WRITE = 2
    READ = 4


class Binding(IntEnum):
    LOCAL = 0
    GLOBAL = 1
    WEAK = 2


class SymbolType(IntEnum):
    NOTYPE = 0
    OBJECT = 1
    FUNC = 2
    SECTION = 3
    FILE = 4
    TLS = 6
    GNU_IFUNC = 10


class DynamicTag(IntEnum):
    NULL = 0
    NEEDED = 1
    HASH = 4
    STRTAB = 5
    SYMTAB = 6
    RELA = 7
    RELASZ = 8
    RELAENT = 9
    STRSZ = 10
    SYMENT = 11
    SONAME = 14
    INIT_ARRAY = 25
    FINI_ARRAY = 26
    INIT_ARRAYSZ = 27
    FINI_ARRAYSZ = 28
    FLAGS = 30
    FLAGS_1 = 0x6FFFFFFB
    RELACOUNT = 0x6FFFFFF9


BIND_NOW_FLAG, BIND_NOW_FLAG_1 = 8, 1


@frozen
class SegmentHeader:
    """One program header; `address` is also the physical address."""

    type: SegmentType
    flags: SegmentFlag
    offset: int
    address: int
    file_size: int
    memory_size: int
    alignment: int

    def pack(self) -> bytes:
        return struct.pack(
            "<IIQQQQQQ",
            self.type,
            self.flags,
            self.offset,
            self.address,
            self.address,
            self.file_size,
            self.memory_size,
            self.alignment,
        )


def align(value: int, alignment: int) -> int:
    """The next multiple of `alignment`, a power of two."""
    return (value + alignment - 1) & -alignment


def pack_header(machine: Machine, segments: int, sections_at: int, sections: int) -> bytes:
    """The file header of a shared object whose last section holds the section names."""
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)
    return identification + struct.pack(
        "<HHIQQQIHHHHHH",
        SHARED_FILE,
        machine,
        1,
        0,
        HEADER_BYTES,
        sections_at,
        0,
        HEADER_BYTES,
        SEGMENT_HEADER_BYTES,
        segments,
        SECTION_HEADER_BYTES,
        sections,
        sections - 1,
    )


def pack_symbol(name: int, binding: Binding, type_: int, section: int, value: int, size: int) -> bytes:
    return struct.pack("<IBBHQQ", name, binding << 4 | type_, 0, section, value, size)


def pack_rela(offset: int, symbol: int, type_: int, addend: int) -> bytes:
    return struct.pack("<QQq", offset, symbol << 32 | type_, addend)


class StringTable:
    """A table of NUL-terminated names, as `.dynstr` and its kin hold them."""

    def __init__(self) -> None:
        self.content = bytearray(b"\0")

    def add(self, name: str) -> int:
        """Append `name`; return where it starts."""
        start = len(self.content)
        self.content += name.encode() + b"\0"
        return start


def system_v_hash(name: str) -> int:
    """The hash of the gABI's symbol hash table."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value


def pack_hash_table(names: list[str]) -> bytes:
    """A DT_HASH table for the dynamic symbols `names`, which start at symbol 1."""
    buckets = [0] * max(1, len(names))
    chains = [0] * (len(names) + 1)
    for index, name in enumerate(names, start=1):
        bucket = system_v_hash(name) % len(buckets)
        chains[index], buckets[bucket] = buckets[bucket], index
    return struct.pack(f"<{2 + len(buckets) + len(chains)}I", len(buckets), len(chains), *buckets, *chains)
