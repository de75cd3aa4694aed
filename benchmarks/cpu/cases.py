"""All cases, theme by theme, in the order of the table."""

from __future__ import annotations

from benchmarks.cpu import (
    attention,
    convolutions,
    elementwise,
    indexed,
    loops,
    products,
    programs,
    reductions,
    rows,
    training,
)
from benchmarks.cpu.case import Case

CASES: tuple[Case, ...] = (
    *products.CASES,
    *elementwise.CASES,
    *rows.CASES,
    *reductions.CASES,
    *indexed.CASES,
    *convolutions.CASES,
    *attention.CASES,
    *loops.CASES,
    *programs.CASES,
    *training.CASES,
)
