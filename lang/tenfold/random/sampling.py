"""Random tensors without a key: PyTorch's functions, which draw one from a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.default_dtype import default_float
from tenfold.eager import tensor_function
from tenfold.functions import elementwise
from tenfold.functions.arithmetic import stop_gradient, where
from tenfold.functions.axes import shape_argument, size_argument
from tenfold.functions.creation import counted, made_anew
from tenfold.functions.running import cummax
from tenfold.functions.searching import searchsorted
from tenfold.functions.sorting import cumsum, topk
from tenfold.functions.taking import gather
from tenfold.promotion import as_dtype, promoted_floating, type_of
from tenfold.random import distributions
from tenfold.random.generator import Generator, next_key
from tenfold.random.orders import permutation
from tenfold.random.poisson import poisson as poisson_numbers
from tenfold.specs import ELEMENT_TYPES, DTypeLike, ElementType, element_type, f64, i32, i64
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc.ir.types import TensorType

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "bernoulli",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]

_FEW = 2**31
"""So many integers at most are drawn as i32, of which each number takes fewer steps."""


@made_anew
def rand(*size: int | Sequence[int], generator: Generator | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Numbers that are equally likely anywhere from 0 to below 1, of the default float type by default."""
    sizes, kind = shape_argument("rand", size), _float("rand", dtype, default_float())
    return distributions.uniform(next_key(generator), sizes, kind)


