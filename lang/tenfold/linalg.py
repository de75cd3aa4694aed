"""`tn.linalg`: functions of matrices and vectors under the names that PyTorch's `torch.linalg` and NumPy's have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions import products, reductions, shapes
from tenfold.functions.axes import Axes, normalize_axes
from tenfold.functions.factorizations import cholesky, solve_triangular
from tenfold.functions.linear_algebra import matmul
from tenfold.functions.matrices import det, inv, slogdet, solve
from tenfold.functions.products import matrix_power, vecdot
from tenfold.promotion import type_of
from tenfold.tracing import TensorLike, here, lift
from tenfold_rt.errors import ArgumentError, ShapeError, UnsupportedError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "multi_dot",
    "norm",
    "slogdet",
    "solve",
    "solve_triangular",
    "vecdot",
    "vector_norm",
]


@tensor_function
def cross(input: TensorLike, other: TensorLike, *, dim: int = -1) -> Tensor:
    """The cross products of vectors of three numbers along an axis, the last by default."""
    return products.cross(input, other, dim)


@tensor_function
def diagonal(A: TensorLike, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:  # noqa: N803
    """The diagonals of matrices, which are the last two axes by default."""
    return shapes.diagonal(A, offset, dim1, dim2)


@tensor_function
def multi_dot(tensors: Sequence[TensorLike]) -> Tensor:
    """The product of matrices, one after another from the left; the first and the last may be vectors."""
    if len(tensors) < 2:
        raise ArgumentError(f"multi_dot: multiplies two tensors or more, not {len(tensors)}", where=here())
    product = matmul(tensors[0], tensors[1])
    for tensor in tensors[2:]:
        product = matmul(product, tensor)
    return product


@tensor_function
def vector_norm(x: TensorLike, ord: float = 2, dim: Axes = None, keepdim: bool = False) -> Tensor:  # noqa: A002
    """The `ord`-norm of the elements over axes, or of all; see `tn.norm`."""
    return reductions.norm(x, ord, dim, keepdim)


@tensor_function
def matrix_norm(
    A: TensorLike,  # noqa: N803 - PyTorch's name
    ord: float | str = "fro",  # noqa: A002
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
) -> Tensor:
    """A norm of matrices, which are two axes: Frobenius's, or with 1 the largest sum of a column's sizes, with infinity
    of a row's, and with -1 and -infinity the smallest.  `UnsupportedError` for those that need singular values."""
    x = lift(A)
    if x.rank < 2 or len(dim) != 2:
        raise ShapeError(f"matrix_norm: axes {tuple(dim)} of {x.type} make no matrices", where=here())
    if ord == "fro":
        return reductions.norm(A, 2, dim, keepdim)
    if isinstance(ord, str) or abs(ord) not in (1, math.inf):
        raise UnsupportedError(f"matrix_norm: there is no norm {ord!r}", where=here(), mend="use fro, 1 or infinity")
    rows, columns = normalize_axes("matrix_norm", dim, x.rank)
    inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
    totals = reductions.norm(A, 1, inner, True)
    choose = reductions.amax if ord > 0 else reductions.amin
    found = choose(totals, outer, True)
    return found if keepdim else shapes.squeeze(found, (inner, outer))


@tensor_function
def norm(
    A: TensorLike,  # noqa: N803 - PyTorch's name
    ord: float | str | None = None,  # noqa: A002
    dim: Axes = None,
    keepdim: bool = False,
) -> Tensor:
    """`vector_norm`, or `matrix_norm` where `ord` is given and there are two axes; without `ord` of all elements."""
    type_ = type_of(A)
    axes = 2 if ord == "fro" and dim is None else len(normalize_axes("norm", dim, type_.rank))
    if ord is None or axes == 1:
        return vector_norm(A, 2 if ord is None or isinstance(ord, str) else ord, dim, keepdim)
    return matrix_norm(A, ord, (-2, -1) if dim is None else tuple(normalize_axes("norm", dim, type_.rank)), keepdim)
