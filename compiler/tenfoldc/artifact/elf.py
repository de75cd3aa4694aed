"""The linker: ELF64 relocatable objects in, one shared object out, for x86-64 and AArch64.

It does what `ld -shared -z now -z relro -z noexecstack -Bsymbolic` would, in a fraction of a millisecond and
with nothing installed.  Only the names in `exports` are visible; every name that is left undefined must be on
an allow-list.  There is no lazy binding: calls to libc go through the global offset table, by way of a small
stub where the object calls a function directly.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tenfold_rt.errors import ArtifactError
from tenfoldc.artifact import c_library
from tenfoldc.artifact.elf_format import (
    ABSOLUTE_SECTION,
    BIND_NOW_FLAG,
    BIND_NOW_FLAG_1,
    DYNAMIC_BYTES,
    RELA_BYTES,
    SECTION_HEADER_BYTES,
    SYMBOL_BYTES,
    UNDEFINED_SECTION,
    Binding,
    DynamicTag,
    SectionFlag,
    SectionType,
    SegmentHeader,
    StringTable,
    SymbolType,
    align,
    pack_hash_table,
    pack_header,
    pack_rela,
    pack_symbol,
)
from tenfoldc.artifact.elf_layout import Layout, OutputSection, assign, gather
from tenfoldc.artifact.elf_object import ObjectFile, Relocation, Symbol, merge, parse
from tenfoldc.artifact.elf_relocate import PROCESSORS, Processor, call_stub, patch


class Object(Protocol):
    """An object file, and what some of its symbols are to be called."""

    @property
    def code(self) -> bytes:
        """The file."""
        ...

    @property
    def names(self) -> Mapping[str, str]:
        """New names by old."""
        ...


Linkable: TypeAlias = bytes | Object


def link(
    *objects: Linkable,
    soname: str,
    exports: Collection[str],
    allowed_undefined: Collection[str] = c_library.SYMBOLS,
    needed: Sequence[str] | None = None,
    data: Mapping[str, bytes] | None = None,
) -> bytes:
    """The shared object made of all `objects`, position-independent code for x86-64 or AArch64.

    `needed` names the libraries to load with it (default: libc and libm, each only if a symbol of it is
    used). `data` holds large constants that the object refers to as external hidden symbols; they are placed
    in `.rodata`, 64-byte aligned.  `ArtifactError` where a symbol is neither defined, nor in `data`, nor
    allowed, where an export is missing, or where the object uses what a library made here cannot hold.
    """
    parsed = merge([parse(o) if isinstance(o, bytes) else parse(o.code, o.names) for o in objects])
    linker = _Linker(parsed, gather(parsed, data or {}), PROCESSORS[parsed.machine])
    linker.resolve(exports, allowed_undefined)
    linker.plan_indirection()
    imported = [parsed.symbols[index].name for index in linker.imports]
    linker.add_dynamic_sections(soname, c_library.needed(imported) if needed is None else needed)
    segments = assign(linker.layout, linker.processor.page)
    return linker.write(segments)


@dataclass(slots=True)
class _Indirection:
    """A symbol's slot in the global offset table and, if it is called directly, its stub, by offset."""

    slot: int
    stub: int | None = None


