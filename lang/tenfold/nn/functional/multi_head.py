"""Attention with several heads, their projections of queries, keys and values, and the projection of their results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import where
from tenfold.functions.axes import expand_to
from tenfold.functions.creation import filled
from tenfold.functions.neural import softmax
from tenfold.functions.reductions import mean
from tenfold.functions.shapes import concatenate, pad, permute, reshape, split, unsqueeze
from tenfold.nn.functional.dropouts import dropped
from tenfold.nn.functional.projections import linear
from tenfold.promotion import convert, promoted_floating
from tenfold.random.generator import next_key
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfold_rt.frozen import frozen

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

_NAME = "multi_head_attention_forward"


@frozen
class _Options:
    """What is known while tracing."""

    heads: int
    add_zero_attn: bool
    dropout_p: float
    need_weights: bool
    average: bool


def multi_head_attention_forward(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: TensorLike | None,
    in_proj_bias: TensorLike | None,
    bias_k: TensorLike | None,
    bias_v: TensorLike | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: TensorLike,
    out_proj_bias: TensorLike | None,
    training: bool = True,
    key_padding_mask: TensorLike | None = None,
    need_weights: bool = True,
    attn_mask: TensorLike | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: TensorLike | None = None,
    k_proj_weight: TensorLike | None = None,
    v_proj_weight: TensorLike | None = None,
    static_k: TensorLike | None = None,
    static_v: TensorLike | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of `num_heads` heads (Vaswani et al., 2017) for (time, batch, features): results, and weights or None.

    Without a batch, tensors lack its axis.  `in_proj_weight` holds the projections of queries, keys and values one
    after the other, or with `use_separate_proj_weight` each has its own.  In masks true means: not attended to; floats
    are added to the scores.  `key_padding_mask` is (batch, keys); `attn_mask` is (queries, keys), or that for each
    head of each example.  `bias_k` and `bias_v` are one more key and value, `add_zero_attn` adds one of zeros;
    `static_k` and `static_v` are (batch x heads, keys, features of a head) and used instead.  Weights are (batch,
    queries, keys), averaged over the heads, or with the heads as axis 1.  `is_causal` only says what `attn_mask` is.
    """
    if is_causal and attn_mask is None:
        raise ArgumentError(f"{_NAME}: is_causal needs attn_mask", where=here(), mend="give the mask it stands for")
    projections = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else (in_proj_weight,)
    if any(each is None for each in projections):
        raise ArgumentError(f"{_NAME}: weights of projections are missing", where=here())
    drops = dropout_p if training else 0.0
    return _attention(
        (query, key, value),
        (*projections, in_proj_bias),
        (bias_k, bias_v),
        (static_k, static_v),
        (out_proj_weight, out_proj_bias),
        (attn_mask, key_padding_mask),
        next_key(like=query) if drops else None,
        embed_dim_to_check,
        (num_heads, add_zero_attn, float(drops), need_weights, average_attn_weights),
    )


@tensor_function
def _attention(
    inputs: Sequence[TensorLike],
    projections: Sequence[TensorLike | None],
    biases: Sequence[TensorLike | None],
    static: Sequence[TensorLike | None],
    out: Sequence[TensorLike | None],
    masks: Sequence[TensorLike | None],
    drawn: TensorLike | None,
    features: int,
    options: tuple[int, bool, float, bool, bool],
) -> tuple[Tensor, Tensor | None]:
    known = _Options(*options)
    tensors, single = _batched([wrap(each) for each in promoted_floating(*inputs)], features)
    length, batch = tensors[0].shape[:2]
    q, k, v = _projected(tensors, [_wrapped(each) for each in projections], features)
    width = q.shape[-1] // known.heads
    if known.heads * width != features:
        raise ShapeError(f"{_NAME}: {known.heads} heads do not divide {features} features", where=here())
    k, v = (_with_one_more(each, _wrapped(bias)) for each, bias in zip((k, v), biases, strict=True))
    q = _by_head(q, known.heads)
    k, v = (
        _by_head(each, known.heads) if given is None else reshape(wrap(lift(given)), batch, known.heads, -1, width)
        for each, given in zip((k, v), static, strict=True)
    )
    grown = k.shape[2] - tensors[1].shape[0] if static[0] is None else 0
    if known.add_zero_attn:
        k, v = (pad(each, (0, 0, 0, 1)) for each in (k, v))
        grown += 1
    mask = _mask(q, k, masks, grown)
    scores = (q * (1 / math.sqrt(width))) @ k.mT
    weights = softmax(scores if mask is None else scores + mask, -1)
    if drawn is not None:
        weights = dropped(weights, drawn, known.dropout_p)
    joined = reshape(permute(weights @ v, 2, 0, 1, 3), length, batch, features)
    result = linear(joined, *(each for each in map(_wrapped, out) if each is not None))
    shown = (mean(weights, 1) if known.average else weights) if known.need_weights else None
    if not single:
        return result, shown
    return result[:, 0], (None if shown is None else shown[0])


