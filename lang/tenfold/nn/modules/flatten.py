"""Axes put together, and taken apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfold.nn.modules.module import Module
from tenfold.tensor import Tensor
from tenfold_rt.errors import ShapeError


class Flatten(Module):
    """The axes from `start_dim` to `end_dim` as one; by default all but the first."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis `dim` as axes of sizes `unflattened_size`, one of which may be -1 for what is left."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        axis = self.dim % input.ndim
        size, sizes = input.shape[axis], list(self.unflattened_size)
        if -1 in sizes:
            known = math.prod(other for other in sizes if other != -1)
            sizes[sizes.index(-1)] = size // known if known else 0
        if math.prod(sizes) != size:
            raise ShapeError(
                f"unflatten: Provided sizes {list(self.unflattened_size)} don't multiply up to the size of dim "
                f"{self.dim} ({size}) in the input tensor"
            )
        return input.reshape((*input.shape[:axis], *sizes, *input.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
