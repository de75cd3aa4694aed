"""What rewritten functions call: each decides at run time whether to do as Python does or to trace.

Python's own values take Python's way: one branch, loops turn by turn.  A traced condition makes a branch or a loop of
the compiled program.  A part's variables are those of the rewritten function (`Cells`); a part that was left by a jump
returns a `Signal`, and so do the functions here where a jump may have happened.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from tenfold.rewrite.cells import Cells
from tenfold.rewrite.conditions import and_, compare, condition, is_traced, not_, or_
from tenfold.rewrite.convert import rewritten
from tenfold.rewrite.loops import CompiledLoop, Turns
from tenfold.rewrite.paths import Path, merge
from tenfold.rewrite.ranges import TracedRange, make_range
from tenfold.rewrite.signals import NORMAL, Kind, Signal, Unset
from tenfold.tracing import TensorValue, depth, here, lift, wrap
from tenfold_rt.errors import TraceError
from tenfoldc import ops
from tenfoldc.ops import Direction

__all__ = ["and_", "compare", "depth", "not_", "or_"]

Part: TypeAlias = Callable[[], "Signal | None"]

BREAK = Signal({Kind.BREAK: frozenset()})
CONTINUE = Signal({Kind.CONTINUE: frozenset()})


def returned(value: Any) -> Signal:
    """`return value` in a part."""
    return Signal({Kind.RETURN: frozenset()}, value=value)


def finish(signal: Signal) -> Any:
    """What the function returns, whose last part ended with `signal`."""
    if signal.falls_through:
        return None
    if not signal.jumps:
        if signal.value is None:
            return None
        raise TraceError(
            "the function returns a value on one path and nothing on another",
            where=here(),
            mend="end it with a return of a value of the same type",
        )
    return signal.value


# --- variables and calls ------------------------------------------------------------------------------


def read(value: Any) -> Any:
    """A variable's value; `TraceError` where it has none on some path."""
    if isinstance(value, Unset):
        raise TraceError(value.why, where=here(), mend="assign it before, so that it has a value in any case")
    return value


def called(function: Any) -> Any:
    """`function`, about to be called: a function of the user's is rewritten too."""
    return make_range if function is range else rewritten(function, given=False)


def augmented(outer: int, name: str, value: Any, operand: Any) -> Any:
    """`value op= operand`; never in place where a branch or loop of the function is being traced."""
    in_place = depth() == outer or not isinstance(value, (list, dict, set, np.ndarray))
    function = getattr(operator, _OPERATORS[name][0] if in_place else _OPERATORS[name][1])
    return function(value, list(operand) if isinstance(value, list) and not in_place else operand)


_OPERATORS = {
    "Add": ("iadd", "add"),
    "Sub": ("isub", "sub"),
    "Mult": ("imul", "mul"),
    "MatMult": ("imatmul", "matmul"),
    "Div": ("itruediv", "truediv"),
    "FloorDiv": ("ifloordiv", "floordiv"),
    "Mod": ("imod", "mod"),
    "Pow": ("ipow", "pow"),
    "LShift": ("ilshift", "lshift"),
    "RShift": ("irshift", "rshift"),
    "BitAnd": ("iand", "and_"),
    "BitOr": ("ior", "or_"),
    "BitXor": ("ixor", "xor"),
}


def refuse_if_traced(outer: int, what: str) -> None:
    """`TraceError` where a branch or loop of the function, which began in a trace `outer` deep, is being traced."""
    if depth() > outer:
        raise TraceError(
            f"{what} in a branch or loop over traced values, which is traced whether it is taken or not",
            where=here(),
            mend="assign a variable there, and do this before or after; a tensor changes with"
            " x = x.at[index].set(values)",
        )


