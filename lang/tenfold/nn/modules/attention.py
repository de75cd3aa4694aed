"""Attention with several heads."""

from __future__ import annotations

from typing import Any

from tenfold.functions.creation import zeros
from tenfold.nn import functional as F  # noqa: N812 - PyTorch's name
from tenfold.nn import init
from tenfold.nn.modules.linear import Linear
from tenfold.nn.modules.module import Module
from tenfold.nn.parameter import Parameter
from tenfold.tensor import Tensor
from tenfold.tracing import here
from tenfold_rt.errors import ShapeError


class NonDynamicallyQuantizableLinear(Linear):
    """A `Linear` by the name under which the last product of an attention is printed."""


class MultiheadAttention(Module):
    """softmax(Q K^T / sqrt(d)) V in `num_heads` subspaces, concatenated and projected (Vaswani et al., 2017).

    Arguments are (L, N, E), (N, L, E) if `batch_first`, or (L, E).  `in_proj_weight` holds the projections of query,
    key and value one below the other; with `kdim` or `vdim` that differ from `embed_dim` they are three matrices.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ShapeError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and "
                f"num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise ShapeError(
                f"embed_dim must be divisible by num_heads, but {embed_dim} is not by {num_heads}", where=here()
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        made = {"device": device, "dtype": dtype}
        whole = Parameter(zeros(3 * embed_dim, embed_dim, **made)) if self._qkv_same_embed_dim else None
        for name, width in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            part = Parameter(zeros(embed_dim, width, **made)) if whole is None else None
            self.register_parameter(f"{name}_proj_weight", part)
        self.register_parameter("in_proj_weight", whole)
        self.register_parameter("in_proj_bias", Parameter(zeros(3 * embed_dim, **made)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **made)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, Parameter(zeros(1, 1, embed_dim, **made)) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values, as `query` is arranged, and the weights, (N, L, S), if `need_weights`.

        Masks are of bools, true where there is no attention, or are added to the scores: `key_padding_mask` (N, S),
        `attn_mask` (L, S) or (N heads, L, S).  Without `average_attn_weights` the weights are (N, heads, L, S).
        `is_causal` is a hint that `attn_mask` is causal.
        """
        q, k, v = (x.transpose(0, 1) if self.batch_first and x.ndim == 3 else x for x in (query, key, value))
        result, weights = F.multi_head_attention_forward(
            q,
            k,
            v,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (result.transpose(0, 1) if self.batch_first and result.ndim == 3 else result), weights
