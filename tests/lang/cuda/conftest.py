"""Two devices that interpret, in place of GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import interpreting_device
import pytest
from gpu_support import standing_in
from interpreting_device import InterpretingDevice

from tenfold import program

SWEEPS = frozenset({"test_cuda_modules", "test_cuda_training"})
"""Modules whose tests take seconds each, so that a run draws some."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in a sweep as slow."""
    for item in items:
        if item.path.stem in SWEEPS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[InterpretingDevice]]:
    """The devices `cuda:0` and `cuda:1`; what is compiled for them is kept apart from what the compiler makes."""
    monkeypatch.setenv("TENFOLD_CACHE_DIR", str(tmp_path_factory.mktemp("plans")))
    monkeypatch.setattr(program, "gpu_compiler", lambda: SimpleNamespace(compile_plan=interpreting_device.compile_plan))
    stand_ins = [InterpretingDevice(), InterpretingDevice(index=1)]
    with standing_in(stand_ins):
        yield stand_ins
