"""Arguments of kernels as the driver takes them: an array of pointers to values, and descriptors of tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from tenfold_rt.cuda.driver import Driver
from tenfold_rt.cuda.plan import TensorMap
from tenfold_rt.errors import DeviceError

_TYPES = {
    "u8": "UINT8",
    "i8": "UINT8",
    "bool": "UINT8",
    "u16": "UINT16",
    "i16": "UINT16",
    "u32": "UINT32",
    "i32": "INT32",
    "u64": "UINT64",
    "i64": "INT64",
    "f16": "FLOAT16",
    "bf16": "BFLOAT16",
    "f32": "FLOAT32",
    "f64": "FLOAT64",
}
_DESCRIPTOR_BYTES = 128


class PackedArguments:
    """Arguments in memory: numbers of 8 bytes, and bytes as they are.  `address` is that of the array of pointers."""

    def __init__(self, arguments: Sequence[int | bytes]) -> None:
        self._values = [
            ctypes.create_string_buffer(each, len(each))
            if isinstance(each, bytes)
            else ctypes.c_uint64(each & 0xFFFFFFFFFFFFFFFF)
            for each in arguments
        ]
        self._pointers = (ctypes.c_void_p * max(len(arguments), 1))(*map(ctypes.addressof, self._values))
        self.address = ctypes.addressof(self._pointers)


def tensor_map(driver: Driver, tensor_map: TensorMap, address: int) -> bytes:
    """What `cuTensorMapEncodeTiled` makes of a tensor at `address`; `DeviceError` for an element type it does not know.

    What lies outside of the tensor is read as zeros; lines of 128 bytes are fetched into the L2 cache.
    """
    if tensor_map.dtype not in _TYPES:
        raise DeviceError(f"the copy engine does not copy {tensor_map.dtype}")
    types, swizzles = driver.CUtensorMapDataType, driver.CUtensorMapSwizzle
    swizzle = f"{tensor_map.swizzle}B" if tensor_map.swizzle else "NONE"
    long, short = driver.cuuint64_t, driver.cuuint32_t
    made: Any = driver.call(
        "cuTensorMapEncodeTiled",
        getattr(types, f"CU_TENSOR_MAP_DATA_TYPE_{_TYPES[tensor_map.dtype]}"),
        len(tensor_map.shape),
        address,
        [long(size) for size in tensor_map.shape],
        [long(stride) for stride in tensor_map.strides],
        [short(size) for size in tensor_map.box],
        [short(1) for _ in tensor_map.box],
        driver.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
        getattr(swizzles, f"CU_TENSOR_MAP_SWIZZLE_{swizzle}"),
        driver.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
        driver.CUtensorMapFloatOOBfill.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
    )
    return ctypes.string_at(made.getPtr(), _DESCRIPTOR_BYTES)
