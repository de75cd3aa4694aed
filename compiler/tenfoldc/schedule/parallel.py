"""Which loops are shared out between threads.

    parallel i in 4194304: ...   →   parallel i_task in 64: for i in 65536: ...
    parallel b in 3: for t in 4: parallel v in 40: ...   →   for b in 3: for t in 4: parallel v in 40: ...
    parallel i in 100: ...       →   for i in 100: ...

Lowering marks every loop whose turns are independent; here the outermost of them that has turns enough is kept,
cut into tasks that are worth a thread's while, and all others become plain loops.  What a task computes depends on
sizes alone, never on how many threads there are, so results are the same bits for any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Axis,
    For,
    If,
    Mode,
    MultiplyPanels,
    MultiplyStrip,
    Program,
    Statement,
    While,
)
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import inner_statements, walk_statements
from tenfoldc.schedule.blocks import blocks_of
from tenfoldc.schedule.cost import Costs, turns_of, turns_taken
from tenfoldc.tuning import Decisions

ASLEEP = 30_000.0
"""Nanoseconds of work from which sharing pays where threads may sleep: to wake one takes 50,000, 10,000 of them of the
caller's time."""

AWAKE = 8_000.0
"""The same where they wait for work: to begin and to end takes 700 where threads share a cache, else 3,000."""

TASK = 4_000.0
"""Nanoseconds of work that a task should have at least."""

BUSY = 200_000.0
"""Nanoseconds of loops to share from which a program keeps threads awake, once they are woken, for most of it."""

MOST_TASKS = 64
_TRIED_TASKS = (1, 2, 4, 8, 16, 32, 64, 128)
_ENOUGH_TURNS = 8
"""Turns from which a loop can be shared out evenly."""
_NEARLY_ALL = 0.9
_ALIGNED = 64
"""Elements: tasks of a loop over elements begin on cache lines, so that no two threads write to one."""


def smallest_region(program: Program) -> float:
    """Nanoseconds of work from which to share a loop of `program` pays: few where one such loop follows the other."""
    costs = Costs()
    work = sum(_to_share(kernel.body, costs) for kernel in program.kernels)
    return AWAKE if work >= BUSY else ASLEEP


def share_out(statements: Sequence[Statement], decisions: Decisions, smallest: float) -> tuple[Statement, ...]:
    """`statements` with the loops of `smallest` nanoseconds and more that threads are to share marked `PARALLEL`.

    No two of them are nested.
    """
    return _Sharing(decisions, smallest).block(statements)[0]


def _to_share(statements: Sequence[Statement], costs: Costs) -> float:
    """Nanoseconds of the loops that could be shared, each worth it while threads are awake."""
    work = 0.0
    for statement in statements:
        match statement:
            case For(mode=Mode.PARALLEL):
                cost = costs.of((statement,))
                work += cost if cost >= AWAKE else 0.0
            case For():
                work += turns_of(statement.extent) * _to_share(statement.body, costs)
            case While():
                work += turns_taken(statement) * _to_share(statement.body, costs)
            case If():
                work += max(_to_share(statement.then, costs), _to_share(statement.otherwise, costs))
            case _:
                pass
    return work


class _Sharing:
    """One kernel's decisions."""

    def __init__(self, decisions: Decisions, smallest: float) -> None:
        self._costs = Costs()
        self._decisions = decisions
        self._smallest = smallest

    def block(self, statements: Sequence[Statement]) -> tuple[tuple[Statement, ...], float]:
        """The statements rewritten, and how many nanoseconds of them are shared."""
        rewritten = [self._statement(statement) for statement in statements]
        return tuple(statement for statement, _ in rewritten), sum(shared for _, shared in rewritten)

    def _statement(self, statement: Statement) -> tuple[Statement, float]:
        match statement:
            case For():
                return self._loop(statement)
            case While():
                body, shared = self.block(statement.body)
                return replace(statement, body=body), shared * turns_taken(statement)
            case If():
                then, in_then = self.block(statement.then)
                otherwise, in_otherwise = self.block(statement.otherwise)
                return replace(statement, then=then, otherwise=otherwise), max(in_then, in_otherwise)
            case _:
                return statement, 0.0

    def _loop(self, loop: For) -> tuple[Statement, float]:
        cost = self._costs.of((loop,))
        if cost < self._smallest:
            return _serial(loop), 0.0
        turns = turns_of(loop.extent)
        is_parallel = loop.mode is Mode.PARALLEL and turns > 1
        if is_parallel and turns >= _ENOUGH_TURNS:
            return self._tasks(loop, turns, cost), cost
        within = _Sharing(self._decisions, max(self._smallest, ASLEEP)) if is_parallel else self
        body, inside = within.block(loop.body)  # of two loops to share, the inner one must be large
        shared = inside * turns
        if is_parallel and shared < _NEARLY_ALL * cost:
            return self._tasks(loop, turns, cost), cost
        mode = Mode.SERIAL if loop.mode is Mode.PARALLEL else loop.mode
        return replace(loop, body=body, mode=mode, private=()), shared

    def _tasks(self, loop: For, turns: int, cost: float) -> For:
        """`loop` as tasks: as many as are worth a thread's while, unless measurement has found better."""
        count = max(2, min(turns, MOST_TASKS, int(cost / TASK)))
        others = [(tried,) for tried in _TRIED_TASKS if tried <= turns]
        question = f"tasks of {turns} turns of {cost / turns:.4g}"
        (count,) = self._decisions.choose(question, (count,), others, for_threads=True)
        serial = _serial(loop)
        assert isinstance(serial, For)
        return serial if count == 1 else _tasks(loop, turns, count)


def _serial(statement: Statement) -> Statement:
    """A statement whose parallel loops have become plain ones."""
    if isinstance(statement, For):
        mode = Mode.SERIAL if statement.mode is Mode.PARALLEL else statement.mode
        statement = replace(statement, mode=mode, private=())
    return with_inner(statement, lambda inner: tuple(map(_serial, inner)))


def _tasks(loop: For, turns: int, count: int) -> For:
    """`loop` as a parallel loop over `count` tasks, each some turns of `loop`."""
    body = tuple(map(_serial, loop.body))
    size = -(-turns // count)
    if not runs_long(loop):
        size = -(-size // _ALIGNED) * _ALIGNED
    if size == 1:
        return replace(loop, body=body)
    tasks, index = blocks_of(loop, size, "task"), Axis(loop.axis.name)
    replacer = BufferReplacer({}, {loop.axis: scalar.add(tasks.first, index)})
    within = For(index, tasks.length, replacer.statements(body))
    return For(tasks.number, tasks.count, (within,), mode=Mode.PARALLEL, private=loop.private)


def runs_long(loop: For) -> bool:
    """Whether a turn of `loop` is more than an element."""
    if any(isinstance(inner, For | While) for inner in inner_statements(loop)):
        return True
    return any(isinstance(statement, MultiplyPanels | MultiplyStrip) for statement in walk_statements(loop.body))