def asserted(test: Any) -> Any:
    """The condition of an `assert`; `TraceError` where it is traced."""
    if is_traced(test):
        raise TraceError(
            f"`assert` needs the value of a traced tensor {test.tensor_type}, "
            "which is known only when the compiled code runs",
            where=here(),
            mend="return the condition and assert it outside, or assert shapes and dtypes alone",
        )
    return test


# --- branches ------------------------------------------------------------------------------------------


def branch(
    test: Any,
    then: Part,
    otherwise: Part,
    names: Sequence[str],
    rest: Part | None = None,
    after: Sequence[str] = (),
) -> Signal:
    """`if test: then() else: otherwise()`, which assign `names`; then `rest`, which assigns `after`."""
    if not is_traced(test):
        return _go_on((then() if test else otherwise()) or NORMAL, rest, after, "`if`")
    pred = condition(test)
    cells = Cells(then, otherwise, rest)
    before = cells.read()
    paths = (Path.explore(then, cells, before, "the `if`"), Path.explore(otherwise, cells, before, "the `if`"))
    ends = [path.signal for path in paths]
    if rest is not None and (ends[0].jumps or ends[1].jumps):
        # What follows is part of the one branch that goes on.
        for path in paths:
            if path.signal.falls_through:
                path.go_on(rest, cells)
                rest, names = None, after
                break
    return _go_on(merge(pred, paths, cells, before, names, "`if`"), rest, after, "`if`")


def _go_on(signal: Signal, rest: Part | None, names: Sequence[str], what: str, cells: Cells | None = None) -> Signal:
    """Run `rest` unless a jump, told by `signal`, has left the statement before it."""
    if rest is None or signal.jumps:
        return signal
    if signal.falls_through:
        return rest() or NORMAL
    cells = cells or Cells(rest)
    before = cells.read()
    number = lift(signal.number)
    pred = ops.compare(number, lift(int(Kind.NORMAL)), Direction.EQ)
    left = signal.without(Kind.NORMAL)
    paths = (Path.explore(rest, cells, before, what), Path.explore(lambda: left, cells, before, what))
    return merge(pred, paths, cells, before, names, what)


def sequence(part: Part, names: Sequence[str], rest: Part | None = None, after: Sequence[str] = ()) -> Signal:
    """`part`, a `try`, `with` or `match` that a jump may leave; then `rest`."""
    del names  # it is traced where it stands
    return _go_on(part() or NORMAL, rest, after, "statement")


