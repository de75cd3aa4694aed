"""Programs that between them need every kind of kernel: functions by name, each with the types of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tenfold as tn
from tenfold import nn
from tenfoldc.ir.core import Module

PROGRAMS: dict[str, Callable[[], Module]] = {}


def _program(**specs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The function becomes a program under its own name."""

    def added(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS[function.__name__] = lambda: tn.compile(function).lower(**specs).module
        return function

    return added


_MATRIX = tn.f32[67, 130]


@_program(x=tn.f32[1000], y=tn.f32[1000])
def elementwise(x: tn.Tensor, y: tn.Tensor) -> tn.Tensor:
    return tn.where(x > y, tn.exp(x) * tn.tanh(y), tn.sqrt(tn.abs(x)) + tn.log1p(tn.abs(y)))


@_program(x=tn.bf16[1000], y=tn.f16[1000])
def half_floats(x: tn.Tensor, y: tn.Tensor) -> tn.Tensor:
    return (tn.exp(x).to(tn.float32) + tn.sin(y)).to(tn.bfloat16)


@_program(x=tn.f64[1000])
def doubles(x: tn.Tensor) -> tn.Tensor:
    return tn.erf(x) * tn.exp(-x * x) + tn.lgamma(tn.abs(x) + 1)


@_program(x=_MATRIX)
def softmax(x: tn.Tensor) -> tn.Tensor:
    return tn.softmax(x, dim=-1)


@_program(x=_MATRIX, weight=tn.f32[130], bias=tn.f32[130])
def layer_norm(x: tn.Tensor, weight: tn.Tensor, bias: tn.Tensor) -> tn.Tensor:
    return nn.functional.layer_norm(x, (130,), weight, bias)


@_program(x=_MATRIX)
def sums(x: tn.Tensor) -> tuple[tn.Tensor, ...]:
    return tn.sum(x, dim=0), tn.sum(x, dim=1), tn.sum(x), tn.var(x)


@_program(x=_MATRIX)
def argmax(x: tn.Tensor) -> tuple[tn.Tensor, ...]:
    return tn.argmax(x, dim=1), tn.argmax(x, dim=0), tn.amax(x)


@_program(x=_MATRIX)
def sort(x: tn.Tensor) -> tuple[tn.Tensor, ...]:
    values, indices = tn.sort(x, dim=-1)
    return values, indices


@_program(x=_MATRIX)
def cumsum(x: tn.Tensor) -> tuple[tn.Tensor, ...]:
    return tn.cumsum(x, dim=-1), tn.cumsum(x, dim=0)


@_program(x=tn.f64[2, 3000])
def long_sort(x: tn.Tensor) -> tuple[tn.Tensor, ...]:
    values, indices = tn.sort(x, dim=-1)
    return values, indices


@_program(x=tn.f32[3, 5000])
def top_few(x: tn.Tensor) -> tuple[tn.Tensor, ...]:
    values, indices = tn.topk(x, 7)
    return values, indices


@_program(x=tn.f64[20_000])
def long_cumsum(x: tn.Tensor) -> tn.Tensor:
    return tn.cumsum(x, dim=0)


@_program(x=tn.f32[3, 67, 130], y=tn.f32[3, 130, 67])
def transpose(x: tn.Tensor, y: tn.Tensor) -> tn.Tensor:
    return tn.exp(tn.transpose(x, 1, 2)) + y


@_program(x=tn.f32[2, 3, 17, 19])
def pooling_gradient(x: tn.Tensor) -> tn.Tensor:
    return tn.grad(lambda x: tn.sum(nn.functional.max_pool2d(x, 3, stride=2, padding=1) ** 2))(x)


@_program(x=tn.f64[2, 90, 90], b=tn.f64[2, 90, 5])
def cholesky(x: tn.Tensor, b: tn.Tensor) -> tn.Tensor:
    return tn.linalg.solve_triangular(tn.linalg.cholesky(x), b, upper=False)


@_program(x=_MATRIX, rows=tn.i64[33])
def gather(x: tn.Tensor, rows: tn.Tensor) -> tn.Tensor:
    return x[rows]


@_program(x=_MATRIX, rows=tn.i64[33], added=tn.f32[33, 130])
def scatter(x: tn.Tensor, rows: tn.Tensor, added: tn.Tensor) -> tn.Tensor:
    return x.index_add(0, rows, added)


@_program(a=tn.f32[65, 130], b=tn.f32[130, 70])
def dot(a: tn.Tensor, b: tn.Tensor) -> tn.Tensor:
    return a @ b


@_program(a=tn.bf16[3, 128, 64], b=tn.bf16[3, 64, 128])
def dot_bf16(a: tn.Tensor, b: tn.Tensor) -> tn.Tensor:
    return a @ b


@_program(a=tn.bf16[1000, 1024], b=tn.bf16[1024, 2048], bias=tn.bf16[2048], residual=tn.bf16[1000, 2048])
def dense_layer_bf16(a: tn.Tensor, b: tn.Tensor, bias: tn.Tensor, residual: tn.Tensor) -> tn.Tensor:
    return nn.functional.gelu(a @ b + bias) + residual


@_program(a=tn.f16[6, 512, 1000], b=tn.f16[6, 512, 800])
def dot_f16_turned(a: tn.Tensor, b: tn.Tensor) -> tn.Tensor:
    return a.transpose(1, 2) @ b


@_program(a=tn.f32[2000, 301], b=tn.f32[301, 1999])
def dot_f32(a: tn.Tensor, b: tn.Tensor) -> tn.Tensor:
    return tn.exp(a) @ b


@_program(a=tn.f32[1024, 1024], b=tn.f32[2048, 1024], c=tn.f32[2048, 1000])
def dot_tf32(a: tn.Tensor, b: tn.Tensor, c: tn.Tensor) -> tn.Tensor:
    return tn.matmul(tn.matmul(a, b.T, precision="tf32"), c, precision="tf32")


@_program(a=tn.f64[500, 300], b=tn.f64[500, 300])
def dot_f64(a: tn.Tensor, b: tn.Tensor) -> tn.Tensor:
    return a @ b.T


@_program(x=tn.f32[2, 3, 20, 20], weight=tn.f32[8, 3, 3, 3])
def convolution(x: tn.Tensor, weight: tn.Tensor) -> tn.Tensor:
    return nn.functional.conv2d(x, weight, padding=1)


@_program(q=tn.f32[2, 4, 33, 16], k=tn.f32[2, 4, 33, 16], v=tn.f32[2, 4, 33, 16])
def attention(q: tn.Tensor, k: tn.Tensor, v: tn.Tensor) -> tn.Tensor:
    return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


@_program(x=tn.f32[7, 7], b=tn.f32[7])
def solve(x: tn.Tensor, b: tn.Tensor) -> tn.Tensor:
    return tn.linalg.solve(x, b)


@_program(seed=tn.f32[16])
def random_numbers(seed: tn.Tensor) -> tn.Tensor:
    return seed + tn.random.normal(tn.random.key(3), (16,))


@_program(x=tn.f32[16])
def loop(x: tn.Tensor) -> tn.Tensor:
    while tn.sum(x * x) > 1:
        x = x / 2
    return x


@_program(x=tn.f32[16, 24], y=tn.i64[16], w1=tn.f32[24, 32], b1=tn.f32[32], w2=tn.f32[32, 10])
def mlp_training_step(x: tn.Tensor, y: tn.Tensor, w1: tn.Tensor, b1: tn.Tensor, w2: tn.Tensor) -> tuple[tn.Tensor, ...]:
    def loss(w1: tn.Tensor, b1: tn.Tensor, w2: tn.Tensor) -> tn.Tensor:
        return nn.functional.cross_entropy(nn.functional.gelu(x @ w1 + b1) @ w2, y)

    gradients = tn.grad(loss, argnums=(0, 1, 2))(w1, b1, w2)
    return tuple(w - 0.1 * g for w, g in zip((w1, b1, w2), gradients, strict=True))


@_program(x=tn.f32[4, 1, 12, 12], y=tn.i64[4], kernel=tn.f32[6, 1, 3, 3], out=tn.f32[150, 10])
def cnn_training_step(x: tn.Tensor, y: tn.Tensor, kernel: tn.Tensor, out: tn.Tensor) -> tuple[tn.Tensor, ...]:
    def loss(kernel: tn.Tensor, out: tn.Tensor) -> tn.Tensor:
        found = nn.functional.max_pool2d(nn.functional.relu(nn.functional.conv2d(x, kernel)), 2)
        return nn.functional.cross_entropy(found.flatten(1) @ out, y)

    gradients = tn.grad(loss, argnums=(0, 1))(kernel, out)
    return tuple(w - 0.1 * g for w, g in zip((kernel, out), gradients, strict=True))


def _of_module(make: Callable[[], nn.Module], x: Any) -> Callable[[], Module]:
    def lowered() -> Module:
        module = make()

        def forward(x: tn.Tensor) -> Any:
            return module(x)

        return tn.compile(forward).lower(x=x).module

    return lowered


PROGRAMS["transformer_block"] = _of_module(
    lambda: nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True), tn.f32[2, 17, 32]
)
PROGRAMS["lstm"] = _of_module(lambda: nn.LSTM(8, 16), tn.f32[9, 2, 8])
