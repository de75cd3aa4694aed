"""Filling tensors with random numbers in place: `x.uniform_(-1, 1)`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from tenfold.changes import change
from tenfold.functions import elementwise
from tenfold.random import distributions
from tenfold.random.generator import Generator, next_key
from tenfold.random.sampling import flips, integers, normal_numbers, require_at_least_0
from tenfold.specs import ELEMENT_TYPES, ElementType, f32
from tenfold.tracing import TensorLike, TensorValue, here
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

_EXACT = {dtypes.f16: 2**11, dtypes.bf16: 2**8, dtypes.f32: 2**24, dtypes.f64: 2**53}
"""Up to where floats hold every integer."""


class Fillings(TensorValue):
    """Methods that fill a tensor with random numbers and give it; each draws a key from `generator`.

    `DTypeError` where the tensor's elements are no floats and the numbers are, `ArgumentError` for parameters that no
    such distribution has.
    """

    __slots__ = ()

    def uniform_(self, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Numbers that are equally likely anywhere from `from_` to below `to`."""
        if from_ > to:
            raise ArgumentError(f"uniform_: from={from_} is more than to={to}", where=here())
        dtype = self._float("uniform_")
        return self._filled(
            "uniform_", lambda: distributions.uniform(next_key(generator), self.tensor_type.sizes, dtype, from_, to)
        )

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Numbers of the normal distribution with this mean and deviation."""
        require_at_least_0("normal_", "std", std)
        dtype = self._float("normal_")
        return self._filled(
            "normal_", lambda: normal_numbers(next_key(generator), mean, std, self.tensor_type.sizes, dtype)
        )

    def log_normal_(self, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
        """Numbers whose logarithms have the normal distribution with this mean and deviation."""
        require_at_least_0("log_normal_", "std", std)
        dtype = self._float("log_normal_")
        return self._filled(
            "log_normal_",
            lambda: elementwise.exp(normal_numbers(next_key(generator), mean, std, self.tensor_type.sizes, dtype)),
        )

    def cauchy_(self, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Numbers of the Cauchy distribution around `median`, half of them nearer than `sigma`."""
        _require_positive("cauchy_", "sigma", sigma)
        dtype, quarter = self._float("cauchy_"), math.pi / 2
        return self._filled(
            "cauchy_",
            lambda: (
                median
                + sigma
                * elementwise.tan(
                    distributions.uniform(next_key(generator), self.tensor_type.sizes, dtype, -quarter, quarter)
                )
            ),
        )

    def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Numbers of the exponential distribution with mean 1 / `lambd`."""
        _require_positive("exponential_", "lambd", lambd)
        dtype = self._float("exponential_")
        return self._filled(
            "exponential_",
            lambda: distributions.exponential(next_key(generator), self.tensor_type.sizes, dtype) / lambd,
        )

    def geometric_(self, p: float, *, generator: Generator | None = None) -> Tensor:
        """How many trials it takes until the first success, each succeeding with probability `p`."""
        if not 0 < p < 1:
            raise ArgumentError(f"geometric_: p is {p}, but must be between 0 and 1", where=here())
        dtype = ELEMENT_TYPES[self.tensor_type.dtype]

        def trials() -> Tensor:
            waiting = distributions.exponential(next_key(generator), self.tensor_type.sizes, f32)
            return elementwise.to(elementwise.ceil(waiting / -math.log1p(-p)).clamp(min=1), dtype)

        return self._filled("geometric_", trials)

    def bernoulli_(self, p: TensorLike = 0.5, *, generator: Generator | None = None) -> Tensor:
        """1 with probability `p`, else 0."""
        return self._filled("bernoulli_", lambda: flips("bernoulli_", p, self.tensor_type, generator))

    def random_(self, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None) -> Tensor:
        """Integers from `from_` to below `to`, or from 0 to below `from_` where that is given alone.

        Without either, all that are not negative and that the element type holds.
        """
        low, high = (0, from_) if to is None else (from_ or 0, to)
        ends = (low, _held(self) if high is None else high)
        kind = ELEMENT_TYPES[self.tensor_type.dtype]
        return self._filled("random_", lambda: integers("random_", ends, self.tensor_type.sizes, kind, generator))

    def _float(self, name: str) -> ElementType:
        return ELEMENT_TYPES[distributions.float_type(name, ELEMENT_TYPES[self.tensor_type.dtype])]

    def _filled(self, name: str, numbers: Callable[[], Tensor]) -> Tensor:
        return change(cast("Tensor", self), numbers, name)


def _held(tensor: TensorValue) -> int:
    """How many integers from 0 the element type holds without a gap."""
    dtype = tensor.tensor_type.dtype
    if dtype.is_float:
        return _EXACT[dtype] + 1
    return 2 if dtype.is_bool else min(2 ** (dtype.bits - (not dtype.is_unsigned)), 2**63 - 1)


def _require_positive(name: str, what: str, number: float) -> None:
    if number <= 0:
        raise ArgumentError(f"{name}: {what} is {number}, but must be more than 0.0", where=here())
