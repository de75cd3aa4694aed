"""mbarrier: init inval arrive expect_tx complete_tx test_wait try_wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ptx_machine.errors import Race
from ptx_machine.instructions.table import builds_control
from ptx_machine.operands import STOP, Array, Assembler, Execute
from ptx_machine.scalars import B64, PRED, U32
from ptx_machine.syntax import Sink

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

_SHARED = ("shared", "shared::cta")


@builds_control("mbarrier")
def build_mbarrier(a: Assembler) -> Execute:
    action = a.required("init", "inval", "arrive", "expect_tx", "complete_tx", "test_wait", "try_wait")
    if action in ("test_wait", "try_wait"):
        return _wait(a)
    following = a.pc + 1
    run = _ACTIONS[action](a)

    def execute(w: Wave) -> int:
        run(w)
        return following

    return execute


def use(w: Wave, addresses: Array, initialises: bool = False) -> None:
    """Check the addresses of mbarriers; a use must come after the initialisation."""
    offsets = w.shared.offsets(w, addresses, 8)
    locations = w.shared.locations(offsets, 8)
    if initialises:
        w.shared.begin_mbarriers(w, locations)
    else:
        w.shared.check_mbarriers(w, locations)


def _init(a: Assembler) -> Callable[[Wave], None]:
    a.required(*_SHARED)
    a.required("b64")
    a.end(2)
    address, count = a.address(0), a.source(1, U32)

    def execute(w: Wave) -> None:
        addresses, counts = w.each(address(w)), w.each(count(w))
        for position in range(w.count):
            w.mbarriers.initialise(position, int(addresses[position]), int(counts[position]))
        use(w, addresses, initialises=True)

    return execute


def _inval(a: Assembler) -> Callable[[Wave], None]:
    a.required(*_SHARED)
    a.required("b64")
    a.end(1)
    address = a.address(0)

    def execute(w: Wave) -> None:
        addresses = w.each(address(w))
        use(w, addresses)
        for position in range(w.count):
            w.mbarriers.invalidate(position, int(addresses[position]))
        w.shared.end_mbarriers(w.shared.locations(w.shared.offsets(w, addresses, 8), 8))

    return execute


def _scope(a: Assembler, *orderings: str) -> bool:
    """The ordering and scope that may be named; whether the arrival is relaxed."""
    ordering = a.optional(*orderings)
    if ordering:
        a.required("cta", "cluster")
    return ordering == "relaxed"


def _arrive(a: Assembler) -> Callable[[Wave], None]:
    expects = a.flag("expect_tx")
    relaxed = _scope(a, "release", "relaxed")
    a.required(*_SHARED)
    a.required("b64")
    a.end((3,) if expects else (2, 3))
    write = None if isinstance(a.operand(0), Sink) else a.target(0, B64)
    address = a.address(1)
    number = a.source(2, U32) if a.operand_count == 3 else None

    def execute(w: Wave) -> None:
        addresses = w.each(address(w))
        use(w, addresses)
        numbers = w.each(1 if number is None else number(w))
        states = np.zeros(w.count, np.uint64)
        for position in range(w.count):
            given = int(numbers[position])
            count, nbytes = (1, given) if expects else (given, 0)
            states[position] = w.mbarriers.arrive(position, int(addresses[position]), count, nbytes, not relaxed)
        if write is not None:
            write(w, states)

    return execute


def _expect(a: Assembler) -> Callable[[Wave], None]:
    return _transaction(a, 1)


def _complete(a: Assembler) -> Callable[[Wave], None]:
    return _transaction(a, -1)


def _transaction(a: Assembler, sign: int) -> Callable[[Wave], None]:
    if a.flag("relaxed"):
        a.required("cta", "cluster")
    a.required(*_SHARED)
    a.required("b64")
    a.end(2)
    address, number = a.address(0), a.source(1, U32)

    def execute(w: Wave) -> None:
        addresses, numbers = w.each(address(w)), w.each(number(w))
        use(w, addresses)
        for position in range(w.count):
            w.mbarriers.arrive(position, int(addresses[position]), 0, sign * int(numbers[position]))

    return execute


_ACTIONS: dict[str, Callable[[Assembler], Callable[[Any], None]]] = {
    "init": _init,
    "inval": _inval,
    "arrive": _arrive,
    "expect_tx": _expect,
    "complete_tx": _complete,
}


def _wait(a: Assembler) -> Execute:
    """Ask whether a phase is complete; threads that ask in vain sleep before they go on."""
    by_parity = a.flag("parity")
    _scope(a, "acquire", "relaxed")
    a.required(*_SHARED)
    a.required("b64")
    a.end((3, 4))
    write, address = a.target(0, PRED), a.address(1)
    asked = a.source(2, U32 if by_parity else B64)
    following = a.pc + 1

    def execute(w: Wave) -> int:
        addresses, parities = w.each(address(w)), w.each(asked(w)).astype(np.int64)
        use(w, addresses)
        if by_parity and (parities > 1).any():
            w.fault(Race, f"parity {int(parities.max())}", int(np.argmax(parities > 1)))
        cases = [*zip(addresses.tolist(), parities.tolist(), strict=True)]
        known: dict[tuple[int, int, int], bool] = {}
        for i, key in enumerate(zip(w.warp[w.ix].tolist(), *zip(*cases, strict=True), strict=True)):
            if key not in known:
                known[key] = w.mbarriers.test(i, *key[1:])
        complete = np.array([known[warp, *case] for warp, case in zip(w.warp[w.ix].tolist(), cases, strict=True)])
        write(w, complete)
        if complete.all():
            return following
        w.pc[w.ix] = following
        for position in np.flatnonzero(~complete).tolist():
            w.mbarriers.sleep(position, *cases[position])
        return STOP

    return execute
