"""Keys, of which random numbers are made: tensors u32[2], which programs pass on like any other."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tenfold.eager import tensor_function
from tenfold.functions.axes import reshape_to, shape_argument
from tenfold.functions.creation import filled
from tenfold.promotion import convert
from tenfold.random.threefry import random_bits, require_key, seeded, split_key, threefry
from tenfold.specs import DTypeLike, element_type, u32
from tenfold.tracing import TensorLike, TensorValue, here, is_tracing, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


def key(seed: int | TensorLike) -> Tensor:
    """The key of a seed: an integer of up to 64 bits, or an integer scalar that a program computes."""
    if not isinstance(seed, int):
        return _key(seed)
    array = seeded("key", seed)
    return wrap(lift(array)) if is_tracing() else TensorValue.of_array(array)


@tensor_function
def _key(seed: TensorLike) -> Tensor:
    words = _words("key", lift(seed))
    return wrap(ops.concatenate([reshape_to(word, (1,)) for word in words], 0))


def _words(name: str, seed: Var) -> tuple[Var, Var]:
    """The high and the low 32 bits of an integer scalar."""
    if seed.rank or not seed.dtype.is_integer:
        raise DTypeError(f"{name}: takes an integer scalar, not {seed.type}", where=here())
    low = convert(seed, dtypes.u32)
    if seed.dtype.bits < 64:
        return filled((), 0, dtypes.u32), low
    distance = filled((), 32, dtypes.u64)
    return convert(ops.shift_right_logical(convert(seed, dtypes.u64), distance), dtypes.u32), low


@tensor_function
def split(key: TensorLike, num: int | Sequence[int] = 2) -> Tensor:
    """New keys made of one, `num` of them along the first axes; the old one should not be used again."""
    return wrap(split_key("split", require_key("split", key), shape_argument("split", (num,))))


def fold_in(key: TensorLike, data: int | TensorLike) -> Tensor:
    """A new key made of one and an integer of 32 bits, such as the number of a step or of a layer."""
    if isinstance(data, int):
        data = np.asarray(operator.index(data) & 0xFFFFFFFF, np.uint32)
    return _fold_in(key, data)


@tensor_function
def _fold_in(key: TensorLike, data: TensorLike) -> Tensor:
    number = lift(data)
    if number.rank or not number.dtype.is_integer:
        raise DTypeError(f"fold_in: takes an integer scalar, not {number.type}", where=here())
    high, low = filled((1,), 0, dtypes.u32), reshape_to(convert(number, dtypes.u32), (1,))
    return wrap(ops.concatenate(threefry(require_key("fold_in", key), high, low), 0))


@tensor_function
def bits(key: TensorLike, shape: int | Sequence[int] = (), dtype: DTypeLike = u32) -> Tensor:
    """Unsigned integers of which each value is equally likely."""
    kind = element_type(dtype)
    if not kind.is_unsigned:
        raise DTypeError(f"bits: gives unsigned integers, not {kind}", where=here())
    return wrap(random_bits("bits", require_key("bits", key), shape_argument("bits", (shape,)), kind))