def choose(test: Any, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """`first() if test else second()`."""
    if not is_traced(test):
        return first() if test else second()
    pred = condition(test)
    cells = Cells(first, second)
    before = cells.read()
    paths = tuple(
        Path.explore(lambda value=value: returned(value()), cells, before, "a conditional expression")
        for value in (first, second)
    )
    return merge(pred, (paths[0], paths[1]), cells, before, (), "conditional expression").value


# --- loops -----------------------------------------------------------------------------------------------


def while_(
    test: Callable[[], Any] | None,
    body: Part,
    otherwise: Part | None,
    names: Sequence[str],
    rest: Part | None = None,
    after: Sequence[str] = (),
) -> Signal:
    """`while test(): body() else: otherwise()`, endless without `test`; then `rest`."""
    return _after_loop(_while(test, body, names), otherwise, names, rest, after)


def _while(test: Callable[[], Any] | None, body: Part, names: Sequence[str]) -> Signal:
    cells = Cells(test, body)
    while True:
        before = cells.read()
        holds = True if test is None else test()
        if is_traced(holds):
            return CompiledLoop(Turns(test), body, cells, names).run()
        if not holds:
            return NORMAL
        signal = body() or NORMAL
        if signal.goes_on:
            continue
        if len(signal.kinds) == 1:
            return signal
        # Whether this turn is the last depends on traced values: from here on the loop is compiled.
        cells.write(before)
        return CompiledLoop(Turns(test, surely=True), body, cells, names).run()


def for_(
    values: Iterable[Any],
    body: Callable[[Any], Signal | None],
    otherwise: Part | None,
    has_effects: bool,
    names: Sequence[str],
    rest: Part | None = None,
    after: Sequence[str] = (),
) -> Signal:
    """`for item in values: body(item) else: otherwise()`; then `rest`.

    A body that `has_effects` on Python's objects is not compiled where its turns can be taken one by one.
    """
    return _after_loop(_for(values, body, has_effects, names), otherwise, names, rest, after)


def _for(
    values: Iterable[Any], body: Callable[[Any], Signal | None], has_effects: bool, names: Sequence[str]
) -> Signal:
    cells = Cells(body)
    if isinstance(values, TracedRange):
        return CompiledLoop(Turns(count=values.count, item=values.item), body, cells, names).run()
    if isinstance(values, TensorValue) and is_traced(values) and values.tensor_type.rank and not has_effects:
        return _over_tensor(values, body, cells, names)
    if isinstance(values, range):
        return _over_range(values, body, cells, names)
    return _one_by_one(iter(values), body, names)


def _over_tensor(values: Any, body: Callable[[Any], Signal | None], cells: Cells, names: Sequence[str]) -> Signal:
    """A scan of the tensor's first axis, unless a jump may leave it."""
    turns = values.tensor_type.sizes[0]
    if turns == 0:
        return NORMAL
    before = cells.read()
    probe = Path.explore(lambda: body(values[0]), cells, before, "the loop")
    cells.write(before)
    if probe.signal.goes_on:
        return CompiledLoop(Turns(count=turns, stack=lift(values), surely=True), body, cells, names).run()
    return CompiledLoop(Turns(count=turns, item=lambda turn: values[turn], surely=True), body, cells, names).run()


def _over_range(values: range, body: Callable[[Any], Signal | None], cells: Cells, names: Sequence[str]) -> Signal:
    """Turn by turn, unless a jump under a traced condition may end it: from there on it is compiled."""
    for done, number in enumerate(values):
        before = cells.read()
        signal = body(number) or NORMAL
        if signal.goes_on:
            continue
        if len(signal.kinds) == 1:
            return signal
        cells.write(before)
        left = values[done:]

        def item(turn: Any, left: range = left) -> Any:
            return left.start + turn * left.step

        return CompiledLoop(Turns(count=len(left), item=item, surely=True), body, cells, names).run()
    return NORMAL


def _one_by_one(items: Iterator[Any], body: Callable[[Any], Signal | None], names: Sequence[str]) -> Signal:
    """Turn by turn; behind a turn that may have left the loop, the others are a branch."""
    for item in items:
        signal = body(item) or NORMAL
        if signal.goes_on:
            continue
        if len(signal.kinds) == 1:
            return signal
        again = _relabelled(signal, Kind.CONTINUE)
        return _go_on(again, lambda: _one_by_one(items, body, names), names, "loop", Cells(body))
    return NORMAL


def _after_loop(
    signal: Signal, otherwise: Part | None, names: Sequence[str], rest: Part | None, after: Sequence[str]
) -> Signal:
    """What follows a loop: its `else` where no `break` left it, then `rest`."""
    ended = _go_on(signal, otherwise, names, "loop")
    return _go_on(_relabelled(ended, Kind.BREAK), rest, after, "loop")


def _relabelled(signal: Signal, kind: Kind) -> Signal:
    """`signal` with `kind` taken to be the end of a part."""
    if kind not in signal.kinds:
        return signal
    kinds = {other: names for other, names in signal.kinds.items() if other != kind}
    kinds[Kind.NORMAL] = kinds.get(Kind.NORMAL, frozenset()) | signal.kinds[kind]
    if len(kinds) == 1:
        return Signal(kinds, value=signal.value, tracked=signal.tracked)
    number = lift(signal.number)
    same = ops.compare(number, lift(int(kind)), Direction.EQ)
    return Signal(kinds, wrap(ops.select(same, lift(0), number)), signal.value, signal.tracked)
