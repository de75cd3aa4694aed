"""The gamma distribution, by rejection, each element with a key of its own.

G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables" (2000); below 1 a sample of a + 1 is
multiplied by a uniform number to the power of 1/a.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tenfold.control.loops import while_loop
from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import where
from tenfold.functions.axes import expand_to, reshape_to
from tenfold.functions.elementwise import log, sqrt
from tenfold.promotion import as_dtype
from tenfold.random.distributions import Shape, float_type, normal, shape_of, uniform
from tenfold.random.keys import split
from tenfold.random.threefry import require_key, split_key
from tenfold.specs import DTypeLike, f32
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold.transforms.custom import custom_jvp
from tenfold.transforms.vmap import vmap
from tenfold_rt.errors import UnsupportedError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

_SQUEEZE = 0.0331


@tensor_function
def gamma(key: TensorLike, a: TensorLike, shape: Shape | None = None, dtype: DTypeLike = f32) -> Tensor:
    """Numbers of the gamma distribution of shape parameter `a` and scale 1.

    Multiply by the scale; of `a` there is no derivative (`UnsupportedError`).
    """
    kind = float_type("gamma", dtype)
    (parameter,) = as_dtype((a,), kind)
    sizes = shape_of("gamma", shape, parameter)
    flat = reshape_to(expand_to(parameter, sizes), (math.prod(sizes),))
    keys = split_key("gamma", require_key("gamma", key), flat.sizes)
    return wrap(reshape_to(lift(_samples(wrap(keys), wrap(flat))), sizes))


@custom_jvp
def _samples(keys: Tensor, a: Tensor) -> Tensor:
    return vmap(_sample)(keys, a)


@_samples.defjvp
def _(primals: object, tangents: object) -> NoReturn:
    raise UnsupportedError(
        "gamma: has no derivative by its parameter", where=here(), mend="stop it with tn.stop_gradient"
    )


def _sample(key: Tensor, a: Tensor) -> Tensor:
    """One number, with the key that belongs to it."""
    is_large = a >= 1
    raised = where(is_large, a, a + 1)
    third = a * 0 + 1 / 3
    d = raised - third
    c = third / sqrt(d)
    dtype = a.dtype

    def is_rejected(state: Sequence[Any]) -> Tensor:
        _, square, volume, chance = state
        beyond = chance >= 1 - _SQUEEZE * (square * square)
        return beyond & (log(chance) >= square * 0.5 + d * ((1 - volume) + log(volume)))

    def attempt(state: Sequence[Any]) -> tuple[Tensor, ...]:
        keys = split(state[0], 3)

        def again(inner: Sequence[Any]) -> tuple[Tensor, ...]:
            pair = split(inner[0])
            x = normal(pair[1], (), dtype)
            return pair[0], x, 1 + x * c

        zero = a * 0
        _, x, v = while_loop(lambda inner: inner[2] <= 0, again, (keys[1], zero, zero - 1))
        return keys[0], x * x, v * v * v, uniform(keys[2], (), dtype)

    pair = split(key)
    zero = a * 0
    volume = while_loop(is_rejected, attempt, (pair[0], zero, zero + 1, zero + 2))[2]
    share = 1 - uniform(pair[1], (), dtype)
    return d * volume * where(is_large, zero + 1, share ** (1 / a))
