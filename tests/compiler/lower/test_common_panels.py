"""Panels that several kernels would make of one parameter are made once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.alike import form_of
from tenfoldc.loops.ir import Axis, Buffer, For, Load, Statement, Store

Array = Any
STEPS = 5


def recurrence(x: tn.Tensor, w: tn.Tensor) -> tn.Tensor:
    """Steps that multiply by the rows of `w`, shape (128, 128): transposed, its panels are worth copying."""
    for _ in range(STEPS):
        x = tn.tanh(x @ w.T)
    return x


def packings(text: str) -> int:
    """How many kernels copy a transposed weight into panels."""
    return len(re.findall(r"_panels\w*\[.*\] = transpose", text))


def loops(function: Callable[..., Any], *specs: Any, donate: tuple[str, ...] = ()) -> str:
    return tn.compile(function, donate=donate).lower(*specs).text("loops")


X, W = tn.f32[32, 128], tn.f32[128, 128]


def test_a_weight_of_many_steps_is_packed_once() -> None:
    text = loops(recurrence, X, W)
    assert packings(text) == 1
    assert "temporary w_panels" in text
    assert text.count("kernel pack_w ") == 1


def test_a_weight_of_one_step_is_packed_in_its_kernel() -> None:
    text = loops(lambda x, w: tn.tanh(x @ w.T), X, W)
    assert packings(text) == 1
    assert "temporary" not in text


def test_panels_of_two_weights_are_two() -> None:
    text = loops(lambda x, v, w: recurrence(recurrence(x, v), w), X, W, W)
    assert packings(text) == 2
    assert "temporary v_panels" in text
    assert "temporary w_panels" in text


def test_what_is_made_of_values_that_a_kernel_computes_is_made_there() -> None:
    """The weight of each step is another."""

    def changing(x: tn.Tensor, w: tn.Tensor) -> tn.Tensor:
        for _ in range(STEPS):
            w = tn.cumsum(w, 0)
            x = tn.tanh(x @ w.T)
        return x

    assert packings(loops(changing, X, W)) == STEPS


@pytest.mark.parametrize("rows", [1, 7, 32, 100])
@pytest.mark.parametrize("columns", [32, 50, 128])
def test_results_are_those_of_numpy(rows: int, columns: int, rng: np.random.Generator) -> None:
    x, w = (rng.standard_normal((n, columns)).astype(np.float32) / columns**0.5 for n in (rows, columns))
    wanted = x
    for _ in range(STEPS):
        wanted = np.tanh(wanted @ w.T)
    np.testing.assert_allclose(np.asarray(tn.compile(recurrence)(x, w)), wanted, rtol=2e-5, atol=2e-6)


def test_a_donated_weight_may_be_overwritten_after_its_last_use(rng: np.random.Generator) -> None:
    def step(w: tn.Tensor, x: tn.Tensor) -> tuple[tn.Tensor, tn.Tensor]:
        y = recurrence(x, w)
        return w * 0.5, y

    x, w = (rng.standard_normal((n, 128)).astype(np.float32) / 12 for n in (32, 128))
    wanted = np.asarray(tn.compile(recurrence)(x, w))
    halved, y = tn.compile(step, donate=("w",))(w.copy(), x)
    np.testing.assert_array_equal(np.asarray(y), wanted)
    np.testing.assert_array_equal(np.asarray(halved), w / 2)


def filled(target: Buffer, source: Buffer, name: str, *, by: int = 1) -> list[Statement]:
    axis = Axis(name)
    element = scalar.add(Load(source, (axis,)), Load(source, (axis,)))
    return [For(axis, scalar.index(8), (Store(target, (scalar.mul(axis, scalar.index(by)),), element),))]


def test_forms_tell_what_statements_do_and_not_what_they_are_called() -> None:
    source, other = (Buffer(name, dtypes.f32, (8,)) for name in ("x", "y"))
    p, q = (Buffer(name, dtypes.f32, (16,)) for name in ("p", "q"))
    form = form_of(filled(p, source, "i"), [p])
    assert form == form_of(filled(q, source, "j"), [q])
    assert hash(form) == hash(form_of(filled(q, source, "j"), [q]))
    assert form != form_of(filled(q, source, "j"), [])
    assert form != form_of(filled(q, other, "j"), [q])
    assert form != form_of(filled(q, source, "j", by=2), [q])
