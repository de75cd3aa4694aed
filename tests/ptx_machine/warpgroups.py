"""The asynchronous products of warp groups, and the state of the registers that take part in them.

Products of a warp group land in order.  Until they were waited for, nobody may look at their accumulators or change
their registers; registers that were written since the last fence may not take part in a product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.errors import Race

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

Array = NDArray[Any]


@dataclass(slots=True, eq=False)
class Product:
    """One product of the warp group whose first thread is `first`."""

    first: int
    group: int
    land: Callable[[], None]
    accumulators: tuple[str, ...]
    fragments: tuple[str, ...]
    step: int
    landed: bool = False
    time: int = 0


class WarpGroups:
    def __init__(self, w: Wave) -> None:
        self.w = w
        self.products: list[Product] = []
        self.committed: dict[int, int] = {}
        self.fenced = np.zeros(w.size, np.bool_)
        self.touched: dict[str, Array] = {}
        """For each register that products use, the threads that wrote it since their last fence."""

    def __bool__(self) -> bool:
        return any(not product.landed for product in self.products)

    def _threads(self, product: Product) -> slice:
        return slice(product.first, product.first + 128)

    # ---- instructions of the warp group

    def fence(self) -> None:
        self.fenced[self.w.ix] = True
        for threads in self.touched.values():
            threads[self.w.ix] = False

    def commit(self) -> None:
        for first in self._firsts():
            self.committed[first] = self.committed.get(first, 0) + 1

    def _firsts(self) -> list[int]:
        return self.w.indices[::128].tolist()

    def issue(
        self, first: int, land: Callable[[], None], accumulators: tuple[str, ...], fragments: tuple[str, ...]
    ) -> None:
        """Take up a product of the warp group of the threads from `first`."""
        w = self.w
        threads = slice(first, first + 128)
        for name in (*accumulators, *fragments):
            touched = self.touched.get(name)
            if not self.fenced[first] or (touched is not None and touched[threads].any()):
                w.fault(Race, f"register {name.split('.', 1)[1]} takes part in a product without wgmma.fence", 0)
        product = Product(first, self.committed.get(first, 0), land, accumulators, fragments, w.current)
        self.products.append(product)
        if w.schedule.lands_now():
            self._land_up_to(product)

    def _land_up_to(self, last: Product) -> None:
        """Let the products of a warp group land, up to `last`."""
        w = self.w
        before = w.ix, w.count, w.whole, w.current
        for product in [*self.products]:
            if product.first == last.first and not product.landed:
                w.current = product.step
                w.ix, w.count, w.whole = self._threads(product), 128, False
                product.time = w.clocks.engine_time()
                product.land()
                product.landed = True
            if product is last:
                break
        w.ix, w.count, w.whole, w.current = before

    def land_any(self) -> None:
        """Let a product land that the schedule chooses."""
        waiting = [product for product in self.products if not product.landed]
        if waiting:
            self._land_up_to(waiting[self.w.schedule.random.randrange(len(waiting))])

    def wait(self, groups: int) -> None:
        """Wait until at most the `groups` latest groups of each active warp group are in flight."""
        for first in self._firsts():
            last = self.committed.get(first, 0) - groups
            done = [product for product in self.products if product.first == first and product.group < last]
            if done:
                self._land_up_to(done[-1])
                warps = self.w.warp[first : first + 128 : 32]
                self.w.clocks.finish_product(warps, max(product.time for product in done))
                self.products = [product for product in self.products if product not in done]

    # ---- other instructions

    def check_use(self, reads: tuple[str, ...], writes: tuple[str, ...]) -> None:
        """Check an instruction of the active threads that reads and writes registers which products use."""
        w = self.w
        for name in writes:
            if name not in self.touched:
                self.touched[name] = np.zeros(w.size, np.bool_)
            self.touched[name][w.ix] = True
        if not self.products:
            return
        active = w.active_mask()
        for product in self.products:
            if not active[self._threads(product)].any():
                continue
            for name in (*reads, *writes):
                if name in product.accumulators or (name in writes and name in product.fragments):
                    verb = "written" if name in writes else "read"
                    message = f"register {name.split('.', 1)[1]} is {verb} while a product is in flight"
                    w.fault(Race, message, int(np.argmax(active[self._threads(product)])) if w.whole else 0)

    def check_finished(self) -> None:
        for product in self.products:
            self.w.current = product.step
            self.w.ix, self.w.count = self._threads(product), 128
            self.w.fault(Race, "the kernel ends with a product that nobody waited for", 0)
