"""What may be asked of a product's precision survives printing, parsing and differentiation."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn
from tenfold.text.parser import parse
from tenfold_rt.errors import ArgumentError
from tenfoldc.ir.printer import print_module


@pytest.mark.parametrize(("precision", "word"), [("f32", "DEFAULT"), ("tf32", "TF32"), ("bf16", "BF16")])
def test_words_survive_text_and_gradients(precision: str, word: str) -> None:
    def loss(a: tn.Tensor, b: tn.Tensor) -> tn.Tensor:
        return tn.matmul(a, b, precision=precision).sum()

    module = tn.compile(tn.grad(loss)).lower(tn.f32[3, 4], tn.f32[4, 5]).module
    text = print_module(module)
    assert text.count(f"precision = [{word}, {word}]") == text.count("dot_general") > 0
    assert print_module(parse(text)) == text


def test_on_a_cpu_less_precision_is_allowed_and_not_used() -> None:
    numbers = np.random.default_rng(20)
    a, b = (numbers.standard_normal((8, 8), dtype=np.float32) for _ in range(2))
    found = tn.matmul(tn.tensor(a), tn.tensor(b), precision="bf16").numpy()
    np.testing.assert_allclose(found, a.astype(np.float64) @ b, rtol=1e-5, atol=1e-5)


def test_other_words_are_refused() -> None:
    with pytest.raises(ArgumentError, match="no precision 'half'"):
        tn.matmul(tn.ones(2, 2), tn.ones(2, 2), precision="half")
