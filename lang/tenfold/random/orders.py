"""Random orders."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import normalize_axis
from tenfold.functions.creation import counted
from tenfold.functions.taking import index_select
from tenfold.random.threefry import random_bits, require_key, split_in
from tenfold.tracing import TensorLike, lift, wrap
from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

_EXPONENT = 3
"""How rare equal keys must be in all rounds: less than one in this power of the number of elements."""


@tensor_function
def permutation(key: TensorLike, x: int | TensorLike, axis: int = 0, independent: bool = False) -> Tensor:
    """`x` in a random order along an axis, or the numbers from 0 to below an integer `x`.

    All along that axis move together, unless each vector is to be shuffled by itself (`independent`).
    """
    start = require_key("permutation", key)
    if isinstance(x, int):
        return wrap(_shuffled(start, counted((x,), 0, dtypes.i64), 0))
    value = lift(x)
    place = normalize_axis("permutation", axis, value.rank)
    if independent or value.rank == 1:
        return wrap(_shuffled(start, value, place))
    order = _shuffled(start, counted((value.sizes[place],), 0, dtypes.i64), 0)
    return index_select(wrap(value), place, wrap(order))


def _shuffled(key: Var, x: Var, axis: int) -> Var:
    """`x` sorted by random numbers, again and again until equal ones hardly matter."""
    size = max(1, x.type.size)
    rounds = math.ceil(_EXPONENT * math.log(size) / math.log(2**32 - 1))
    for _ in range(rounds):
        key, used = split_in("permutation", key, 2)
        places = random_bits("permutation", used, x.sizes, dtypes.u32)
        _, x = ops.sort([places, x], axis, True, _by_place)
    return x


def _by_place(left: Var, right: Var, *_: Var) -> tuple[Var]:
    return (ops.compare(left, right, Direction.LT),)
