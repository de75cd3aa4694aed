"""Calling: what a call costs when there is next to nothing to compute, x * y + x on 16 elements of f32."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import tenfold as tn
from benchmarks.measure import Timing, conditions, in_turns, is_installed
from benchmarks.report import Section, skipped

ELEMENTS = 16
_KEYS = "abcdef"

Calls = dict[str, Callable[[], object]]
"""Case → a call of it, with its arguments bound."""


def section(rounds: int, *, peers: bool) -> Section:
    """Each case with Tenfold and with every peer that is installed and has it."""
    calls: dict[str, Calls] = {"tenfold": _tenfold()}
    missing: list[str] = []
    for name, (module, make) in _PEERS.items() if peers else ():
        if not is_installed(module):
            missing.append(name)
            continue
        try:
            calls[name] = make()
        except Exception as error:  # a peer that is installed but does not run here
            missing.append(f"{name} ({type(error).__name__})")
    cases = dict.fromkeys(case for of_library in calls.values() for case in of_library)
    rows: dict[str, Mapping[str, Timing]] = {}
    for case in cases:
        candidates = {name: of_library[case] for name, of_library in calls.items() if case in of_library}
        rows[case] = in_turns(candidates, rounds)
    title = f"Calls on {ELEMENTS} elements"
    return Section(
        "calls",
        title,
        conditions(("tenfold", *dict.fromkeys(module for module, _ in _PEERS.values()))),
        rows,
        skipped(missing),
    )


def _function(x: Any, y: Any) -> Any:
    return x * y + x


def _sum_of_six(p: Any) -> Any:
    return p["a"] + p["b"] + p["c"] + p["d"] + p["e"] + p["f"]


def _double_six(p: Any) -> Any:
    return {key: value * 2.0 for key, value in p.items()}


def _inputs() -> tuple[Any, Any, dict[str, Any]]:
    rng = np.random.default_rng(0)
    x, y, *six = rng.standard_normal((2 + len(_KEYS), ELEMENTS)).astype(np.float32)
    # Rows of one array are views; copies are what users have.
    return x.copy(), y.copy(), {key: each.copy() for key, each in zip(_KEYS, six, strict=True)}


def _tenfold() -> Calls:
    x, y, six = _inputs()
    tensors = tn.tensor(x), tn.tensor(y)
    state = np.zeros(ELEMENTS, np.float32)  # stays zero; other values would overflow or vanish
    compiled, donating = tn.compile(_function), tn.compile(_function, donate=("x",))
    added, doubled = tn.compile(_sum_of_six), tn.compile(_double_six)
    scaled = tn.compile(_function)
    return {
        "f(x, y)": lambda: compiled(x, y),
        "f(x, y), x donated": lambda: donating(state, y),
        "f(x, y=y), by name": lambda: compiled(x, y=y),
        "f(x, 2.0), a Python number": lambda: scaled(x, 2.0),
        "f(x, y), the library's own arrays": lambda: compiled(*tensors),
        "a dict of 6 arrays in, one array out": lambda: added(six),
        "a dict of 6 arrays in, a dict of 6 out": lambda: doubled(six),
        "x + y, not compiled": lambda: tensors[0] + tensors[1],
    }


def _numpy() -> Calls:
    x, y, six = _inputs()
    return {
        "f(x, y)": lambda: _function(x, y),
        "f(x, y=y), by name": lambda: _function(x, y=y),
        "f(x, 2.0), a Python number": lambda: _function(x, 2.0),
        "a dict of 6 arrays in, one array out": lambda: _sum_of_six(six),
        "a dict of 6 arrays in, a dict of 6 out": lambda: _double_six(six),
        "x + y, not compiled": lambda: x + y,
    }


def _numba() -> Calls:
    numba = importlib.import_module("numba")
    x, y, _ = _inputs()
    compiled = numba.njit(_function)
    return {
        "f(x, y)": lambda: compiled(x, y),
        "f(x, y=y), by name": lambda: compiled(x, y=y),
        "f(x, 2.0), a Python number": lambda: compiled(x, 2.0),
    }


def _jax() -> Calls:
    jax = importlib.import_module("jax")
    x, y, six = _inputs()
    own_x, own_y = jax.numpy.asarray(x), jax.numpy.asarray(y)
    own_six = {key: jax.numpy.asarray(value) for key, value in six.items()}
    compiled, added, doubled = jax.jit(_function), jax.jit(_sum_of_six), jax.jit(_double_six)
    return {
        "f(x, y)": lambda: compiled(x, y),
        "f(x, y=y), by name": lambda: compiled(own_x, y=own_y),
        "f(x, 2.0), a Python number": lambda: compiled(own_x, 2.0),
        "f(x, y), the library's own arrays": lambda: compiled(own_x, own_y),
        "a dict of 6 arrays in, one array out": lambda: added(own_six),
        "a dict of 6 arrays in, a dict of 6 out": lambda: doubled(own_six),
        "x + y, not compiled": lambda: own_x + own_y,
    }


def _torch() -> Calls:
    torch = importlib.import_module("torch")
    x, y, six = _inputs()
    own_x, own_y = torch.from_numpy(x), torch.from_numpy(y)
    own_six = {key: torch.from_numpy(value) for key, value in six.items()}
    return {
        "f(x, y), the library's own arrays": lambda: _function(own_x, own_y),
        "f(x, 2.0), a Python number": lambda: _function(own_x, 2.0),
        "a dict of 6 arrays in, one array out": lambda: _sum_of_six(own_six),
        "a dict of 6 arrays in, a dict of 6 out": lambda: _double_six(own_six),
        "x + y, not compiled": lambda: own_x + own_y,
    }


def _torch_compile() -> Calls:
    torch = importlib.import_module("torch")
    x, y, six = _inputs()
    own_x, own_y = torch.from_numpy(x), torch.from_numpy(y)
    own_six = {key: torch.from_numpy(value) for key, value in six.items()}
    compiled, added = torch.compile(_function), torch.compile(_sum_of_six)
    compiled(own_x, own_y)  # where it cannot compile, this says so
    return {
        "f(x, y), the library's own arrays": lambda: compiled(own_x, own_y),
        "a dict of 6 arrays in, one array out": lambda: added(own_six),
    }


_PEERS: dict[str, tuple[str, Callable[[], Calls]]] = {
    "numpy": ("numpy", _numpy),
    "numba": ("numba", _numba),
    "jax.jit": ("jax", _jax),
    "torch": ("torch", _torch),
    "torch.compile": ("torch", _torch_compile),
}
"""Column → the module it needs and what makes its calls."""
