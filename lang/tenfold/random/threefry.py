"""The block cipher that random numbers are made of: Threefry-2x32 with 20 rounds.

J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).  A number depends on
a key and on its own place alone, so that all are computed at once, in any order and by any number of threads.  Which
counters are taken for which place is as in JAX (`jax_threefry_partitionable`), so that equal keys give equal bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tenfold.functions.axes import expand_to, reshape_to
from tenfold.functions.creation import counted, filled
from tenfold.promotion import convert
from tenfold.tracing import TensorLike, here, lift
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType

_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_MOST = 2**32
KEY = TensorType(dtypes.u32, (2,))


def threefry(key: Var, high: Var, low: Var) -> tuple[Var, Var]:
    """The cipher of each pair of counters, `high` and `low` of u32, both of one shape."""
    words = [ops.reshape(ops.slice_(key, (n,), (n + 1,)), ()) for n in range(2)]
    words.append(ops.xor(ops.xor(words[0], words[1]), filled((), _PARITY, dtypes.u32)))

    def added(x: Var, number: int, plus: int = 0) -> Var:
        word = words[number % 3]
        word = ops.add(word, filled((), plus, dtypes.u32)) if plus else word
        return ops.add(x, expand_to(word, x.sizes))

    x, y = added(high, 0), added(low, 1)
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x = ops.add(x, y)
            y = ops.xor(_rotated(y, distance), x)
        x, y = added(x, group + 1), added(y, group + 2, group + 1)
    return x, y


def _rotated(x: Var, distance: int) -> Var:
    left, right = (filled(x.sizes, count, dtypes.u32) for count in (distance, 32 - distance))
    return ops.or_(ops.shift_left(x, left), ops.shift_right_logical(x, right))


def require_key(name: str, key: TensorLike) -> Var:
    """`key` in the innermost trace; `ShapeError` or `DTypeError` where it is none."""
    var = lift(key)
    if var.type == KEY:
        return var
    mend = "make one with tn.random.key(seed)"
    if var.dtype == dtypes.u32 and var.rank > 1 and var.shape[-1] == 2:
        mend = "take one key, or use tn.vmap for several"
    raise (ShapeError if var.dtype == dtypes.u32 else DTypeError)(
        f"{name}: the key is {var.type}, not {KEY}", where=here(), mend=mend
    )


def pairs(name: str, key: Var, shape: Sequence[int]) -> tuple[Var, Var]:
    """Two words of u32 for each element of `shape`."""
    size = math.prod(shape)
    if size > _MOST:
        raise ArgumentError(f"{name}: {size} numbers are more than one key gives", where=here(), mend="split the key")
    high, low = filled((size,), 0, dtypes.u32), counted((size,), 0, dtypes.u32)
    x, y = threefry(key, high, low)
    return reshape_to(x, shape), reshape_to(y, shape)


def random_bits(name: str, key: Var, shape: Sequence[int], dtype: DType) -> Var:
    """Every value of the unsigned `dtype` equally often."""
    x, y = pairs(name, key, shape)
    if dtype.bits != 64:
        return convert(ops.xor(x, y), dtype)
    distance = filled(shape, 32, dtypes.u64)
    return ops.or_(ops.shift_left(convert(x, dtypes.u64), distance), convert(y, dtypes.u64))


def split_key(name: str, key: Var, shape: Sequence[int]) -> Var:
    """Keys, u32 of `shape` and a last axis of 2."""
    words = [ops.reshape(word, (*shape, 1)) for word in pairs(name, key, shape)]
    return ops.concatenate(words, len(shape))


def split_in(name: str, key: Var, count: int) -> list[Var]:
    """`count` keys."""
    keys = split_key(name, key, (count,))
    return [ops.reshape(ops.slice_(keys, (n, 0), (n + 1, 2)), (2,)) for n in range(count)]


def seeded(name: str, seed: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """The key of a seed; `ArgumentError` where that has more than 64 bits."""
    if not -(2**63) <= seed < 2**64:
        raise ArgumentError(f"{name}: the seed {seed} has more than 64 bits", where=here())
    return np.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], np.uint32)
