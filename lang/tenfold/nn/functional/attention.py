"""Attention: of queries to keys and values, and with several heads and their projections."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import expand_to
from tenfold.functions.creation import counted, filled
from tenfold.functions.neural import softmax_over
from tenfold.functions.precision import rounded_once
from tenfold.functions.shapes import repeat_interleave
from tenfold.nn.functional.dropouts import dropped
from tenfold.promotion import promoted_floating
from tenfold.random.generator import next_key
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value (Vaswani et al., 2017), over the last two axes.

    `query` is (..., L, E), `key` (..., S, E), `value` (..., S, V); the scale is 1 / sqrt(E) by default.  A boolean
    mask keeps where it is true, a float one is added; `is_causal` keeps keys no later than the query.  `dropout_p` is
    the probability with which a weight is dropped.  With `enable_gqa` each head of key and value (axis -3) serves
    several neighbouring heads of the query.  A query that the masks leave no key gives zeros.
    """
    if not 0 <= dropout_p <= 1:
        raise ArgumentError(
            f"scaled_dot_product_attention: dropout_p is {dropout_p}, but must be between 0 and 1", where=here()
        )
    drawn = next_key(like=query) if dropout_p else None
    return _scaled_dot_product_attention(
        query, key, value, attn_mask, drawn, float(dropout_p), is_causal, scale, enable_gqa
    )


@tensor_function
@rounded_once(3)
def _scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike | None,
    drawn: TensorLike | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Tensor:
    q, k, v = (wrap(each) for each in promoted_floating(query, key, value))
    _check("scaled_dot_product_attention", q, k, v)
    if enable_gqa:
        k, v = (_shared_heads(q, each) for each in (k, v))
    factor = (1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0) if scale is None else scale
    scores = _masked((q * factor) @ k.mT, attn_mask, is_causal)
    weights = wrap(softmax_over(scores.in_trace(), (scores.ndim - 1,), of_nothing=0))
    return (weights if drawn is None else dropped(weights, drawn, dropout_p)) @ v


def _check(name: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(
            f"{name}: {q.tensor_type}, {k.tensor_type} and {v.tensor_type} must have two axes or more", where=here()
        )
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(
            f"{name}: query {q.tensor_type} and key {k.tensor_type} differ in the number of features (last axis)",
            where=here(),
        )
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{name}: key {k.tensor_type} and value {v.tensor_type} differ in length (axis -2)", where=here()
        )


def _shared_heads(q: Tensor, x: Tensor) -> Tensor:
    """`x` with each head (axis -3) repeated for the query's heads that share it."""
    if min(q.ndim, x.ndim) < 3 or q.shape[-3] % x.shape[-3]:
        raise ShapeError(
            f"scaled_dot_product_attention: {x.tensor_type} has no heads (axis -3) that divide those of query "
            f"{q.tensor_type}",
            where=here(),
        )
    return repeat_interleave(x, q.shape[-3] // x.shape[-3], dim=-3)


def _masked(scores: Tensor, attn_mask: TensorLike | None, is_causal: bool) -> Tensor:
    """Scores with a mask added, or minus infinity where it does not keep them."""
    shape = scores.shape
    if is_causal:
        row, column = (counted(shape[-2:], axis, dtypes.i64) for axis in (0, 1))
        scores = _kept(scores.in_trace(), ops.compare(column, row, Direction.LE))
    if attn_mask is None:
        return scores
    mask = lift(attn_mask)
    return _kept(scores.in_trace(), mask) if mask.dtype.is_bool else scores + wrap(mask)


def _kept(scores: Var, keep: Var) -> Tensor:
    never = filled(scores.sizes, -math.inf, scores.dtype)
    return wrap(ops.select(expand_to(keep, scores.sizes), scores, never))