@made_anew
def rand_like(input: TensorLike, *, generator: Generator | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """`rand` of the shape and, by default, the element type of `input`."""
    like = type_of(input)
    kind = _float("rand_like", dtype, like.dtype)
    return distributions.uniform(next_key(generator, input), like.sizes, kind)


@made_anew
def randn(*size: int | Sequence[int], generator: Generator | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Numbers of the normal distribution with mean 0 and deviation 1, of the default float type by default."""
    sizes, kind = shape_argument("randn", size), _float("randn", dtype, default_float())
    return distributions.normal(next_key(generator), sizes, kind)


@made_anew
def randn_like(input: TensorLike, *, generator: Generator | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """`randn` of the shape and, by default, the element type of `input`."""
    like = type_of(input)
    kind = _float("randn_like", dtype, like.dtype)
    return distributions.normal(next_key(generator, input), like.sizes, kind)


def _float(name: str, dtype: DTypeLike | None, default: DType) -> ElementType:
    """The float type that is asked for; `DTypeError` for another."""
    return ELEMENT_TYPES[distributions.float_type(name, ELEMENT_TYPES[default] if dtype is None else dtype)]


@made_anew
def randint(
    low: int = 0,
    high: int | Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = i64,
) -> Tensor:
    """Integers from `low` to below `high`, or `randint(high, size)` from 0; i64 by default.

    `ArgumentError` where there is none, or where `dtype` does not hold all.
    """
    if size is None:
        ends, sizes = (0, low), high
    else:
        ends, sizes = (0, low) if high is None else (low, high), size
    if sizes is None:
        raise ArgumentError("randint: no size is given", where=here())
    return integers("randint", ends, shape_argument("randint", (sizes,)), dtype, generator)


@made_anew
def randint_like(
    input: TensorLike,
    low: int = 0,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """`randint` of the shape and, by default, the element type of `input`."""
    like = type_of(input)
    ends = (0, low) if high is None else (low, high)
    return integers("randint_like", ends, like.sizes, ELEMENT_TYPES[like.dtype] if dtype is None else dtype, generator)


def integers(
    name: str, ends: Sequence[object], sizes: Sequence[int], dtype: DTypeLike, generator: Generator | None
) -> Tensor:
    """Integers from the first of `ends` to below the second, with elements of `dtype`."""
    low, high = (size_argument(name, end) for end in ends)
    if low >= high:
        raise ArgumentError(f"{name}: from={low} is not less than to={high}", where=here())
    least, most = _range(element_type(dtype))
    if low < least or high - 1 > most:
        raise ArgumentError(f"{name}: {element_type(dtype)} does not hold all integers from {low} to {high - 1}")
    drawn = i32 if low >= -_FEW and high <= _FEW else i64
    return elementwise.to(distributions.randint(next_key(generator), tuple(sizes), low, high, drawn), dtype)


def _range(dtype: DType) -> tuple[int, int]:
    """The least and the largest integer that is drawn for `dtype`; of 64 bits at most those before the last."""
    if dtype.is_bool:
        return 0, 1
    bits = dtype.bits if dtype.is_integer else 64
    least, most = (0, 2**bits - 1) if dtype.is_unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return least, min(most, 2**63 - 2)


@made_anew
def randperm(n: int, *, generator: Generator | None = None, dtype: DTypeLike = i64) -> Tensor:
    """The integers from 0 to below `n` in a random order; i64 by default."""
    count = size_argument("randperm", n)
    if count < 0:
        raise ArgumentError(f"randperm: n is {count}, not at least 0", where=here())
    return elementwise.to(permutation(next_key(generator), count), dtype)


@made_anew
def normal(
    mean: TensorLike = 0.0,
    std: TensorLike = 1.0,
    size: int | Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Numbers of normal distributions with these means and deviations; of the shape `size`, or that of both together.

    No gradient flows to the means and deviations.  `ArgumentError` for a negative deviation.
    """
    require_at_least_0("normal", "std", std)
    sizes = None if size is None else shape_argument("normal", (size,))
    chosen = None if dtype is None else ELEMENT_TYPES[distributions.float_type("normal", dtype)]
    return normal_numbers(next_key(generator), mean, std, sizes, chosen)


@tensor_function
def normal_numbers(
    key: TensorLike, mean: TensorLike, std: TensorLike, size: Sequence[int] | None, dtype: DTypeLike | None
) -> Tensor:
    """`normal` with a key."""
    centre, deviation = promoted_floating(mean, std) if dtype is None else as_dtype((mean, std), element_type(dtype))
    sizes = distributions.shape_of("normal", size, centre, deviation)
    drawn = distributions.normal(key, sizes, ELEMENT_TYPES[centre.dtype])
    return drawn * stop_gradient(wrap(deviation)) + stop_gradient(wrap(centre))


def require_at_least_0(name: str, what: str, number: TensorLike) -> None:
    """`ArgumentError` for a negative number; tensors are not looked at."""
    if isinstance(number, (int, float)) and number < 0:
        raise ArgumentError(f"{name}: {what} is {number}, but must be at least 0.0", where=here())


def bernoulli(input: TensorLike, p: TensorLike | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element of `input` says, or `p` for all of that shape, else 0; of its type."""
    like = type_of(input)
    if p is None:
        _ = _float("bernoulli", None, like.dtype)
    return flips("bernoulli", input if p is None else p, like, generator, input)


def flips(
    name: str, p: TensorLike, like: TensorType, generator: Generator | None, beside: TensorLike | None = None
) -> Tensor:
    """1 with probability `p`, else 0, all of the type `like`; on the device of `beside`."""
    if isinstance(p, (int, float)) and not 0 <= p <= 1:
        raise ArgumentError(f"{name}: p is {p}, but must be from 0 to 1", where=here())
    return elementwise.to(
        distributions.bernoulli(next_key(generator, beside), p, like.sizes), ELEMENT_TYPES[like.dtype]
    )


def poisson(input: TensorLike, generator: Generator | None = None) -> Tensor:
    """How often something happens that happens as often on average as each element says, in its element type."""
    dtype = _float("poisson", None, type_of(input).dtype)
    return elementwise.to(poisson_numbers(next_key(generator, input), input, None, i64), dtype)


def multinomial(
    input: TensorLike, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices along the last axis of `input`, i64, as likely as its elements say, which need not add up to 1.

    `input` has one axis, or a second one in front for independent draws.  Without `replacement` no index comes twice:
    those are taken whose logarithm plus a Gumbel number is largest (W. Kool et al., "Stochastic Beams and Where to Find
    Them", 2019).  What has probability 0 is never drawn, as long as there is anything else.
    """
    type_ = type_of(input)
    _ = _float("multinomial", None, type_.dtype)
    count = size_argument("multinomial", num_samples)
    if type_.rank not in (1, 2):
        raise ShapeError(f"multinomial: {type_} has neither one nor two axes", where=here())
    if count <= 0:
        raise ArgumentError(f"multinomial: cannot sample n_sample <= 0 samples, {count}", where=here())
    if not replacement and count > type_.sizes[-1]:
        raise ArgumentError(
            f"multinomial: cannot sample {count} of {type_.sizes[-1]} without replacement", where=here()
        )
    draw = _with_replacement if replacement else _without_replacement
    return draw(next_key(generator, input), input, count)


@tensor_function
def _without_replacement(key: TensorLike, input: TensorLike, count: int) -> Tensor:
    weight = wrap(lift(input))
    noise = distributions.gumbel(key, weight.shape, weight.dtype)
    return topk(elementwise.log(weight) + noise, count).indices


@tensor_function
def _with_replacement(key: TensorLike, input: TensorLike, count: int) -> Tensor:
    """Where uniform numbers lie among the running totals; before that, what has probability 0 is stepped over."""
    (given,) = as_dtype((input,), dtypes.f64)
    sums = cumsum(wrap(given), -1)
    drawn = distributions.uniform(key, (*given.sizes[:-1], count), f64) * sums[..., -1:]
    places = searchsorted(sums, drawn, right=True).clamp(max=given.sizes[-1] - 1)
    own = wrap(counted(given.sizes, given.rank - 1, dtypes.i64))
    return gather(cummax(where(wrap(given) > 0, own, 0), -1).values, -1, places)
