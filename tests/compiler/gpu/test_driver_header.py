"""What libraries take the driver's functions and numbers to be is what NVIDIA's own header says, where that is here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tenfold_rt import dtypes
from tenfold_rt.manifest import Buffer, Entry, GpuCode, Manifest
from tenfold_rt.status import DRIVER_FAILURE
from tenfoldc.artifact.gpu.driver_text import FUNCTIONS
from tenfoldc.artifact.header import header

HEADERS = sorted(Path("/usr/local").glob("cuda*/include/cuda.h"))

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
    pytest.mark.skipif(not HEADERS, reason="NVIDIA's cuda.h is not in /usr/local/cuda/include"),
]

FACTS = """
CUDA_ERROR_OUT_OF_MEMORY == 2
CUDA_ERROR_NO_DEVICE == 100
CUDA_ERROR_INVALID_DEVICE == 101
CUDA_ERROR_INVALID_IMAGE == 200
CUDA_ERROR_NO_BINARY_FOR_GPU == 209
CUDA_ERROR_INVALID_PTX == 218
CUDA_ERROR_UNSUPPORTED_PTX_VERSION == 222
CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES == 8
CU_MEMPOOL_ATTR_RELEASE_THRESHOLD == 4
CU_MEM_ALLOCATION_TYPE_PINNED == 1
CU_MEM_LOCATION_TYPE_DEVICE == 1
sizeof(CUmemPoolProps) == 88
offsetof(CUmemPoolProps, allocType) == 0
offsetof(CUmemPoolProps, location.type) == 8
offsetof(CUmemPoolProps, location.id) == 12
sizeof(cuuint64_t) == 8
sizeof(CUdeviceptr) == 8
sizeof(CUdevice) == 4
sizeof(CUtensorMap) == 128
_Alignof(CUtensorMap) <= 128
CU_TENSOR_MAP_DATA_TYPE_UINT8 == 0
CU_TENSOR_MAP_DATA_TYPE_UINT16 == 1
CU_TENSOR_MAP_DATA_TYPE_UINT32 == 2
CU_TENSOR_MAP_DATA_TYPE_INT32 == 3
CU_TENSOR_MAP_DATA_TYPE_UINT64 == 4
CU_TENSOR_MAP_DATA_TYPE_INT64 == 5
CU_TENSOR_MAP_DATA_TYPE_FLOAT16 == 6
CU_TENSOR_MAP_DATA_TYPE_FLOAT32 == 7
CU_TENSOR_MAP_DATA_TYPE_FLOAT64 == 8
CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 == 9
CU_TENSOR_MAP_SWIZZLE_32B == 1
CU_TENSOR_MAP_SWIZZLE_64B == 2
CU_TENSOR_MAP_SWIZZLE_128B == 3
CU_TENSOR_MAP_L2_PROMOTION_L2_128B == 2
CU_TENSOR_MAP_INTERLEAVE_NONE == 0
CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE == 0
"""

X = Buffer("x", dtypes.f32, (4,))
MANIFEST = Manifest("demo", "0.1.0", "x86_64", "x86-64", (), (Entry("f", (X,), (X,)),), GpuCode("sm_80", ("ptx",), ()))


def accepted(directory: Path, language: str, text: str) -> None:
    (directory / "demo.h").write_text(header(MANIFEST))
    source = directory / "source"
    source.write_text(f'#include <cuda.h>\n#include "demo.h"\n{text}\n')
    flags = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-isystem", str(HEADERS[-1].parent), "-x", language]
    done = subprocess.run(["cc", *flags, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_numbers_and_layouts(tmp_path: Path) -> None:
    facts = "\n".join(f'_Static_assert({fact}, "{fact}");' for fact in FACTS.strip().splitlines())
    accepted(tmp_path, "c", "#include <stddef.h>\n" + facts)


def test_functions_are_those_of_the_versions_that_are_named(tmp_path: Path) -> None:
    accepted(tmp_path, "c", "\n".join(f"void *use_{name}(void) {{ return (void *){name}; }}" for name in FUNCTIONS))


@pytest.mark.parametrize("language", ["c", "c++"])
def test_a_stream_of_the_drivers_is_passed_as_it_is(tmp_path: Path, language: str) -> None:
    body = "int g(const float *x, float *y, CUstream stream) { return f_device(x, y, stream) == TENFOLD_EDRIVER; }"
    accepted(tmp_path, language, body)


def test_results_of_the_driver_are_below_the_first(tmp_path: Path) -> None:
    accepted(tmp_path, "c", f'_Static_assert(TENFOLD_EDRIVER == {DRIVER_FAILURE}, "");')
