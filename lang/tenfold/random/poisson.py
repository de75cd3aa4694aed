"""The Poisson distribution: by waiting times where the rate is small, else by rejection.

Below a rate of 10 the number is how many uniform numbers can be multiplied before the product falls below exp(-rate)
(D. Knuth, "The Art of Computer Programming", volume 2, 3.4.1); from there on it is W. Hörmann's PTRS, "The transformed
rejection method for generating Poisson random variables" (1993), in f64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tenfold.control.loops import while_loop
from tenfold.eager import tensor_function
from tenfold.functions import elementwise
from tenfold.functions.arithmetic import stop_gradient, where
from tenfold.functions.axes import expand_to
from tenfold.functions.special import lgamma
from tenfold.promotion import as_dtype
from tenfold.random.distributions import Shape, shape_of, uniform
from tenfold.random.keys import split
from tenfold.random.threefry import require_key
from tenfold.specs import DTypeLike, element_type, i32
from tenfold.tracing import TensorLike, here, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

_LARGE = 10.0
"""The rate from which on PTRS is valid."""


@tensor_function
def poisson(key: TensorLike, lam: TensorLike, shape: Shape | None = None, dtype: DTypeLike = i32) -> Tensor:
    """How often something happens that happens `lam` times on average; -1 where `lam` is negative or not finite.

    There is no derivative by `lam`: it is zero.
    """
    kind = element_type(dtype)
    if not kind.is_integer:
        raise DTypeError(f"poisson: gives integers, not {kind}", where=here())
    (given,) = as_dtype((lam,), dtypes.f64)
    sizes = shape_of("poisson", shape, given)
    start, rate = wrap(require_key("poisson", key)), stop_gradient(wrap(expand_to(given, sizes)))
    is_rate = (rate >= 0) & elementwise.isfinite(rate)
    is_large = is_rate & (rate >= _LARGE)
    small = _by_waiting(start, where(is_rate & ~is_large, rate, 0.0))
    large = _by_rejection(start, where(is_large, rate, _LARGE))
    return elementwise.to(where(is_rate, where(is_large, large, small), -1.0), dtype)


def _by_waiting(key: Tensor, rate: Tensor) -> Tensor:
    """How many uniform numbers are multiplied before the product is at most exp(-rate), less one; in logarithms."""

    def is_unfinished(state: Sequence[Any]) -> Tensor:
        return (state[2] > -rate).any()

    def another(state: Sequence[Any]) -> tuple[Tensor, ...]:
        key, count, product = state
        pair = split(key)
        more = where(product > -rate, count + 1, count)
        return pair[0], more, product + elementwise.log(elementwise.to(uniform(pair[1], rate.shape), rate.dtype))

    zeros = rate * 0
    return while_loop(is_unfinished, another, (key, zeros - where(rate > 0, 1.0, 0.0), zeros))[1]


def _by_rejection(key: Tensor, rate: Tensor) -> Tensor:
    """PTRS: a table mountain hat over the histogram, and the quick acceptance of most points under it."""
    b = 0.931 + 2.53 * elementwise.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    sure = 0.9277 - 3.6224 / (b - 2)
    logarithm = elementwise.log(rate)

    def is_unfinished(state: Sequence[Any]) -> Tensor:
        return ~state[2].all()

    def attempt(state: Sequence[Any]) -> tuple[Tensor, ...]:
        key, found, is_found = state
        keys = split(key, 3)
        u, v = (elementwise.to(uniform(keys[n], rate.shape), rate.dtype) for n in (1, 2))
        u = u - 0.5
        distance = 0.5 - elementwise.abs(u)
        count = elementwise.floor((2 * a / distance + b) * u + rate + 0.43)
        accepted = (distance >= 0.07) & (v <= sure)
        rejected = (count < 0) | ((distance < 0.013) & (v > distance))
        hat = elementwise.log(v * inverse_alpha / (a / (distance * distance) + b))
        accepted = accepted | (~rejected & (hat <= count * logarithm - rate - lgamma(count + 1)))
        return keys[0], where(accepted, count, found), is_found | accepted

    return while_loop(is_unfinished, attempt, (key, rate * 0, rate < 0))[1]
