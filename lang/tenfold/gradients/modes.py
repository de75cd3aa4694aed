"""Whether calls are remembered for their gradients: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`.

Each is a context manager and a decorator; the state is each thread's own.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any, ParamSpec, Self, TypeVar, cast, overload

from tenfold.lazy.graph import GRAPH
from tenfold.tracing import here, is_in_remembered_region, is_tracing
from tenfold_rt.errors import UnsupportedError

P = ParamSpec("P")
R = TypeVar("R")


class _Mode(threading.local):
    enabled = True
    inference = False


_MODE = _Mode()


def is_grad_enabled() -> bool:
    """Whether calls on tensors that require gradients are remembered in this thread."""
    return _MODE.enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return _MODE.inference


class _Setting:
    """A context manager that sets the mode, and a decorator for functions that run in it."""

    _enabled: bool
    _inference: bool | None = None

    def __init__(self) -> None:
        self._saved: list[tuple[bool, bool]] = []

    def __enter__(self) -> Self:
        if not self._enabled and is_in_remembered_region():
            raise UnsupportedError(
                "gradients cannot be turned off inside a branch or a loop over traced values",
                where=here(),
                mend="use x.detach() there",
            )
        self._saved.append((_MODE.enabled, _MODE.inference))
        _MODE.enabled = self._enabled
        if self._inference is not None:
            _MODE.inference = self._inference
        return self

    def __exit__(self, *_: object) -> None:
        _MODE.enabled, _MODE.inference = self._saved.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function):
            return cast("Callable[P, R]", self._generating(function))

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return function(*args, **kwargs)

        return call

    def _generating(self, function: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
        """A generator function, each of whose steps runs in the mode."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            generator = function(*args, **kwargs)
            resume: Callable[[], Any] = functools.partial(next, generator)
            while True:
                try:
                    with self._again():
                        given = resume()
                except StopIteration as stop:
                    return stop.value
                try:
                    resume = functools.partial(generator.send, (yield given))
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:
                    resume = functools.partial(generator.throw, error)

        return call

    def _again(self) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._saved = []
        return other


def _decorating(setting: type[_Setting], function: Any) -> Any:
    """`@setting` without parentheses."""
    return setting()(function)


class _Without(_Setting):
    """Nothing inside is remembered for gradients; what was recorded by its end is run.

    Such blocks hold the updates and evaluations of a training loop, so their ends cut what a loop records into the same
    groups at every turn.
    """

    _enabled = False

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if _MODE.enabled and not is_tracing() and error[0] is None:
            GRAPH.run()


class no_grad(_Without):  # noqa: N801 - the field's name
    """Nothing inside is remembered for gradients."""

    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: Callable[P, R]) -> Callable[P, R]: ...
    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else _decorating(cls, function)

    def __init__(self, function: None = None) -> None:
        super().__init__()


class enable_grad(_Setting):  # noqa: N801 - the field's name
    """What is inside is remembered for gradients, also within `no_grad`."""

    _enabled = True

    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: Callable[P, R]) -> Callable[P, R]: ...
    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else _decorating(cls, function)

    def __init__(self, function: None = None) -> None:
        super().__init__()


class set_grad_enabled(_Setting):  # noqa: N801 - the field's name
    """As `enable_grad` or `no_grad`, as `mode` says; it takes effect at once, and until the end of a `with`."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._enabled = bool(mode)
        self._before = _MODE.enabled
        _MODE.enabled = self._enabled

    def __enter__(self) -> Self:
        self._saved.append((self._before, _MODE.inference))
        _MODE.enabled = self._enabled
        return self

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        _MODE.enabled = self._before
        return super().__call__(function)

    def _again(self) -> Self:
        other = super()._again()
        other._before = _MODE.enabled
        return other


class inference_mode(_Without):  # noqa: N801 - the field's name
    """`no_grad`, whose results stay outside gradients for good."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._enabled = not mode and _MODE.enabled
        self._inference = bool(mode)

    def __new__(cls, mode: Any = True) -> Any:
        return _decorating(cls, mode) if callable(mode) else super().__new__(cls)
