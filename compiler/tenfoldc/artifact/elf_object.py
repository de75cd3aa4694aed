"""Reading an ELF64 relocatable object: bytes in; its sections, symbols and relocations out."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tenfold_rt.errors import ArtifactError
from tenfoldc.artifact.elf_format import (
    HEADER_BYTES,
    RELA_BYTES,
    RELOCATABLE_FILE,
    SECTION_HEADER_BYTES,
    SYMBOL_BYTES,
    UNDEFINED_SECTION,
    Binding,
    Machine,
    SectionFlag,
    SectionType,
    SymbolType,
)


@dataclass(frozen=True, slots=True)
class Section:
    """One section; `content` is empty for NOBITS, which has only a `size`."""

    index: int
    name: str
    type: int
    flags: int
    size: int
    alignment: int
    link: int
    info: int
    content: memoryview

    def has(self, flag: SectionFlag) -> bool:
        return bool(self.flags & flag)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol; `section` is the index of the section that defines it, `value` an offset in that."""

    name: str
    binding: int
    type: int
    section: int
    value: int
    size: int

    @property
    def undefined(self) -> bool:
        return self.section == UNDEFINED_SECTION


@dataclass(frozen=True, slots=True)
class Relocation:
    """At `offset` in `section` goes the address of symbol number `symbol` plus `addend`, as `type` says."""

    section: int
    offset: int
    type: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """What one object holds.  Only relocations of sections that are loaded are listed."""

    machine: Machine
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]


def parse(data: bytes) -> ObjectFile:
    """Read `data`; `ArtifactError` where it is not an object that can be linked here."""
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < HEADER_BYTES:
        raise ArtifactError("not a 64-bit little-endian ELF object")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if kind != RELOCATABLE_FILE:
        raise ArtifactError(f"an ELF file of type {kind}, not a relocatable object")
    if machine not in (Machine.X86_64, Machine.AARCH64):
        raise ArtifactError(f"an ELF object for machine {machine}; x86-64 and aarch64 can be linked")
    try:
        sections = _sections(memoryview(data))
        symbols = _symbols(sections)
        relocations = _relocations(sections)
    except (struct.error, IndexError, ValueError) as error:
        raise ArtifactError(f"a malformed ELF object: {error}") from error
    parsed = ObjectFile(Machine(machine), sections, symbols, relocations)
    _refuse_thread_locals(parsed)
    return parsed


def _sections(data: memoryview) -> tuple[Section, ...]:
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names_index = struct.unpack_from("<HH", data, 60)
    rows = [struct.unpack_from("<IIQQQQIIQQ", data, table + SECTION_HEADER_BYTES * i) for i in range(count)]
    names = data[rows[names_index][4] :]
    sections: list[Section] = []
    for index, (name, type_, flags, _, offset, size, link, info, alignment, _) in enumerate(rows):
        content = data[0:0] if type_ == SectionType.NOBITS else data[offset : offset + size]
        if type_ != SectionType.NOBITS and len(content) != size:
            raise ValueError("a section reaches past the end")
        sections.append(Section(index, _name(names, name), type_, flags, size, max(alignment, 1), link, info, content))
    return tuple(sections)


def _name(table: memoryview, start: int) -> str:
    end = start
    while table[end]:
        end += 1
    return bytes(table[start:end]).decode()


def _symbols(sections: tuple[Section, ...]) -> tuple[Symbol, ...]:
    table = next((section for section in sections if section.type == SectionType.SYMTAB), None)
    if table is None:
        return ()
    names = sections[table.link].content
    symbols: list[Symbol] = []
    for offset in range(0, table.size, SYMBOL_BYTES):
        name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", table.content, offset)
        symbols.append(Symbol(_name(names, name), info >> 4, info & 15, section, value, size))
    return tuple(symbols)


def _relocations(sections: tuple[Section, ...]) -> tuple[Relocation, ...]:
    relocations: list[Relocation] = []
    for table in sections:
        if table.type != SectionType.RELA or not sections[table.info].has(SectionFlag.ALLOC):
            continue
        for offset in range(0, table.size, RELA_BYTES):
            at, info, addend = struct.unpack_from("<QQq", table.content, offset)
            relocations.append(Relocation(table.info, at, info & 0xFFFFFFFF, info >> 32, addend))
    return tuple(relocations)


def _refuse_thread_locals(parsed: ObjectFile) -> None:
    if any(section.has(SectionFlag.TLS) for section in parsed.sections):
        raise ArtifactError("the object has thread-local variables, which a library made here cannot hold")
    for symbol in parsed.symbols:
        if symbol.type == SymbolType.GNU_IFUNC:
            raise ArtifactError(f"{symbol.name} is an indirect function, which crashes under some C libraries")
        if symbol.section == 0xFFF2 and symbol.binding != Binding.LOCAL:
            raise ArtifactError(f"{symbol.name} is a common symbol; give it an initial value")
