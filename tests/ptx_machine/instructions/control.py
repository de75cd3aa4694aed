"""Branches, calls and barriers: bra brx call ret exit trap bar barrier membar fence nanosleep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptx_machine.errors import Trap
from ptx_machine.instructions.memory_access import frame_name
from ptx_machine.instructions.table import builds, builds_control
from ptx_machine.operands import EXITED, STOP, Array, Assembler, Execute, Reader
from ptx_machine.scalars import U32
from ptx_machine.syntax import Arguments, Symbol

if TYPE_CHECKING:
    from ptx_machine.wave import Wave


def _label(a: Assembler, index: int) -> str:
    operand = a.operand(index)
    if not isinstance(operand, Symbol):
        raise a.unknown("a label is named")
    return operand.name


@builds_control("bra")
def build_branch(a: Assembler) -> Execute:
    a.flag("uni")
    a.end(1)
    target = a.target_of_branch(_label(a, 0))
    return lambda w: target


def conditional_branch(target: int, following: int, predicate: Reader) -> Execute:
    """`@p bra`: threads go apart where their predicates differ."""

    def execute(w: Wave) -> int:
        taken = predicate(w)
        number = int(np.count_nonzero(taken))
        if number == 0:
            return following
        if number == w.count:
            return target
        w.pc[w.ix] = np.where(taken, target, following)
        return STOP

    return execute


@builds_control("brx")
def build_indexed_branch(a: Assembler) -> Execute:
    a.required("idx")
    a.flag("uni")
    a.end(2)
    index = a.source(0, U32)
    name = _label(a, 1)
    if name not in a.function.branch_targets:
        raise a.unknown(f"unknown table of branch targets {name!r}")
    targets = np.array([a.target_of_branch(label) for label in a.function.branch_targets[name]], np.int64)

    def execute(w: Wave) -> int:
        chosen = w.each(index(w))
        if (chosen >= targets.size).any():
            at = int(np.argmax(chosen >= targets.size))
            w.fault(Trap, f"branch {int(chosen[at])} of a table of {targets.size}", at)
        w.pc[w.ix] = targets[chosen]
        return STOP

    return execute


@builds_control("call")
def build_call(a: Assembler) -> Execute:
    """Copy the arguments to the function's parameters and go there; the step after the call takes the results."""
    a.flag("uni")
    operands = list(a.instruction.operands)
    has_results = isinstance(operands[0], Arguments)
    name = operands[1 if has_results else 0]
    if not isinstance(name, Symbol) or name.name not in a.labels:
        raise a.unknown("only functions of the file can be called, by their name")
    arguments = operands[2 if has_results else 1 :]
    a.end((1, 2, 3))
    names = [frame_name(a, _name(a, item)) for each in arguments for item in _items(a, each)]
    entry, following = a.labels[name.name], a.pc + 1
    function = name.name

    def execute(w: Wave) -> int:
        for mine, theirs in zip(names, w.code.parameter_frames[function], strict=True):
            w.frames[theirs][w.ix] = w.frames[mine][w.ix]
        w.frames[f"{function}.return"][w.ix, :8] = np.array([following], np.int64).view(np.uint8)
        return entry

    return execute


def take_results(a: Assembler) -> Execute:
    """The step after a call: copy its results to the caller's parameters."""
    results, function = a.instruction.operands[:2]
    names = [frame_name(a, _name(a, item)) for item in _items(a, results)]
    assert isinstance(function, Symbol)
    callee = function.name

    def execute(w: Wave) -> None:
        for mine, theirs in zip(names, w.code.result_frames[callee], strict=True):
            w.frames[mine][w.ix] = w.frames[theirs][w.ix]

    return execute


def _items(a: Assembler, operand: Any) -> tuple[Any, ...]:
    if not isinstance(operand, Arguments):
        raise a.unknown("arguments stand in parentheses")
    return operand.items


def _name(a: Assembler, operand: Any) -> str:
    if not isinstance(operand, Symbol):
        raise a.unknown("arguments are parameters")
    return operand.name


