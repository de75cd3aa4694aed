"""What is asked of the driver is in the module that cuda-python has for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenfold_rt import cuda
from tenfold_rt.cuda import encoding

SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in Path(cuda.__file__).parent.glob("*.py"))
FUNCTIONS = sorted(set(re.findall(r'"(cu[A-Z]\w+)"', SOURCE)))
ATTRIBUTES = sorted(set(re.findall(r'_attribute\([\w.]+, [\w.]+, "(\w+)"\)', SOURCE)))


@pytest.fixture(scope="module")
def api() -> object:
    return pytest.importorskip("cuda.bindings.driver")


def test_functions_are_there(api: object) -> None:
    assert len(FUNCTIONS) > 25
    assert [name for name in FUNCTIONS if not hasattr(api, name)] == []


def test_members_of_enumerations_are_there(api: object) -> None:
    named = set(re.findall(r"driver\.(CU\w+)\.(CU_\w+)", SOURCE))
    named |= {("CUfunction_attribute", name) for name in re.findall(r"attributes\.(CU_FUNC\w+)", SOURCE)}
    named |= {("CUdevice_attribute", f"CU_DEVICE_ATTRIBUTE_{name}") for name in ATTRIBUTES}
    parts = ("COMPUTE_CAPABILITY_MAJOR", "COMPUTE_CAPABILITY_MINOR")
    named |= {("CUdevice_attribute", f"CU_DEVICE_ATTRIBUTE_{name}") for name in parts}
    named |= {("CUtensorMapDataType", f"CU_TENSOR_MAP_DATA_TYPE_{name}") for name in encoding._TYPES.values()}
    named |= {("CUtensorMapSwizzle", f"CU_TENSOR_MAP_SWIZZLE_{name}") for name in ("NONE", "32B", "64B", "128B")}
    assert len(named) > 20
    assert [pair for pair in sorted(named) if not hasattr(getattr(api, pair[0]), pair[1])] == []


def test_types_are_made_of_numbers(api: object) -> None:
    for name in ("cuuint64_t", "cuuint32_t", "CUstream"):
        assert int(getattr(api, name)(5)) == 5
    assert getattr(api, "CUresult")(700).name == "CUDA_ERROR_ILLEGAL_ADDRESS"  # noqa: B009 - it is an object to us
