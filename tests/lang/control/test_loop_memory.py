"""How much memory the gradient of a long recurrence takes, with checkpoints and without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfoldc import ops
from tenfoldc.allocate import allocate
from tenfoldc.fuse import fuse
from tenfoldc.ir.core import Function, walk
from tenfoldc.loops.ir import Buffer, Program, While
from tenfoldc.loops.traversal import stored
from tenfoldc.lower import cpu_rules, lower
from tenfoldc.schedule import schedule
from tenfoldc.simplify import simplify
from tenfoldc.target import host

STEPS, BATCH, HIDDEN = 1024, 4, 16


def lstm_loss(weights: dict[str, Any], xs: Any, checkpoint: int | str | None) -> Any:
    def step(state: tuple[Any, Any], x: Any) -> tuple[tuple[Any, Any], None]:
        hidden, cell = state
        gates = x @ weights["x"] + hidden @ weights["hidden"] + weights["bias"]
        enter, forget, leave, candidate = (gates[:, n * HIDDEN : (n + 1) * HIDDEN] for n in range(4))
        cell = tn.sigmoid(forget) * cell + tn.sigmoid(enter) * tn.tanh(candidate)
        return (tn.sigmoid(leave) * tn.tanh(cell), cell), None

    begin = tn.zeros((BATCH, HIDDEN))
    (hidden, _), _ = tn.scan(step, (begin, begin), xs, checkpoint=checkpoint)
    return tn.sum(hidden**2)


def gradient(checkpoint: int | str | None) -> Function:
    """The simplified gradient of `lstm_loss` by the weights."""
    zeros = {"x": (HIDDEN, 4 * HIDDEN), "hidden": (HIDDEN, 4 * HIDDEN), "bias": (4 * HIDDEN,)}
    weights = {name: np.zeros(shape, np.float32) for name, shape in zeros.items()}
    xs = np.zeros((STEPS, BATCH, HIDDEN), np.float32)
    function = tn.compile(lambda weights, xs: tn.grad(lstm_loss)(weights, xs, checkpoint))
    module = function.lower(weights, xs).module
    return simplify(module, next(iter(module.entries)))


def loops_of(function: Function) -> Program:
    return schedule(lower(function, fuse(function), cpu_rules(host())), host())


def workspace(function: Function) -> int:
    return allocate(loops_of(function)).workspace_bytes


@pytest.mark.parametrize("checkpoint", ["sqrt", 16, 64])
def test_checkpoints_take_a_quarter_of_the_memory_at_most(checkpoint: int | str) -> None:
    assert workspace(gradient(checkpoint)) <= workspace(gradient(None)) / 4


def test_gradients_of_weights_are_not_added_up_turn_by_turn() -> None:
    loops = [each for each in walk(gradient(None).body) if each.op is ops.WHILE]
    assert len(loops) == 2
    assert all(carry.type.shape != (HIDDEN, 4 * HIDDEN) for loop in loops for carry in loop.results)


def test_stacks_are_written_by_the_turns_alone() -> None:
    """Before a loop begins, only what it carries is set."""
    program = loops_of(gradient(None))
    stacks = {buffer for buffer in program.temporaries if buffer.shape[:1] == (STEPS,)}
    before: set[Buffer] = set()
    for kernel in program.kernels:
        if any(isinstance(statement, While) for statement in kernel.body):
            before.update(stored([statement for statement in kernel.body if not isinstance(statement, While)]))
    assert stacks
    assert before
    assert {buffer.storage for buffer in before}.isdisjoint(stacks)
