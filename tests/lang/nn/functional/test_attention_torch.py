"""Attention, alone and with heads and projections, agrees with PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
from torch_cases import case, check, made, normal

import tenfold as tn

F = tn.nn.functional
Q, K, V = normal(2, 4, 5, 6), normal(2, 4, 7, 6), normal(2, 4, 7, 3)
MASK = np.random.default_rng(0).random((5, 7)) < 0.7
MASK[:, 0] = True


def test_attention() -> None:
    check(
        [
            case("scaled_dot_product_attention", [Q, K, V]),
            case("scaled_dot_product_attention", [Q, K, V, MASK]),
            case("scaled_dot_product_attention", [Q, K, V, normal(5, 7)]),
            case("scaled_dot_product_attention", [Q, K, V], is_causal=True, scale=0.3),
            case("scaled_dot_product_attention", [Q, K[:, :2], V[:, :2]], enable_gqa=True),
            case("scaled_dot_product_attention", [Q[0, 0], K[0, 0], V[0, 0]]),
        ]
    )


def test_a_query_that_sees_no_key_gives_zeros() -> None:
    check([case("scaled_dot_product_attention", [Q, K, V, MASK & (np.arange(5) != 2)[:, None]])])


def heads(label, x, *, masks=None, need=True, average=True, extra=False, zero=False, separate=False):
    """Three heads of two features, attending from five places to seven."""
    masks = masks or {}
    tensors = [normal(*x, 6) if x else normal(5, 6)]
    source = (7, *x[1:], 6)
    tensors += [normal(*source, seed=1), normal(*source, seed=2)]
    weights = [normal(6, 6, seed=3), normal(6, 6, seed=4), normal(6, 6, seed=5)]
    tensors += weights if separate else [np.concatenate(weights)]
    tensors += [
        normal(18),
        normal(6, 6, seed=6),
        normal(6),
        *([normal(1, 1, 6), normal(1, 1, 6, seed=1)] if extra else []),
    ]

    def call(f, q, k, v, *rest):
        projections, rest = rest[: 3 if separate else 1], rest[3 if separate else 1 :]
        kwargs = dict(zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), projections, strict=False))
        kwargs = {**kwargs, "use_separate_proj_weight": True} if separate else {}
        whole = None if separate else projections[0]
        more = rest[3:] if extra else (None, None)
        given = {name: tn.tensor(m) if f is F else torch_tensor(m) for name, m in masks.items()}
        return f.multi_head_attention_forward(
            q, k, v, 6, 3, whole, rest[0], *more, zero, 0.0, rest[1], rest[2],
            need_weights=need, average_attn_weights=average, **given, **kwargs,
        )  # fmt: skip

    return made(label, call, *tensors)


def torch_tensor(array):
    return pytest.importorskip("torch").tensor(array)


PADDING = np.array([[False] * 5 + [True] * 2, [False] * 6 + [True]])


def test_heads() -> None:
    check(
        [
            heads("masks", (5, 2), masks={"attn_mask": ~MASK, "key_padding_mask": PADDING}),
            heads("separate, no batch", (5,), separate=True, average=False),
        ]
    )


@pytest.mark.slow
def test_more_heads() -> None:
    check(
        [
            heads("plain", (5, 2)),
            heads("no batch", (5,), need=False),
            heads("float mask", (5, 2), masks={"attn_mask": normal(6, 5, 7)}, need=False),
            heads("more keys", (5, 2), masks={"key_padding_mask": PADDING}, extra=True, zero=True),
        ]
    )


def test_dropout_of_weights_keeps_the_mean() -> None:
    ones = np.ones((1, 200, 8), "float32")
    found = np.asarray(F.scaled_dot_product_attention(ones, ones, ones, dropout_p=0.4))
    assert found.std() > 0.01
    assert abs(found.mean() - 1) < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.scaled_dot_product_attention(Q, K[..., :5], V), "number of features"),
        (lambda: F.scaled_dot_product_attention(Q, K, V[:, :, :6]), "differ in length"),
        (lambda: F.scaled_dot_product_attention(Q, K[:, :3], V[:, :3], enable_gqa=True), "no heads"),
        (lambda: F.scaled_dot_product_attention(Q, K, V, dropout_p=2.0), "dropout_p is 2.0"),
    ],
)
def test_wrong_arguments(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
