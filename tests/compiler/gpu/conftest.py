"""Which tests of kernels for GPUs are sweeps: in the interpreter each of theirs takes seconds, so a run draws some."""

from __future__ import annotations

import pytest

SWEEPS = frozenset(
    {
        "test_bulk_products",
        "test_gpu_attention",
        "test_gpu_convolutions",
        "test_gpu_library",
        "test_gpu_library_plans",
        "test_gpu_library_programs",
        "test_gpu_linear_algebra",
        "test_gpu_loops",
        "test_gpu_scans",
        "test_gpu_scatter",
        "test_gpu_sort",
        "test_gpu_tiles",
        "test_gpu_windows",
        "test_thin_products",
        "test_tiled_products",
    }
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in a sweep as slow."""
    for item in items:
        if item.path.stem in SWEEPS:
            item.add_marker(pytest.mark.slow)
