"""Reading ELF64 relocatable objects: bytes in; sections, symbols and relocations out, of one or of several as one."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tenfold_rt.errors import ArtifactError
from tenfold_rt.frozen import frozen
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

_SPECIAL_SECTIONS = 0xFF00


@frozen
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


@frozen
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


@frozen
class Relocation:
    """At `offset` in `section` goes the address of symbol number `symbol` plus `addend`, as `type` says."""

    section: int
    offset: int
    type: int
    symbol: int
    addend: int


@frozen
class ObjectFile:
    """What one object holds.  Only relocations of sections that are loaded are listed."""

    machine: Machine
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]


def merge(objects: Sequence[ObjectFile]) -> ObjectFile:
    """All `objects` as one: what is undefined in one of them is what another one defines.

    `ArtifactError` where two define one name or are for different machines.
    """
    if len(objects) == 1:
        return objects[0]
    sections: list[Section] = []
    symbols: list[Symbol] = []
    relocations: list[Relocation] = []
    for part in objects:
        if part.machine is not objects[0].machine:
            raise ArtifactError("objects for different machines cannot be linked")
        before, first = len(sections), len(symbols)
        sections += [replace(section, index=before + section.index) for section in part.sections]
        symbols += [
            replace(symbol, section=before + symbol.section) if _is_placed(symbol) else symbol
            for symbol in part.symbols
        ]
        relocations += [replace(r, section=before + r.section, symbol=first + r.symbol) for r in part.relocations]
    definitions = _definitions(symbols)
    resolved = [
        definitions.get(symbol.name, number) if symbol.undefined else number for number, symbol in enumerate(symbols)
    ]
    bound = [replace(r, symbol=resolved[r.symbol]) for r in relocations]
    return ObjectFile(objects[0].machine, tuple(sections), tuple(symbols), tuple(bound))


def _is_placed(symbol: Symbol) -> bool:
    """Whether the symbol lies in a section, rather than being undefined or having one of the special indices."""
    return UNDEFINED_SECTION < symbol.section < _SPECIAL_SECTIONS


def _definitions(symbols: Sequence[Symbol]) -> dict[str, int]:
    """The numbers of the symbols that one object defines for others, and the first of each that none defines."""
    known: dict[str, int] = {}
    for number, symbol in enumerate(symbols):
        if symbol.binding == Binding.LOCAL or not symbol.name:
            continue
        if symbol.undefined:
            known.setdefault(symbol.name, number)
        elif symbol.name in known and not symbols[known[symbol.name]].undefined:
            raise ArtifactError(f"two objects define {symbol.name!r}")
        else:
            known[symbol.name] = number
    return known


def parse(data: bytes, names: Mapping[str, str] | None = None) -> ObjectFile:
    """Read `data`, whose symbols are to be called as `names` says.

    `ArtifactError` where it is not an object that can be linked here.
    """
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < HEADER_BYTES:
        raise ArtifactError("not a 64-bit little-endian ELF object")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if kind != RELOCATABLE_FILE:
        raise ArtifactError(f"an ELF file of type {kind}, not a relocatable object")
    if machine not in (Machine.X86_64, Machine.AARCH64):
        raise ArtifactError(f"an ELF object for machine {machine}; x86-64 and aarch64 can be linked")
    try:
        sections = _sections(memoryview(data))
        symbols = _symbols(sections, names or {})
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


def _symbols(sections: tuple[Section, ...], called: Mapping[str, str]) -> tuple[Symbol, ...]:
    table = next((section for section in sections if section.type == SectionType.SYMTAB), None)
    if table is None:
        return ()
    names = sections[table.link].content
    symbols: list[Symbol] = []
    for offset in range(0, table.size, SYMBOL_BYTES):
        name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", table.content, offset)
        found = _name(names, name)
        symbols.append(Symbol(called.get(found, found), info >> 4, info & 15, section, value, size))
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
