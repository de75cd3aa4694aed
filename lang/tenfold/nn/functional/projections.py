"""Linear and bilinear maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.precision import rounded_once
from tenfold.promotion import promoted_floating
from tenfold.tracing import TensorLike, here, wrap
from tenfold_rt.errors import ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


def _with_bias(name: str, product: Var, bias: Var | None) -> Var:
    """`product` plus one number for each position of the last axis, or one for all."""
    if bias is None:
        return product
    if bias.sizes not in ((product.sizes[-1],), (1,), ()):
        raise ShapeError(f"{name}: bias is {bias.type}, not of shape ({product.sizes[-1]},)", where=here())
    if bias.sizes != product.sizes[-1:]:
        bias = ops.broadcast_in_dim(ops.reshape(bias, ()), product.sizes[-1:], ())
    return ops.add(product, ops.broadcast_in_dim(bias, product.sizes, (product.rank - 1,)))


@tensor_function
@rounded_once(2)
def linear(input: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """`input @ weight.T + bias`, for a weight of shape (outputs, inputs), or (inputs,) for one output without axis."""
    operands = (input, weight) if bias is None else (input, weight, bias)
    x, w, *rest = promoted_floating(*operands)
    if x.rank == 0 or w.rank not in (1, 2) or x.sizes[-1] != w.sizes[-1]:
        raise ShapeError(f"linear: {x.type} does not fit weight {w.type}, (outputs, inputs)", where=here())
    product = ops.dot_general(x, w, lhs_contracting=(x.rank - 1,), rhs_contracting=(w.rank - 1,))
    if w.rank == 1:
        return wrap(product) + wrap(rest[0]) if rest else wrap(product)
    return wrap(_with_bias("linear", product, rest[0] if rest else None))


@tensor_function
@rounded_once(3)
def bilinear(input1: TensorLike, input2: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """x1 W[k] x2 + bias[k] for each output k; `weight` is (outputs, features of x1, features of x2)."""
    operands = (input1, input2, weight) if bias is None else (input1, input2, weight, bias)
    a, b, w, *rest = promoted_floating(*operands)
    fits = w.rank == 3 and a.rank == b.rank >= 1 and a.sizes[:-1] == b.sizes[:-1]
    if not fits or (a.sizes[-1], b.sizes[-1]) != w.sizes[1:]:
        raise ShapeError(f"bilinear: {a.type} and {b.type} do not fit weight {w.type}", where=here())
    half = ops.dot_general(a, w, lhs_contracting=(a.rank - 1,), rhs_contracting=(1,))
    shape = half.sizes
    other = ops.broadcast_in_dim(b, shape, (*range(b.rank - 1), b.rank))
    product = ops.reduce_sum(ops.multiply(half, other), (half.rank - 1,))
    return wrap(_with_bias("bilinear", product, rest[0] if rest else None))
