"""Which functions are rewritten: the user's, when a trace is about to call them.

Library code never is: Tenfold's own, the standard library's, and what is installed in site-packages.  The modules that
do the rewriting are loaded when the first function is.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, Literal, TypeAlias, cast

ControlFlow: TypeAlias = Literal["rewrite", "python"]

_STANDARD_LIBRARY = str(Path(os.__file__).parent) + "/"
_OURS = str(Path(__file__).parents[1]) + "/"


class _State(threading.local):
    def __init__(self) -> None:
        self.mode: ControlFlow = "rewrite"


_STATE = _State()


@contextmanager
def control_flow(mode: ControlFlow) -> Generator[None]:
    """Whether functions that are traced inside are rewritten, in this thread."""
    outer, _STATE.mode = _STATE.mode, mode
    try:
        yield
    finally:
        _STATE.mode = outer


def rewritten(function: Any, *, given: bool = True) -> Any:
    """`function`, which is about to be traced, with its control flow rewritten; anything else as it is.

    Methods, `functools.partial` and objects with `__call__` are taken apart.  Functions of installed packages are
    rewritten only where they were `given` to Tenfold, not where rewritten code calls them.
    """
    if _STATE.mode == "python":
        return function
    if isinstance(function, FunctionType):
        return _rewriter().rewritten_function(function) if _is_users(function, given) else function
    if isinstance(function, MethodType):
        return MethodType(rewritten(function.__func__, given=given), function.__self__)
    if isinstance(function, functools.partial):
        whole = cast("functools.partial[Any]", function)
        return functools.partial(rewritten(whole.func, given=given), *whole.args, **whole.keywords)
    kind = cast("type[Any]", type(function))
    call: object = None if issubclass(kind, type) else getattr(kind, "__call__", None)  # noqa: B004
    if isinstance(call, FunctionType) and _is_users(call, given):
        return MethodType(rewritten(call, given=given), function)
    return function


def _is_users(function: FunctionType, given: bool) -> bool:
    file = function.__code__.co_filename
    return not file.startswith((_OURS, "<frozen ")) and (given or not _is_installed(file))


@functools.cache
def _is_installed(file: str) -> bool:
    """Whether a file belongs to the standard library or an installed package."""
    parts = Path(file).parts
    return "site-packages" in parts or "dist-packages" in parts or file.startswith(_STANDARD_LIBRARY)


@functools.cache
def _rewriter() -> ModuleType:
    return importlib.import_module("tenfold.rewrite.rebuild")


def with_rewritten(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a function of functions, those that are functions rewritten, in lists and tuples too."""
    return [_each(value) for value in arguments], {name: _each(value) for name, value in keywords.items()}


def _each(value: Any) -> Any:
    if type(value) is list:
        return [_each(item) for item in cast("list[Any]", value)]
    if type(value) is tuple:
        return tuple(_each(item) for item in cast("tuple[Any, ...]", value))
    return rewritten(value) if isinstance(value, (FunctionType, MethodType, functools.partial)) else value
