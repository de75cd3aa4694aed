"""Matrix products: square, skinny, ragged, transposed, batched."""

from __future__ import annotations

from benchmarks.cpu.case import Case, everywhere, normal

_THEME = "products"


def _product(m: int, n: int, k: int, dtype: str = "float32") -> Case:
    """(m, k) times (k, n)."""
    suffix = "" if dtype == "float32" else f" {dtype}"
    name = f"{m}^3{suffix}" if m == n == k else f"{m}x{n}x{k}{suffix}"
    return Case(
        _THEME,
        name,
        lambda rng: (normal(rng, m, k, dtype=dtype), normal(rng, k, n, dtype=dtype)),
        everywhere(lambda x, w: x @ w),
        flops=2 * m * n * k,
        tolerance=1e-2 if dtype == "bfloat16" else 1e-4,
    )


def _batched(batch: int, m: int, n: int, k: int) -> Case:
    return Case(
        _THEME,
        f"batched {batch}x{m}x{n}x{k}",
        lambda rng: (normal(rng, batch, m, k), normal(rng, batch, k, n)),
        everywhere(lambda x, w: x @ w),
        flops=2 * batch * m * n * k,
    )


CASES = (
    *(_product(size, size, size) for size in (64, 128, 256, 512, 1024, 2048)),
    _product(1, 4096, 4096),
    _product(32, 512, 784),
    _product(128, 512, 784),
    _product(17, 33, 129),
    Case(
        _THEME,
        "512^3 x @ w.T",
        lambda rng: (normal(rng, 512, 512), normal(rng, 512, 512)),
        everywhere(lambda x, w: x @ w.T),
        flops=2 * 512**3,
    ),
    Case(
        _THEME,
        "512^3 x.T @ w",
        lambda rng: (normal(rng, 512, 512), normal(rng, 512, 512)),
        everywhere(lambda x, w: x.T @ w),
        flops=2 * 512**3,
    ),
    _batched(64, 128, 128, 64),
    _batched(4096, 8, 8, 8),
    _product(1024, 1024, 1024, "float64"),
    *(_product(size, size, size, "bfloat16") for size in (1024, 2048)),
)
