"""Where everything goes: sections of an object are gathered into output sections, and these into segments.

A segment's address is its file offset plus a whole number of pages, one page more for each segment, so the
file has no padding and yet no two segments share a page of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tenfold_rt.errors import ArtifactError
from tenfoldc.artifact.elf_format import (
    HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    SectionFlag,
    SectionType,
    SegmentFlag,
    SegmentHeader,
    SegmentType,
    align,
)
from tenfoldc.artifact.elf_object import ObjectFile, Section

DATA_ALIGNMENT = 64

_KEPT_TYPES = {
    SectionType.PROGBITS,
    SectionType.NOTE,
    SectionType.NOBITS,
    SectionType.INIT_ARRAY,
    SectionType.FINI_ARRAY,
    SectionType.X86_64_UNWIND,
}

# The loadable sections by segment, in file order; the notes stand first so that one read finds them.
_SEGMENTS: tuple[tuple[SegmentFlag, tuple[str, ...]], ...] = (
    (
        SegmentFlag.READ,
        (".note", ".dynsym", ".dynstr", ".hash", ".rela.dyn", ".rodata", ".eh_frame"),
    ),
    (SegmentFlag.READ | SegmentFlag.EXECUTE, (".plt", ".text")),
    (
        SegmentFlag.READ | SegmentFlag.WRITE,
        (".init_array", ".fini_array", ".data.rel.ro", ".dynamic", ".got"),
    ),
    (SegmentFlag.READ | SegmentFlag.WRITE, (".data", ".bss")),
)
_RELRO_SEGMENT = 2
_OTHER_HEADERS = 4  # dynamic, note, relro, stack


@dataclass(slots=True)
class OutputSection:
    """A section of the library: pieces of bytes at offsets, then its own place once `assign` has run."""

    name: str
    type: SectionType
    flags: SectionFlag
    alignment: int = 8
    entry_size: int = 0
    link: str = ""
    info: int = 0
    size: int = 0
    pieces: list[tuple[int, bytes | bytearray | memoryview]] = field(
        default_factory=list[tuple[int, bytes | bytearray | memoryview]]
    )
    index: int = 0
    offset: int = 0
    address: int = 0

    def append(self, content: bytes | bytearray | memoryview, size: int, alignment: int) -> int:
        """Add `size` bytes, of which `content` (empty for .bss) is stored; return their offset."""
        start = align(self.size, alignment)
        self.alignment = max(self.alignment, alignment)
        self.size = start + size
        if len(content):
            self.pieces.append((start, content))
        return start


@dataclass(slots=True)
class Layout:
    """All output sections by name, and where each section of the object and each constant went."""

    sections: dict[str, OutputSection]
    placed: dict[int, tuple[OutputSection, int]]
    data: dict[str, tuple[OutputSection, int]]

    def add(self, section: OutputSection, content: bytes | bytearray) -> None:
        """Add a section with known content."""
        section.append(content, len(content), section.alignment)
        self.sections[section.name] = section

    def reserve(self, section: OutputSection, size: int) -> None:
        """Add a section whose content is written once addresses are known."""
        section.append(bytes(size), size, section.alignment)
        self.sections[section.name] = section

    def loaded(self) -> list[OutputSection]:
        """The sections that are loaded, in file order."""
        names = [name for _, group in _SEGMENTS for name in group]
        return [self.sections[name] for name in names if name in self.sections]


def gather(parsed: ObjectFile, data: Mapping[str, bytes]) -> Layout:
    """Gather the object's loaded sections and the constants `data` into output sections."""
    layout = Layout({}, {}, {})
    for section in sorted(parsed.sections, key=_array_order):
        name = _output_name(section)
        if name is None:
            continue
        output = layout.sections.get(name)
        if output is None:
            output = layout.sections[name] = _empty(name, section)
        start = output.append(section.content, section.size, section.alignment)
        layout.placed[section.index] = (output, start)
    for name, content in data.items():
        constants = layout.sections.setdefault(
            ".rodata", OutputSection(".rodata", SectionType.PROGBITS, SectionFlag.ALLOC)
        )
        layout.data[name] = (constants, constants.append(content, len(content), DATA_ALIGNMENT))
    return layout


