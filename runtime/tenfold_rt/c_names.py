"""The C names of what a library exports, made from the names in its manifest.

An entry may be called anything (`<lambda>`, `train.step`, `exp`, `class`); C and C++ want an identifier that
is not a keyword, not a function of the C library, and not taken by another entry.  The rule is part of the
ABI: the compiler exports these names, the header declares them, and the loader looks them up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tenfold_rt.frozen import frozen
from tenfold_rt.manifest import Entry, Manifest


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEYWORDS = _words(
    # C23 and C++26, with the spellings of operators and the macros of <complex.h>, <stdbool.h> and the like.
    "alignas alignof and and_eq asm atomic_cancel atomic_commit atomic_noexcept auto bitand bitor"
    " bool break case catch char char8_t char16_t char32_t class compl complex concept const consteval"
    " constexpr constinit const_cast continue contract_assert co_await co_return co_yield decltype"
    " default delete do double dynamic_cast else enum explicit export extern false final float for"
    " friend goto if imaginary import inline int long module mutable namespace new noexcept noreturn"
    " not not_eq nullptr operator or or_eq override private protected public reflexpr register"
    " reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast"
    " struct switch synchronized template this thread_local throw true try typedef typeid typename"
    " typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq I NULL"
    " EOF assert errno linux unix i386 stdin stdout stderr offsetof"
)
_TYPES = _words(
    "int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t intmax_t uintmax_t"
    " size_t ssize_t ptrdiff_t max_align_t nullptr_t tenfold_ctx tenfold_task"
)
# Functions that compilers know by name: declaring one with another signature is an error or a warning.
_MATH = (
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh drem erf erfc exp exp10 exp2"
    " expm1 fabs fdim finite floor fma fmax fmin fmod frexp gamma hypot ilogb isinf isnan j0 j1 jn"
    " ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter"
    " nexttoward pow pow10 remainder remquo rint round roundeven scalb scalbln scalbn significand sin"
    " sincos sinh sqrt tan tanh tgamma trunc y0 y1 yn cabs cacos cacosh carg casin casinh catan catanh"
    " ccos ccosh cexp cimag clog clog10 conj cpow cproj creal csin csinh csqrt ctan ctanh"
)
_FUNCTIONS = frozenset(name + suffix for name in _MATH.split() for suffix in ("", "f", "l")) | _words(
    "abort abs accept access alarm aligned_alloc alloca at_quick_exit atexit atof atoi atol atoll"
    " bcmp bcopy bind brk bsearch bzero calloc chdir clock clone close connect creat dcgettext"
    " dgettext div dlclose dlopen dlsym dup environ execl execle execlp execv execve execvp exit"
    " fclose fflush ffs ffsl ffsll fgets filter fopen fork fprintf fputc fputs fread free fscanf"
    " fwrite getenv gets gettext imaxabs index init ioctl isalnum isalpha isascii isblank iscntrl"
    " isdigit isfinite isgreater isless isgraph islower isnormal isprint ispunct isspace isupper"
    " iswalpha isxdigit kill labs ldiv link listen llabs longjmp lseek main malloc mblen memccpy"
    " memchr memcmp memcpy memmove mempcpy memset mmap nice open pause perror pipe poll posix_memalign"
    " printf putc putchar puts qsort quick_exit raise rand random read realloc recv remove rename"
    " rindex sbrk scanf select send setjmp shutdown sigaction signal signbit sleep snprintf socket"
    " split sprintf srand sscanf stat stpcpy stpncpy strcasecmp strcat strchr strcmp strcoll strcpy"
    " strcspn strdup strerror strfmon strftime strlen strncasecmp strncat strncmp strncpy strndup"
    " strpbrk strrchr strspn strstr strtod strtol strtoul strxfrm sync system time toascii tolower"
    " toupper truncate umask unlink vfprintf vfscanf vprintf vscanf vsnprintf vsprintf vsscanf wait"
    " write"
)


@frozen
class EntryNames:
    """One entry's functions: with pointers alone, with a context, and the size of its workspace.

    In a library for GPUs there is one with pointers to the GPU's memory, too.
    """

    plain: str
    with_context: str
    workspace: str
    arguments: tuple[str, ...]
    device: str | None = None

    def exported(self) -> frozenset[str]:
        """The names of the functions."""
        return frozenset({self.plain, self.with_context, self.workspace} | ({self.device} if self.device else set()))


@frozen
class LibraryNames:
    """The names that a library exports; `entries` are in the manifest's order, `times` is None where none are kept."""

    manifest: str
    status: str
    python: str
    prefix: str
    entries: tuple[EntryNames, ...]
    times: str | None

    def exported(self) -> frozenset[str]:
        """Every name that the library exports."""
        functions = {name for entry in self.entries for name in entry.exported()}
        times = () if self.times is None else (self.times,)
        return frozenset({self.manifest, self.status, self.python, *times} | functions)


def library_names(manifest: Manifest) -> LibraryNames:
    """The C names for `manifest`; the same manifest always gets the same names."""
    taken: set[str] = set(_KEYWORDS | _TYPES | _FUNCTIONS)
    prefix = _unique(identifier(manifest.library, "library"), taken, _library_family)
    entries: list[EntryNames] = []
    for entry in manifest.entries:
        family = _entry_family if manifest.gpu is None else _gpu_entry_family
        plain = _unique(identifier(entry.name, "entry"), taken, family)
        _, with_context, workspace, *device = family(plain)
        entries.append(EntryNames(plain, with_context, workspace, argument_names(entry), *device))
    manifest_name, status, python = _library_family(prefix)
    is_timed = any(entry.kernels for entry in manifest.entries)
    times = _unique(f"{prefix}_times", taken, lambda name: (name,)) if is_timed else None
    return LibraryNames(manifest_name, status, python, prefix, tuple(entries), times)


def argument_names(entry: Entry) -> tuple[str, ...]:
    """A C name for each parameter and each result, in that order, all different."""
    taken = set(_KEYWORDS | _TYPES | {"ctx", "stream"})
    buffers = entry.parameters + entry.results
    return tuple(_unique(identifier(buffer.name, "arg"), taken, lambda name: (name,)) for buffer in buffers)


def identifier(name: str, default: str) -> str:
    """`name` with what C does not allow replaced; `default` where nothing is left."""
    text = re.sub(r"[^0-9A-Za-z_]+", "_", name)
    # C and C++ keep names that begin with an underscore or hold two together to themselves, as those of an entry's
    # family would that ends with one.
    text = re.sub(r"_{2,}", "_", text).strip("_")
    if not text:
        return default
    return f"n{text}" if text[0].isdigit() else text


def _entry_family(name: str) -> tuple[str, ...]:
    return name, f"{name}_ctx", f"{name}_workspace"


def _gpu_entry_family(name: str) -> tuple[str, ...]:
    return *_entry_family(name), f"{name}_device"


def _library_family(name: str) -> tuple[str, str, str]:
    return f"{name}_manifest", f"{name}_status", f"{name}_python"


def _unique(name: str, taken: set[str], family: Callable[[str], Iterable[str]]) -> str:
    """`name`, with a number if need be, such that no name of its family is `taken`; they are taken then."""
    candidate, number = name, 1
    while not taken.isdisjoint(family(candidate)):
        number += 1
        candidate = f"{name}_{number}"
    taken.update(family(candidate))
    return candidate
