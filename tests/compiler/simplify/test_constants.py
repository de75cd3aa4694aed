"""Large constants become what their only use makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import tenfold as tn

WEIGHT = np.arange(300 * 200, dtype=np.float32).reshape(300, 200)


def simplified(function: Any, spec: Any, monkeypatch: Any, tmp_path: Any) -> str:
    """The text of the function after simplification."""
    monkeypatch.setenv("TENFOLD_DUMP", "simplify")
    monkeypatch.setenv("TENFOLD_DUMP_DIR", str(tmp_path))
    tn.compile(function).lower(spec).text("loops")
    (path,) = tmp_path.iterdir()
    return path.read_text()


def test_a_constant_with_one_use_is_transposed_and_scaled(monkeypatch: Any, tmp_path: Any) -> None:
    text = simplified(lambda x: x + tn.tensor(WEIGHT).T * 2.0, tn.f32[200, 300], monkeypatch, tmp_path)
    assert "transpose" not in text
    assert "multiply" not in text
    assert text.count("constant") == 1


def test_a_constant_that_is_used_otherwise_too_is_held_once(monkeypatch: Any, tmp_path: Any) -> None:
    def function(x: Any) -> Any:
        w = tn.tensor(WEIGHT)
        return x + w.T * 2.0, x + w.reshape(200, 300)

    text = simplified(function, tn.f32[200, 300], monkeypatch, tmp_path)
    assert "transpose" in text
    assert text.count('dense<"0x') == 1


def test_a_constant_is_not_folded_to_a_larger_one(monkeypatch: Any, tmp_path: Any) -> None:
    text = simplified(lambda x: x + tn.tensor(WEIGHT).to(tn.f64), tn.f64[300, 200], monkeypatch, tmp_path)
    assert "convert" in text


def test_results_are_those_of_numpy(rng: np.random.Generator) -> None:
    x = rng.standard_normal((200, 300)).astype(np.float32)
    result = tn.compile(lambda x: x + tn.tensor(WEIGHT).T * 2.0)(x)
    np.testing.assert_array_equal(np.asarray(result), x + WEIGHT.T * np.float32(2))
