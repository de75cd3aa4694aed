"""Calls of one function recorded on the device (a CUDA graph), to be replayed where addresses come again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from tenfold_rt.cuda.device import Captured, Device

KEPT = 8
"""Recordings that a function keeps at most."""

_SEEN = 64
_IN_VAIN = 32
"""Recordings after which a function whose addresses hardly ever come again is not recorded any more."""


class Recordings:
    """What was recorded of one function, by the addresses that it was called with.

    A call is recorded when its addresses come for the second time.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kept: OrderedDict[Hashable, Captured] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._made = self._replayed = 0
        self._is_possible = True

    def run(self, addresses: Hashable, work: Callable[[], None]) -> None:
        """Do `work`, which asks for the same whenever it is called with these addresses."""
        kept = self._kept.get(addresses)
        if kept is not None:
            self._kept.move_to_end(addresses)
            self._replayed += 1
            kept.replay()
        elif addresses in self._seen and self._is_worth_while():
            self._record(addresses, work)
        else:
            self._seen[addresses] = None
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
            work()

    def _is_worth_while(self) -> bool:
        return self._is_possible and (self._made < _IN_VAIN or self._replayed > 2 * self._made)

    def _record(self, addresses: Hashable, work: Callable[[], None]) -> None:
        captured = self._device.capture(work)
        if captured is None:
            self._is_possible = False
            work()
            return
        self._made += 1
        self._kept[addresses] = captured
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        captured.replay()
