"""The names that PyTorch's files have for element types and for the memory of tensors."""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType

STORAGES: dict[str, DType] = {
    "BoolStorage": dtypes.bool_,
    "ByteStorage": dtypes.u8,
    "CharStorage": dtypes.i8,
    "ShortStorage": dtypes.i16,
    "IntStorage": dtypes.i32,
    "LongStorage": dtypes.i64,
    "HalfStorage": dtypes.f16,
    "BFloat16Storage": dtypes.bf16,
    "FloatStorage": dtypes.f32,
    "DoubleStorage": dtypes.f64,
    "ComplexFloatStorage": dtypes.c64,
    "ComplexDoubleStorage": dtypes.c128,
}
"""The classes of typed memory; the other element types are written over untyped memory, with the type's name."""

STORAGE_NAMES: dict[DType, str] = {dtype: name for name, dtype in STORAGES.items()}
DTYPES: dict[str, DType] = {dtype.numpy_name: dtype for dtype in dtypes.ALL}

UNTYPED_STORAGE = "torch.storage UntypedStorage"
REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
REBUILD_TENSOR_WITH_DTYPE = "torch._utils _rebuild_tensor_v3"
REBUILD_PARAMETER = "torch._utils _rebuild_parameter"
REBUILD_PARAMETER_WITH_STATE = "torch._utils _rebuild_parameter_with_state"
