"""Starting up: importing, and the first call of a function that an earlier process has compiled."""

from __future__ import annotations

import tempfile

from benchmarks.measure import Timing, child, conditions, is_installed, timing
from benchmarks.report import Section, skipped

_IMPORT = (
    "import json, time; start = time.perf_counter(); import {};"
    " print(json.dumps(dict([('import', time.perf_counter() - start)])))"
)
_IMPORTED = ("tenfold", "numpy", "numba", "jax", "torch")
_FIRST_CALLS = {"x + y of 16 elements": "add", "MLP training step": "mlp"}


def section(rounds: int, *, peers: bool) -> Section:
    """Import times, and first calls from a warm cache, each in `rounds` fresh processes."""
    wanted = _IMPORTED if peers else _IMPORTED[:1]
    present = [name for name in wanted if is_installed(name)]
    imports: dict[str, list[float]] = {name: [] for name in present}
    for turn in range(rounds + 1):
        for name in present:
            seconds: float = child(["-c", _IMPORT.format(name)])["import"]
            if turn > 0:  # the first may write byte code
                imports[name].append(seconds)
    rows: dict[str, dict[str, Timing]] = {
        "import, NumPy's included": {name: timing(samples) for name, samples in imports.items()}
    }
    with tempfile.TemporaryDirectory() as cache:
        for label, program in _FIRST_CALLS.items():
            rows[f"first cached call, {label}"] = {"tenfold": _first_call(program, cache, rounds)}
    return Section(
        "startup",
        "Startup, in fresh processes",
        conditions(_IMPORTED),
        rows,
        skipped(name for name in wanted if name not in present),
    )


def _first_call(program: str, cache: str, rounds: int) -> Timing:
    """Beyond the import; the first process, which compiles, does not count."""
    samples = [
        child(["-m", "benchmarks.first_call", "tenfold", program], {"TENFOLD_CACHE_DIR": cache})["first call"]
        for _ in range(rounds + 1)
    ]
    return timing(samples[1:])
