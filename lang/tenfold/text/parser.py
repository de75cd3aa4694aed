"""StableHLO text in, tensor IR out: what the command line, golden tests and exported programs go through."""

from __future__ import annotations

from tenfold.text.build import build
from tenfold.text.reader import read
from tenfoldc.ir.core import Module
from tenfoldc.ir.verifier import verify


def parse(text: str, *, file: str = "<text>") -> Module:
    """The module that `text` describes; its entries are the public functions.

    Operations know the file and line that the text gives for them (`loc(...)`), else their own in `file`.

    Raises `ParseError` where the text is not StableHLO, `UnsupportedError` for ops and element types that Tenfold
    lacks, `VerificationError` for functions that do not fit each other, and the errors of the ops' type rules.
    Messages show the line.
    """
    module = build(read(text, file), text, file)
    verify(module)
    return module