class _Linker:
    """The state of one link.  Symbols are named by their index in the object's symbol table."""

    def __init__(self, parsed: ObjectFile, layout: Layout, processor: Processor) -> None:
        self.parsed, self.layout, self.processor = parsed, layout, processor
        self.relocations = [r for r in parsed.relocations if r.section in layout.placed]
        self.imports: list[int] = []
        self.exports: list[int] = []
        self.indirect: dict[int, _Indirection] = {}
        self.dynamic_names = StringTable()
        self.soname = 0
        self.needed: list[int] = []

    # Symbols

    def resolve(self, exports: Collection[str], allowed_undefined: Collection[str]) -> None:
        """Sort out which symbols come from elsewhere and which are visible from elsewhere."""
        for index in dict.fromkeys(relocation.symbol for relocation in self.relocations):
            symbol = self.parsed.symbols[index]
            if not symbol.undefined or symbol.name in self.layout.data:
                continue
            if symbol.name not in allowed_undefined:
                raise ArtifactError(
                    f"the compiled code needs {symbol.name!r}, which is not in the libraries it may use"
                )
            self.imports.append(index)
        self.exports = [
            index
            for index, symbol in enumerate(self.parsed.symbols)
            if symbol.name in exports and not symbol.undefined and symbol.binding != Binding.LOCAL
        ]
        missing = set(exports) - {self.parsed.symbols[index].name for index in self.exports}
        if missing:
            raise ArtifactError(f"the compiled code does not define {', '.join(sorted(missing))}")

    def address(self, index: int) -> int | None:
        """The address of a symbol in the library; None where another library defines it."""
        symbol = self.parsed.symbols[index]
        if symbol.section == ABSOLUTE_SECTION:
            return symbol.value
        if symbol.undefined:
            place = self.layout.data.get(symbol.name)
            return None if place is None else place[0].address + place[1]
        try:
            section, start = self.layout.placed[symbol.section]
        except KeyError:
            raise ArtifactError(f"{symbol.name or 'code'} refers to a section that is not loaded") from None
        return section.address + start + symbol.value

    def plan_indirection(self) -> None:
        """Give a slot to each symbol reached through the table, and a stub to each foreign one called
        directly.
        """
        stubs = 0
        for relocation in self.relocations:
            foreign = relocation.symbol in self.imports
            called = foreign and relocation.type in self.processor.calls
            if not called and relocation.type not in self.processor.through_got:
                continue
            entry = self.indirect.setdefault(relocation.symbol, _Indirection(8 * len(self.indirect)))
            if called and entry.stub is None:
                entry.stub = stubs * self.processor.stub_bytes
                stubs += 1
        if stubs:
            flags = SectionFlag.ALLOC | SectionFlag.EXECUTE
            plt = OutputSection(".plt", SectionType.PROGBITS, flags, 16, self.processor.stub_bytes)
            self.layout.reserve(plt, stubs * self.processor.stub_bytes)

    # Sections that the dynamic loader reads

    def add_dynamic_sections(self, soname: str, needed: Sequence[str]) -> None:
        """Add the sections that describe the library, filled where no address is needed, else reserved."""
        alloc, writable = SectionFlag.ALLOC, SectionFlag.ALLOC | SectionFlag.WRITE
        names = [self.parsed.symbols[index].name for index in self.imports + self.exports]
        for name in names:
            self.dynamic_names.add(name)
        self.soname = self.dynamic_names.add(soname)
        self.needed = [self.dynamic_names.add(name) for name in needed]
        layout = self.layout
        dynsym = OutputSection(".dynsym", SectionType.DYNSYM, alloc, 8, SYMBOL_BYTES, ".dynstr", 1)
        layout.reserve(dynsym, SYMBOL_BYTES * (1 + len(names)))
        layout.add(OutputSection(".dynstr", SectionType.STRTAB, alloc, 1), self.dynamic_names.content)
        hashes = OutputSection(".hash", SectionType.HASH, alloc, 8, 4, ".dynsym")
        layout.add(hashes, pack_hash_table(names))
        absolute = sum(1 for r in self.relocations if r.type == self.processor.absolute)
        if absolute + len(self.indirect):
            rela = OutputSection(".rela.dyn", SectionType.RELA, alloc, 8, RELA_BYTES, ".dynsym")
            layout.reserve(rela, RELA_BYTES * (absolute + len(self.indirect)))
        if self.indirect:
            layout.reserve(OutputSection(".got", SectionType.PROGBITS, writable, 8, 8), 8 * len(self.indirect))
        dynamic = OutputSection(".dynamic", SectionType.DYNAMIC, writable, 8, DYNAMIC_BYTES, ".dynstr")
        layout.reserve(dynamic, DYNAMIC_BYTES * len(self._dynamic_rows(0)))

    def _dynamic_rows(self, relative_count: int) -> list[tuple[DynamicTag, int]]:
        sections = self.layout.sections
        rows = [(DynamicTag.NEEDED, name) for name in self.needed]
        rows += [
            (DynamicTag.SONAME, self.soname),
            (DynamicTag.HASH, sections[".hash"].address),
            (DynamicTag.STRTAB, sections[".dynstr"].address),
            (DynamicTag.SYMTAB, sections[".dynsym"].address),
            (DynamicTag.STRSZ, sections[".dynstr"].size),
            (DynamicTag.SYMENT, SYMBOL_BYTES),
        ]
        if ".rela.dyn" in sections:
            rela = sections[".rela.dyn"]
            rows += [(DynamicTag.RELA, rela.address), (DynamicTag.RELASZ, rela.size)]
            rows += [(DynamicTag.RELAENT, RELA_BYTES), (DynamicTag.RELACOUNT, relative_count)]
        if ".init_array" in sections:
            array = sections[".init_array"]
            rows += [(DynamicTag.INIT_ARRAY, array.address), (DynamicTag.INIT_ARRAYSZ, array.size)]
        if ".fini_array" in sections:
            array = sections[".fini_array"]
            rows += [(DynamicTag.FINI_ARRAY, array.address), (DynamicTag.FINI_ARRAYSZ, array.size)]
        rows += [(DynamicTag.FLAGS, BIND_NOW_FLAG), (DynamicTag.FLAGS_1, BIND_NOW_FLAG_1)]
        return [*rows, (DynamicTag.NULL, 0)]

    # Writing

    def write(self, segments: list[SegmentHeader]) -> bytes:
        """The finished file; every section has its place by now."""
        loaded = self.layout.loaded()
        for index, section in enumerate(loaded, start=1):
            section.index = index
        image = bytearray(max(s.offset + s.size for s in loaded if s.type != SectionType.NOBITS))
        for section in loaded:
            for start, content in section.pieces:
                at = section.offset + start
                image[at : at + len(content)] = content
        image[64 : 64 + 56 * len(segments)] = b"".join(header.pack() for header in segments)
        self._write_stubs(image)
        dynamic_relocations, relative_count = self._relocate(image)
        if dynamic_relocations:
            self._fill(image, ".rela.dyn", dynamic_relocations)
        self._fill(image, ".dynsym", self._dynamic_symbols())
        rows = self._dynamic_rows(relative_count)
        self._fill(image, ".dynamic", b"".join(struct.pack("<QQ", tag, value) for tag, value in rows))
        sections_at, count = _append_sections(image, loaded, self._symbol_table())
        image[:64] = pack_header(self.parsed.machine, len(segments), sections_at, count)
        return bytes(image)

    def _fill(self, image: bytearray, name: str, content: bytes) -> None:
        at = self.layout.sections[name].offset
        image[at : at + len(content)] = content

    def _write_stubs(self, image: bytearray) -> None:
        for entry in self.indirect.values():
            if entry.stub is not None:
                plt, got = self.layout.sections[".plt"], self.layout.sections[".got"]
                stub = call_stub(self.parsed.machine, plt.address + entry.stub, got.address + entry.slot)
                image[plt.offset + entry.stub : plt.offset + entry.stub + len(stub)] = stub

    def _relocate(self, image: bytearray) -> tuple[bytes, int]:
        """Patch the image; return what is left to the dynamic loader, and how much of it is relative."""
        processor = self.processor
        number = {index: position for position, index in enumerate(self.imports, start=1)}
        relative: list[tuple[int, int]] = []
        symbolic: list[tuple[int, int, int, int]] = []
        for relocation in self.relocations:
            section, start = self.layout.placed[relocation.section]
            where = start + relocation.offset
            target = self.address(relocation.symbol)
            if relocation.type != processor.absolute:
                value = self._reach(relocation, target) + relocation.addend
                patch(
                    self.parsed.machine,
                    image,
                    section.offset + where,
                    relocation.type,
                    section.address + where,
                    value,
                )
            elif target is not None:
                relative.append((section.address + where, target + relocation.addend))
            else:
                symbol = number[relocation.symbol]
                symbolic.append((section.address + where, symbol, processor.absolute, relocation.addend))
        for index, entry in self.indirect.items():
            slot, target = self.layout.sections[".got"].address + entry.slot, self.address(index)
            if target is None:
                symbolic.append((slot, number[index], processor.glob_dat, 0))
            else:
                relative.append((slot, target))
        rows = [pack_rela(where, 0, processor.relative, target) for where, target in sorted(relative)]
        rows += [pack_rela(*row) for row in sorted(symbolic)]
        return b"".join(rows), len(relative)

    def _reach(self, relocation: Relocation, target: int | None) -> int:
        """The address that code reaches for: the symbol's own, its slot's, or its stub's."""
        entry = self.indirect.get(relocation.symbol)
        if entry is not None and relocation.type in self.processor.through_got:
            return self.layout.sections[".got"].address + entry.slot
        if target is not None:
            return target
        if entry is not None and entry.stub is not None and relocation.type in self.processor.calls:
            return self.layout.sections[".plt"].address + entry.stub
        name = self.parsed.symbols[relocation.symbol].name
        raise ArtifactError(f"the object reaches {name!r} directly though another library defines it")

    def _output_section(self, symbol: Symbol) -> int:
        if symbol.undefined:
            return UNDEFINED_SECTION
        if symbol.section == ABSOLUTE_SECTION:
            return ABSOLUTE_SECTION
        return self.layout.placed[symbol.section][0].index

    def _dynamic_symbols(self) -> bytes:
        rows, name = [bytes(SYMBOL_BYTES)], 1
        for index in self.imports + self.exports:
            symbol = self.parsed.symbols[index]
            section, value = self._output_section(symbol), self.address(index) or 0
            type_ = SymbolType(symbol.type)
            is_optional = symbol.undefined and symbol.binding == Binding.WEAK
            binding = Binding.WEAK if is_optional else Binding.GLOBAL
            rows.append(pack_symbol(name, binding, type_, section, value, symbol.size))
            name += len(symbol.name.encode()) + 1
        return b"".join(rows)

    def _symbol_table(self) -> tuple[bytes, bytes, int]:
        """The symbols that debuggers and profilers read: rows, names, and how many rows are local."""
        names, local, visible = StringTable(), [bytes(SYMBOL_BYTES)], list[bytes]()
        exported = set(self.exports)
        for index, symbol in enumerate(self.parsed.symbols):
            named = symbol.type in (SymbolType.FUNC, SymbolType.OBJECT) and symbol.name
            if not named or symbol.section not in self.layout.placed:
                continue
            rows, binding = (visible, Binding.GLOBAL) if index in exported else (local, Binding.LOCAL)
            place = (self._output_section(symbol), self.address(index) or 0, symbol.size)
            rows.append(pack_symbol(names.add(symbol.name), binding, SymbolType(symbol.type), *place))
        return b"".join(local + visible), bytes(names.content), len(local)