@builds_control("ret", "exit")
def build_return(a: Assembler) -> Execute:
    a.flag("uni")
    a.end(0)
    if a.function.is_kernel or a.name == "exit":

        def leave(w: Wave) -> int:
            w.pc[w.ix] = EXITED
            return STOP

        return leave
    frame = f"{a.function.name}.return"

    def execute(w: Wave) -> int:
        targets = np.ascontiguousarray(w.frames[frame][w.ix, :8]).view(np.int64)[:, 0]
        w.pc[w.ix] = targets
        return STOP

    return execute


@builds("trap", "brkpt")
def build_trap(a: Assembler) -> Execute:
    a.end(0)

    def execute(w: Wave) -> None:
        w.fault(Trap, "the program trapped", 0)

    return execute


@builds("nanosleep")
def build_sleep(a: Assembler) -> Execute:
    a.required("u32")
    a.end(1)

    def execute(w: Wave) -> None:
        w.budget -= 500

    return execute


@builds_control("bar", "barrier")
def build_barrier(a: Assembler) -> Execute:
    if a.name == "bar" and a.peek() == "warp":
        return _warp_barrier(a)
    a.flag("cta")
    action = a.required("sync", "arrive", "red")
    aligned = a.flag("aligned") or a.name == "bar"
    if action == "red":
        raise a.unknown("reductions at a barrier")
    a.end(2 if action == "arrive" else (1, 2))
    identifier = a.source(0, U32)
    count = a.source(1, U32) if a.operand_count == 2 else None

    def execute(w: Wave) -> int:
        number = w.each(identifier(w)).astype(np.int64)
        if (number > 15).any():
            w.fault(Trap, f"there is no barrier {int(number.max())}", int(np.argmax(number > 15)))
        expected = None if count is None else w.each(count(w)).astype(np.int64)
        if expected is not None and ((expected % 32 != 0) | (expected == 0)).any():
            w.fault(Trap, "a barrier's count is a multiple of 32", 0)
        if action == "arrive":
            assert expected is not None
            return w.barriers.arrive(number, expected)
        return w.barriers.wait(number, expected, aligned)

    return execute


def _warp_barrier(a: Assembler) -> Execute:
    a.sequence("warp", "sync")
    a.end(1)
    return collective(a, a.source(0, U32), lambda w: None)


def collective(a: Assembler, members: Reader, execute: Any) -> Execute:
    """An instruction that the members of a warp run together: it waits for all of them that did not exit."""
    pc, following = a.pc, a.pc + 1

    def run(w: Wave) -> int:
        mask = members(w)
        if w.whole and bool(np.all(mask == 0xFFFFFFFF)):
            execute(w)
            return following
        _check_members(w, mask)
        chosen = w.gather(pc, mask)
        if chosen is None:
            return STOP
        execute(w)
        w.pc[chosen] = following
        return STOP

    return run


def _check_members(w: Wave, mask: Array) -> None:
    outside = w.each(mask) & w.lane_bit[w.ix] == 0
    if outside.any():
        w.fault(Trap, "a thread runs a collective instruction that its mask leaves out", int(np.argmax(outside)))


@builds("membar")
def build_membar(a: Assembler) -> Execute:
    level = a.required("cta", "gl", "sys")
    a.end(0)
    return lambda w: w.launch.races.fence(w) if level != "cta" else None


@builds("fence")
def build_fence(a: Assembler) -> Execute:
    if a.flag("proxy"):
        return _proxy_fence(a)
    if a.flag("mbarrier_init"):
        a.sequence("release", "cluster")
        a.end(0)
        return _fence_engines
    a.required("sc", "acq_rel")
    scope = a.required("cta", "cluster", "gpu", "sys")
    a.end(0)
    return lambda w: w.launch.races.fence(w) if scope in ("gpu", "sys") else None


def _proxy_fence(a: Assembler) -> Execute:
    kind = a.required("async", "async.global", "alias", "tensormap::generic")
    if kind != "async":
        raise a.unknown(f"proxy {kind}")
    space = a.optional("global", "shared::cta", "shared::cluster")
    a.end(0)
    return (lambda w: None) if space == "global" else _fence_engines


def _fence_engines(w: Wave) -> None:
    for warp in np.unique(w.warp[w.ix]):
        w.clocks.fence_engines(int(warp))
