"""In which order warps and blocks run, and when asynchronous copies land.

Seed 0 is the plain schedule: blocks in order, all threads together, copies landing when they are issued.  Any other
seed draws the order of the blocks, lets warps run ahead of one another for a random while, and lands copies at an
arbitrary moment; odd seeds always at the latest legal one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Schedule:
    """The choices of one launch, the same for the same seed."""

    seed: int = 0
    step_limit: int = 50_000_000
    """Control transfers after which a launch counts as stuck."""
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    @property
    def is_plain(self) -> bool:
        return self.seed == 0

    @property
    def lands_late(self) -> bool:
        """Whether asynchronous work lands only where something waits for it."""
        return self.seed % 2 == 1

    def block_order(self, count: int) -> list[int]:
        """The order in which the blocks of a grid start."""
        order = list(range(count))
        if not self.is_plain:
            self.random.shuffle(order)
        return order

    def warp_ranks(self, count: int) -> list[int]:
        """For each warp its rank: those of lower rank run first."""
        return [self.random.randrange(3) for _ in range(count)]

    def slice_length(self) -> int:
        """After how many stretches of code the ranks are drawn again."""
        return self.random.randrange(1, 40)

    def lands_now(self) -> bool:
        """Whether a piece of asynchronous work lands at this moment."""
        return self.is_plain or (not self.lands_late and self.random.random() < 0.3)