def _append_sections(image: bytearray, loaded: list[OutputSection], table: tuple[bytes, bytes, int]) -> tuple[int, int]:
    """Append the symbol table and the section headers; return where these start and how many there are."""
    rows, names, local = table
    symtab = OutputSection(
        ".symtab", SectionType.SYMTAB, SectionFlag.NONE, 8, SYMBOL_BYTES, ".strtab", local, len(rows)
    )
    strtab = OutputSection(".strtab", SectionType.STRTAB, SectionFlag.NONE, 1, size=len(names))
    shstrtab = OutputSection(".shstrtab", SectionType.STRTAB, SectionFlag.NONE, 1)
    sections = [*loaded, symtab, strtab, shstrtab]
    section_names = StringTable()
    starts = [section_names.add(section.name) for section in sections]
    shstrtab.size = len(section_names.content)
    for section, content in ((symtab, rows), (strtab, names), (shstrtab, section_names.content)):
        image.extend(bytes(align(len(image), section.alignment) - len(image)))
        section.offset = len(image)
        image.extend(content)
    image.extend(bytes(align(len(image), 8) - len(image)))
    sections_at = len(image)
    index = {section.name: number for number, section in enumerate(sections, start=1)}
    image.extend(bytes(SECTION_HEADER_BYTES))
    for name, section in zip(starts, sections, strict=True):
        image += struct.pack(
            "<IIQQQQIIQQ",
            name,
            section.type,
            section.flags,
            section.address,
            section.offset,
            section.size,
            index.get(section.link, 0),
            section.info,
            section.alignment,
            section.entry_size,
        )
    return sections_at, 1 + len(sections)
