"""Which tiles a product is cut into, and how many blocks share one sum: a cost model in cycles.

Larger tiles read less, and smaller ones leave fewer multiprocessors idle.  The time of a product is taken to be that
of its last multiprocessor: how many tiles that has, times their area, over how well a tile of this size is multiplied;
and, where blocks share sums, the time to add up the parts.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.tensor_maps import RUN_BYTES
from tenfoldc.loops.tiles import Multiplier, Tiling
from tenfoldc.target import Target

_MULTIPROCESSORS = {"sm_90": 132, "sm_90a": 132, "sm_80": 108, "sm_86": 84, "sm_89": 128}

_FEWEST_SLICES = 8
"""Slices that a block adds up at least where several share a sum."""

_MOST_PARTS = 32
"""Blocks that share a sum at most: their parts are read again."""

_PART_CYCLES = 0.4
"""What a multiprocessor takes to write an element of a part of sums and to read it again."""

_LAUNCH_CYCLES = 5000
"""What the launch that adds up the parts takes by itself."""

_RATES = {Multiplier.FMA: 128, Multiplier.F64: 150, Multiplier.TF32: 450, Multiplier.BF16: 900, Multiplier.F16: 900}
"""Multiplications of a multiprocessor in one cycle, in tiles of efficiency 1."""


@frozen
class Candidate:
    """A tiling, and how well its tiles are multiplied, 1 being best."""

    tiling: Tiling
    efficiency: float


def bulk_candidates(multiplier: Multiplier) -> list[Candidate]:
    """The tilings for warp groups on sm_90a."""
    if multiplier not in (Multiplier.BF16, Multiplier.F16, Multiplier.TF32):
        return []
    depth = RUN_BYTES // multiplier.factor(dtypes.f32).itemsize
    return [
        Candidate(Tiling(multiplier, 128, 256, depth, 8, 1, 4, bulk=True), 2.4),
        Candidate(Tiling(multiplier, 128, 128, depth, 8, 1, 6, bulk=True), 2.0),
        Candidate(Tiling(multiplier, 64, 128, depth, 4, 1, 6, bulk=True), 1.2),
    ]


def candidates(multiplier: Multiplier) -> list[Candidate]:
    """The tilings for warps and single threads."""
    match multiplier:
        case Multiplier.FMA:
            return [
                Candidate(Tiling(multiplier, 128, 128, 8, 4, 2, 4), 1.0),
                Candidate(Tiling(multiplier, 64, 128, 8, 2, 2, 4), 0.85),
                Candidate(Tiling(multiplier, 128, 64, 8, 4, 1, 4), 0.85),
                Candidate(Tiling(multiplier, 64, 64, 16, 2, 2, 3), 0.7),
                Candidate(Tiling(multiplier, 32, 64, 16, 2, 2, 4), 0.5),
                Candidate(Tiling(multiplier, 32, 32, 16, 2, 1, 4), 0.4),
            ]
        case Multiplier.F64:
            return [
                Candidate(Tiling(multiplier, 64, 64, 16, 2, 2, 2), 1.0),
                Candidate(Tiling(multiplier, 32, 32, 16, 2, 2, 3), 0.6),
            ]
        case Multiplier.TF32:
            return [
                Candidate(Tiling(multiplier, 128, 128, 16, 2, 4, 4), 1.0),
                Candidate(Tiling(multiplier, 64, 128, 16, 2, 2, 4), 0.85),
                Candidate(Tiling(multiplier, 64, 64, 16, 2, 2, 4), 0.65),
                Candidate(Tiling(multiplier, 32, 32, 32, 2, 1, 3), 0.35),
            ]
        case _:
            return [
                Candidate(Tiling(multiplier, 128, 128, 32, 2, 4, 4), 1.0),
                Candidate(Tiling(multiplier, 64, 128, 32, 2, 2, 4), 0.85),
                Candidate(Tiling(multiplier, 64, 64, 32, 2, 2, 4), 0.65),
                Candidate(Tiling(multiplier, 32, 64, 64, 2, 2, 3), 0.45),
                Candidate(Tiling(multiplier, 32, 32, 64, 2, 1, 3), 0.35),
            ]


@frozen
class Cut:
    """A tiling, and over how many blocks the depth of each tile is shared out."""

    tiling: Tiling
    parts: int


def multiprocessors(target: Target) -> int:
    """How many multiprocessors there are, at most, on GPUs of an architecture."""
    return _MULTIPROCESSORS[target.cpu]


def cut(target: Target, multiplier: Multiplier, batch: int, rows: int, columns: int, depth: int, *, bulk: bool) -> Cut:
    """How to cut up a batch of products of these sizes, none of which is 0.

    `bulk`: the factors are such as the copy engine of sm_90a brings.
    """
    processors = multiprocessors(target)

    def tiles_of(tiling: Tiling) -> int:
        return batch * -(-rows // tiling.rows) * -(-columns // tiling.columns)

    def time(choice: tuple[Candidate, int]) -> float:
        candidate, parts = choice
        tiling = candidate.tiling
        turns = -(-tiles_of(tiling) * parts // processors)
        rate = _RATES[multiplier] * candidate.efficiency
        multiplied = turns * tiling.rows * tiling.columns * depth / parts / rate
        if parts == 1:
            return multiplied
        return multiplied + _LAUNCH_CYCLES + _PART_CYCLES * batch * rows * columns * parts / processors

    known = [*(bulk_candidates(multiplier) if bulk else ()), *candidates(multiplier)]
    choices = [
        (candidate, parts)
        for candidate in known
        for parts in sorted({1, _parts(candidate.tiling, tiles_of(candidate.tiling), depth, processors)})
    ]
    best, parts = min(choices, key=time)
    return Cut(best.tiling, parts)


def _parts(tiling: Tiling, tiles: int, depth: int, processors: int) -> int:
    """As many parts as leave no multiprocessor idle, without any that is short or has nothing to do."""
    slices = -(-depth // tiling.depth)
    wanted = min(processors // tiles, slices // _FEWEST_SLICES, _MOST_PARTS)
    if wanted <= 1:
        return 1
    each = -(-slices // wanted)
    return -(-slices // each)
