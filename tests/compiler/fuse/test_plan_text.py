"""A plan as text: what the fusion stage's dump shows."""

from __future__ import annotations

from loop_programs import f32, function, softmax

from tenfoldc.fuse import fuse


def test_a_group_is_a_line() -> None:
    plan = fuse(function([f32(4, 40)], softmax))
    names = "reduce broadcast_in_dim subtract exponential reduce broadcast_in_dim divide"
    assert str(plan) == f"0: nest over 4 x 40~ -> f32[4, 40]: {names}"
