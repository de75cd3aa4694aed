"""Warnings that name the user's line, however deep in Tenfold they arise."""

from __future__ import annotations

import warnings

from tenfold.tracing import user_frame


def warn(message: str) -> None:
    """Give a `UserWarning` as if the line of the user's source that is running gave it: once for each such line."""
    frame = user_frame()
    if frame is None:
        warnings.warn(message, UserWarning, stacklevel=2)
        return
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__", "__main__")
    warnings.warn_explicit(message, UserWarning, frame.f_code.co_filename, frame.f_lineno, module, registry)
