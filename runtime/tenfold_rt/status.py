"""What an entry of a library returns: 0, or a negative number that says why it did nothing.

The numbers are part of the ABI and are never reused.  The compiler writes the messages into every library,
and the names into every header.
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """A status by its name in the C header, less the `TENFOLD_` prefix."""

    OK = 0
    EARG = -1
    ESHAPE = -2
    EALIGN = -3
    EALIAS = -4
    ENOMEM = -5
    EABI = -6
    ECPU = -7

    @property
    def message(self) -> str:
        """What the status means, for a person."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.OK: "success",
    Status.EARG: "a pointer to a tensor that is not empty is null",
    Status.ESHAPE: "a size is negative or larger than the function was compiled for",
    Status.EALIGN: "a pointer is not aligned to its elements, or the workspace not to 64 bytes",
    Status.EALIAS: "a result overlaps a parameter or another result",
    Status.ENOMEM: "out of memory for the workspace",
    Status.EABI: "tenfold_ctx.size is smaller than this library's tenfold_ctx",
    Status.ECPU: "this CPU lacks instructions that the library was compiled for",
}