def _wrapped(each: TensorLike | None) -> Tensor | None:
    return None if each is None else wrap(lift(each))


def _batched(tensors: list[Tensor], features: int) -> tuple[list[Tensor], bool]:
    """(time, batch, features), and whether there was no batch."""
    q, k, v = tensors
    if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim or k.shape[:-1] != v.shape[:-1]:
        raise ShapeError(
            f"{_NAME}: {q.tensor_type}, {k.tensor_type} and {v.tensor_type} do not fit together", where=here()
        )
    if q.shape[-1] != features or q.shape[1:-1] != k.shape[1:-1]:
        raise ShapeError(
            f"{_NAME}: query {q.tensor_type} does not have {features} features, or another batch than key "
            f"{k.tensor_type}",
            where=here(),
        )
    return ([unsqueeze(each, 1) for each in tensors] if q.ndim == 2 else tensors), q.ndim == 2


def _projected(tensors: list[Tensor], projections: list[Tensor | None], features: int) -> list[Tensor]:
    """Queries, keys and values, each of `features` features."""
    *weights, bias = projections
    if len(weights) == 1 and weights[0] is not None:
        if weights[0].shape[:1] != (3 * features,):
            raise ShapeError(
                f"{_NAME}: in_proj_weight is {weights[0].tensor_type}, not of 3 x {features} rows", where=here()
            )
        weights = list(split(weights[0], features))
    biases = [None] * 3 if bias is None else list(split(bias, features))
    return [
        linear(x, w) if b is None else linear(x, w, b)
        for x, w, b in zip(tensors, weights, biases, strict=True)
        if w is not None
    ]


def _with_one_more(x: Tensor, bias: Tensor | None) -> Tensor:
    """`x` (time, batch, features) with `bias` at the end of time."""
    if bias is None:
        return x
    row = expand_to(reshape(bias, 1, 1, -1).in_trace(), (1, *x.shape[1:]))
    return concatenate([x, wrap(convert(row, x.tensor_type.dtype))], 0)


def _by_head(x: Tensor, heads: int) -> Tensor:
    """(time, batch, features) as (batch, heads, time, features of a head)."""
    time, batch, features = x.shape
    return permute(reshape(x, time, batch, heads, features // heads), 1, 2, 0, 3)


def _mask(q: Tensor, k: Tensor, masks: Sequence[TensorLike | None], grown: int) -> Tensor | None:
    """What is added to the scores (batch, heads, queries, keys); keys that were added at the end are attended to."""
    batch, heads, length, _ = q.shape
    keys = k.shape[2] - grown
    total: Tensor | None = None
    shapes = (((length, keys), (batch * heads, length, keys)), ((batch, keys), (keys,)))
    for each, allowed, label in zip(masks, shapes, ("attn_mask", "key_padding_mask"), strict=True):
        if each is None:
            continue
        mask = wrap(lift(each))
        if mask.shape not in allowed:
            raise ShapeError(f"{_NAME}: {label} is {mask.tensor_type}, not of shape {allowed[0]}", where=here())
        added = _added(mask, q)
        if label == "key_padding_mask":
            added = reshape(added, -1, 1, 1, keys)
        elif added.ndim == 3:
            added = reshape(added, batch, heads, length, keys)
        total = added if total is None else total + added
    return total if total is None or not grown else pad(total, (0, grown))


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """Minus infinity where a mask is true, else 0; floats as they are."""
    dtype = like.tensor_type.dtype
    if not mask.tensor_type.dtype.is_bool:
        return wrap(convert(mask.in_trace(), dtype))
    return where(mask, wrap(filled((), -math.inf, dtype)), wrap(filled((), 0, dtype)))
