"""How the threads of a GPU's block share the tile of a matrix product: sizes, warps, and the instruction."""

from __future__ import annotations

from enum import Enum

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen

WARP = 32
"""Threads of a warp."""


class Multiplier(Enum):
    """What multiplies: fused multiply-adds of single threads, or a warp's tensor-core instruction for these factors.

    Products of 16-bit floats and of `TF32`, whose factors are f32 rounded to 10 bits of fraction, are added up in f32;
    products of f64 in f64, each rounded once.
    """

    FMA = "fma"
    BF16 = "bf16"
    F16 = "f16"
    TF32 = "tf32"
    F64 = "f64"

    def factor(self, total: DType) -> DType:
        """The dtype of factors whose products are added up in `total`."""
        return {Multiplier.BF16: dtypes.bf16, Multiplier.F16: dtypes.f16}.get(self, total)


@frozen
class Tiling:
    """A tile of `rows` x `columns`, of which each of `warp_rows` x `warp_columns` warps has an equal part.

    The depth is taken in slices of `depth`, of which `stages` are in shared memory at one time.  `bulk`: a warp of its
    own has the copy engine bring the slices, and groups of four warps multiply them where they lie (sm_90a).
    """

    multiplier: Multiplier
    rows: int
    columns: int
    depth: int
    warp_rows: int
    warp_columns: int
    stages: int
    bulk: bool = False

    @property
    def warps(self) -> int:
        """Warps that multiply."""
        return self.warp_rows * self.warp_columns

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return WARP * (self.warps + (4 if self.bulk else 0))

    @property
    def part_rows(self) -> int:
        """Rows of a warp's part of the tile."""
        return self.rows // self.warp_rows

    @property
    def part_columns(self) -> int:
        """Columns of a warp's part of the tile."""
        return self.columns // self.warp_columns

    def __str__(self) -> str:
        kind = "bulk " if self.bulk else ""
        warps = f"{self.warp_rows}x{self.warp_columns} warps"
        return f"{kind}{self.multiplier.value} {self.rows}x{self.columns}x{self.depth}, {warps}, {self.stages} stages"
