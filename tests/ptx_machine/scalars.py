"""PTX's scalar types and the NumPy types that hold them: `f32` is float32, `b32` its bits as uint32, `pred` bool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

BITS = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16), 32: np.dtype(np.uint32), 64: np.dtype(np.uint64)}
SIGNED = {8: np.dtype(np.int8), 16: np.dtype(np.int16), 32: np.dtype(np.int32), 64: np.dtype(np.int64)}
FLOATS = {16: np.dtype(np.float16), 32: np.dtype(np.float32), 64: np.dtype(np.float64)}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar type: its `kind` is one of `b u s f bf pred`; `packed` types hold two elements in 32 bits."""

    name: str
    kind: str
    bits: int
    dtype: np.dtype[Any]
    packed: bool = False

    @property
    def is_float(self) -> bool:
        return self.kind in ("f", "bf")

    @property
    def is_signed(self) -> bool:
        return self.kind == "s"

    @property
    def nbytes(self) -> int:
        return self.bits // 8

    @property
    def width(self) -> int:
        """The bits of the register that holds a value: both elements' of a packed type."""
        return 32 if self.packed else self.bits


def _scalars() -> dict[str, Scalar]:
    known = {"pred": Scalar("pred", "pred", 1, np.dtype(np.bool_)), "bf16": Scalar("bf16", "bf", 16, BFLOAT16)}
    for kind, table in (("b", BITS), ("u", BITS), ("s", SIGNED), ("f", FLOATS)):
        for bits, dtype in table.items():
            known[f"{kind}{bits}"] = Scalar(f"{kind}{bits}", kind, bits, dtype)
    for name in ("f16", "bf16", "u16", "s16"):
        element = known[name]
        known[f"{name}x2"] = Scalar(f"{name}x2", element.kind, 16, element.dtype, packed=True)
    return known


SCALARS = _scalars()
U8, U16, U32, U64 = (SCALARS[f"u{bits}"] for bits in (8, 16, 32, 64))
S32, S64 = SCALARS["s32"], SCALARS["s64"]
F32, F64 = SCALARS["f32"], SCALARS["f64"]
B16, B32, B64 = SCALARS["b16"], SCALARS["b32"], SCALARS["b64"]
PRED = SCALARS["pred"]
