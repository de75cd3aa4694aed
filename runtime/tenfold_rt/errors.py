"""The catalogue of errors: every message a user can meet belongs to one of these classes.

A message says what is wrong, where in the user's source, and how to mend it, in that order: `matmul:
contracting sizes differ, 784 (x, axis 1) and 512 (w, axis 0), at mlp.py:12; transpose w or reshape x`.
Each class is also the built-in one that NumPy or PyTorch would raise: `ValueError`, `RuntimeError`, `IndexError`.
"""

from __future__ import annotations

from pickle import UnpicklingError
from typing import Self


class TenfoldError(Exception):
    """The base of all errors that Tenfold raises on purpose.

    `what`: what is wrong, beginning with the operation's name where there is one.
    `where`: the place in the user's source, as `file:line`; empty where the traceback says it already.
    `mend`: what to do about it; empty where `what` says it already.
    `excerpt`: the lines of text or IR that it is about, where showing them helps.
    """

    def __init__(self, what: str, *, where: str = "", mend: str = "", excerpt: str = "") -> None:
        self.what, self.where, self.mend, self.excerpt = what, where, mend, excerpt
        message = what + (f", at {where}" if where else "") + (f"; {mend}" if mend else "")
        super().__init__(message + (f"\n{excerpt}" if excerpt else ""))

    def at(self, where: object) -> Self:
        """This error with its place added, unless it has one or `where` is None."""
        if self.where or where is None:
            return self
        return type(self)(self.what, where=str(where), mend=self.mend, excerpt=self.excerpt)


class ShapeError(TenfoldError, ValueError, RuntimeError):
    """Shapes that do not fit together.  Mend: reshape, transpose or broadcast as the message says."""


class DTypeError(TenfoldError, TypeError, RuntimeError):
    """Element types that an operation does not take.  Mend: convert with `x.to(dtype)`."""


class ArgumentError(TenfoldError, ValueError, RuntimeError):
    """An argument with a value or of a kind that is not allowed (an unknown mode, a negative size)."""


class RangeError(ArgumentError, IndexError):
    """An axis, or an index into one, that is out of range.  Mend: count from 0, or from the end with -1."""


class GradientError(TenfoldError, RuntimeError):
    """A gradient that cannot be had: nothing requires it, its graph was freed, or a tensor was changed meanwhile."""


class MemberError(TenfoldError, AttributeError, KeyError):
    """A name that a module does not have, or cannot give to a member.  Mend: choose a name of `dir(module)`."""

    __str__ = Exception.__str__  # Not KeyError's, which quotes the message.


class StateError(TenfoldError, RuntimeError):
    """A state dict whose names or shapes are not those of the module.  Mend: `strict=False` for names."""


class TraceError(TenfoldError, TypeError):
    """Python asked a traced tensor for its value (`if`, `while`, `bool()`, `int()`, `float()`), which is
    known only when the compiled code runs.  Mend: `tn.where`, or mark the argument static."""


class SpecError(TenfoldError, TypeError):
    """A call or a request does not fit a function's argument specs, or specs are missing."""


class UnsupportedError(TenfoldError, NotImplementedError):
    """A thing that is meaningful but that Tenfold does not compile or differentiate (yet)."""


class ParseError(TenfoldError, ValueError):
    """Text that is not StableHLO, or not the part of it that Tenfold reads."""


class VerificationError(TenfoldError, ValueError):
    """IR that breaks a rule: from a hand-written or foreign file, or a defect in a pass."""


class RequestError(TenfoldError, ValueError):
    """A command-line or export request that cannot be met: no such function, an unwritable output."""


class ArtifactError(TenfoldError, OSError):
    """A shared library that cannot be made, loaded, or called with these arguments."""


class SaveError(TenfoldError, OSError, RuntimeError):
    """Tensors that cannot be written: no room, no directory, no permission.  The file is as it was before."""


class FileFormatError(TenfoldError, ValueError, RuntimeError):
    """A file of tensors that is damaged, cut short, or in a format that is not read."""


class UnsafeFileError(FileFormatError, UnpicklingError):
    """A file that names code to run, where only tensors and plain data are read."""


class WorkerTimeoutError(TenfoldError, TimeoutError, RuntimeError):
    """A worker of a `DataLoader` that took longer over a batch than its `timeout`."""


class DeviceError(TenfoldError, RuntimeError):
    """A GPU that cannot be used: no driver, one that is too old, no such device, or one on which a kernel failed."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A GPU's memory does not suffice.  Mend: smaller batches, or let go of tensors that are not needed any more."""


class PlacementError(TenfoldError, TypeError, RuntimeError):
    """Tensors that are not on the device where they are needed.  Mend: `x.to(device)`, or `x.cpu()`."""
