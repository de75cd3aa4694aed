"""The programs that JAX exported, with their inputs and outputs (`tests/data/stablehlo`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfoldc.ir.op import OPS

FOLDER = Path(__file__).with_name("data") / "stablehlo"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.mlir")))
WITH_ARRAYS = tuple(name for name in NAMES if (FOLDER / f"{name}.npz").exists())
_OP = re.compile(r"\b(?:stablehlo|chlo)\.[a-z]\w*(?=[\s(\"])")


def text(name: str) -> str:
    """The text of a program; skips the test where it uses an op that Tenfold lacks."""
    content = (FOLDER / f"{name}.mlir").read_text(encoding="utf-8")
    missing = set(_OP.findall(content)) - set(OPS) - {"stablehlo.return"}
    if missing:
        pytest.skip(f"{name} needs {', '.join(sorted(missing))}")
    return content


def arrays(name: str, prefix: str) -> list[NDArray[Any]]:
    """The inputs (`in`) or outputs (`out`) of a program, in order."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        count = sum(key.startswith(prefix) for key in stored.files)
        return [stored[f"{prefix}{number}"] for number in range(count)]
