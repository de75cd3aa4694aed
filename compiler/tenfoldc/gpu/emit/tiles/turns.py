"""Loops in the text of a function: a counter, and values handed from turn to turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfoldc.emit.function_text import FunctionText


def turns(
    text: FunctionText,
    first: str,
    end: str,
    step: str,
    state: Sequence[tuple[str, str]],
    body: Callable[[str, Sequence[str]], Sequence[str]],
) -> list[str]:
    """Write `body(counter, state)` for i32 counters from `first` by `step` below `end`, which may be none.

    `state` are the types and first values of what the body is given and gives the next turn; the last of it is given.
    """
    before, head, inside, done = text.block, text.label("head"), text.label("turn"), text.label("end")
    text.branch(head)
    text.start(head)
    counter, counter_line = text.name(), text.reserve()
    names = [text.name() for _ in state]
    lines = [text.reserve() for _ in state]
    text.branch_if(text.fresh(f"icmp ult i32 {counter}, {end}"), inside, done)
    text.start(inside)
    with text.scope():
        following = body(counter, names)
        next_counter = text.fresh(f"add nuw nsw i32 {counter}, {step}")
        latch = text.block
        text.branch(head)
    text.fill(counter_line, f"{counter} = phi i32 [ {first}, %{before} ], [ {next_counter}, %{latch} ]")
    for (kind, start), name, line, last in zip(state, names, lines, following, strict=True):
        text.fill(line, f"{name} = phi {kind} [ {start}, %{before} ], [ {last}, %{latch} ]")
    text.start(done)
    return names


def when(text: FunctionText, condition: str, body: Callable[[], None]) -> None:
    """Write `body` for threads where the bit `condition` is set."""
    then, done = text.label("when"), text.label("then")
    text.branch_if(condition, then, done)
    text.start(then)
    with text.scope():
        body()
    text.branch(done)
    text.start(done)
