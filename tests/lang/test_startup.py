"""What starting up loads: neither `import tenfold` nor a call of what is compiled already needs a compiler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# Slow to import, and of use only to compile, to read programs as text, or for the command line.
HEAVY = {
    "asyncio",
    "click",
    "concurrent.futures",
    "lark",
    "llvmlite",
    "ml_dtypes",
    "multiprocessing",
    "numpy.random",
    "numpy.testing",
    "tempfile",
    "zipfile",
}
STAGES = {f"tenfoldc.{stage}" for stage in ("simplify", "fuse", "lower", "schedule", "allocate", "emit", "pipeline")}

IMPORT = "import tenfold as tn"
CALL = """
import numpy as np
import tenfold as tn

@tn.compile
def step(w, x):
    value, gradient = tn.value_and_grad(lambda w: tn.sum(tn.tanh(x @ w)))(w)
    return {"w": w - 0.1 * gradient, "value": value}

step(np.ones((3, 2), np.float32), np.ones((4, 3), np.float32))
"""


def loaded(code: str, cache: Path) -> set[str]:
    """The names of the modules that a process which runs `code` has loaded at its end."""
    report = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "TENFOLD_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code + report], env=environment, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded(IMPORT, tmp_path) & (HEAVY | STAGES) == set()


def test_import_loads_nothing_that_rewrites(tmp_path: Path) -> None:
    assert {name for name in loaded(IMPORT, tmp_path) if name.startswith("tenfold.rewrite.")} == {
        "tenfold.rewrite.convert"
    }


def test_cached_call_loads_nothing_heavy(tmp_path: Path) -> None:
    assert "llvmlite" in loaded(CALL, tmp_path)
    assert loaded(CALL, tmp_path) & (HEAVY | STAGES) == set()