def _array_order(section: Section) -> str:
    """Constructors with a priority carry it in their section's name and run in its order."""
    return section.name if section.type in (SectionType.INIT_ARRAY, SectionType.FINI_ARRAY) else ""


def _empty(name: str, first: Section) -> OutputSection:
    return OutputSection(
        name,
        SectionType(first.type),
        SectionFlag(first.flags) & (SectionFlag.WRITE | SectionFlag.ALLOC | SectionFlag.EXECUTE),
        alignment=1,
    )


def _output_name(section: Section) -> str | None:
    """The output section that `section` belongs to; None where it is not loaded."""
    if not section.has(SectionFlag.ALLOC) or section.type not in _KEPT_TYPES:
        return None
    if section.type == SectionType.NOTE:
        # A gnu.property note speaks for its whole file, so it cannot be merged with ours.
        return None if section.name == ".note.gnu.property" else ".note"
    if section.type == SectionType.INIT_ARRAY:
        return ".init_array"
    if section.type == SectionType.FINI_ARRAY:
        return ".fini_array"
    if section.has(SectionFlag.EXECUTE):
        return ".text"
    if section.has(SectionFlag.WRITE):
        return _writable_name(section)
    return ".eh_frame" if section.name == ".eh_frame" else ".rodata"


def _writable_name(section: Section) -> str:
    if section.type == SectionType.NOBITS:
        return ".bss"
    return ".data.rel.ro" if section.name.startswith(".data.rel.ro") else ".data"


def assign(layout: Layout, page: int) -> list[SegmentHeader]:
    """Give every loaded section its offset and address; return the program headers."""
    page = max([page, *(section.alignment for section in layout.sections.values())])
    if page > 1 << 21:
        raise ArtifactError(f"the object asks for an alignment of {page} bytes, past 2 MiB")
    groups = [
        (flags, [layout.sections[name] for name in names if name in layout.sections]) for flags, names in _SEGMENTS
    ]
    count = sum(1 for _, sections in groups if sections) + _OTHER_HEADERS
    cursor = HEADER_BYTES + SEGMENT_HEADER_BYTES * count
    headers: list[SegmentHeader] = []
    special: list[SegmentHeader] = []
    for number, (flags, sections) in enumerate(groups):
        if not sections:
            continue
        cursor = align(cursor, sections[0].alignment)
        start = 0 if number == 0 else cursor
        end, memory_end = _place(sections, cursor, number * page)
        address = start + number * page
        headers.append(SegmentHeader(SegmentType.LOAD, flags, start, address, end - start, memory_end - start, page))
        if number == _RELRO_SEGMENT:
            size = align(address + memory_end - start, page) - address
            special.append(SegmentHeader(SegmentType.GNU_RELRO, SegmentFlag.READ, start, address, end - start, size, 1))
        cursor = end
    special += _pointers_to_sections(layout)
    special += [SegmentHeader(SegmentType.GNU_STACK, SegmentFlag.READ | SegmentFlag.WRITE, 0, 0, 0, 0, 16)]
    return headers + special


def _place(sections: Iterable[OutputSection], cursor: int, shift: int) -> tuple[int, int]:
    """Place one segment's sections from file offset `cursor`; return where its file and its memory end."""
    memory = cursor
    for number, section in enumerate(sections, start=1):
        memory = align(memory, section.alignment)
        section.index, section.offset, section.address = number, memory, memory + shift
        memory += section.size
        if section.type != SectionType.NOBITS:
            cursor = memory
    return cursor, memory


def _pointers_to_sections(layout: Layout) -> list[SegmentHeader]:
    pointers: list[SegmentHeader] = []
    for name, type_ in ((".dynamic", SegmentType.DYNAMIC), (".note", SegmentType.NOTE)):
        section = layout.sections.get(name)
        if section is not None:
            flags = SegmentFlag.READ
            if section.flags & SectionFlag.WRITE:
                flags |= SegmentFlag.WRITE
            size = section.size
            pointers.append(SegmentHeader(type_, flags, section.offset, section.address, size, size, section.alignment))
    return pointers
