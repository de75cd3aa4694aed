"""Which warp knows of which: vector clocks over the warps of a block, as race detectors keep them.

There is one time for all, which advances at every synchronisation.  `known[w, v]` is the latest time up to which warp
`w` (counted through the wave) knows what warp `v` of its block did.  The products of
each warp group are a further agent, and so are, as the last one, the copy engines of the block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.int64]


class Clocks:
    def __init__(self, blocks: int, warps: int, now: int) -> None:
        self.now = now
        self.warps = warps
        self.readers = warps + -(-warps // 4)
        self.known = np.zeros((blocks * warps, self.readers + 1), np.int64)
        self.fenced = np.zeros((blocks, self.readers + 1), np.int64)
        """Up to which time each warp's writes were made visible to the asynchronous engines, per block."""
        self._warp = np.arange(warps)

    @property
    def engine(self) -> int:
        """The agent that stands for the asynchronous engines."""
        return self.readers

    def ordered(self, warps: NDArray[Any], agents: NDArray[Any], times: NDArray[Any]) -> NDArray[Any]:
        """Whether what each agent did at each time comes before what the warp does now."""
        return (agents == warps % self.warps) | (self.known[warps, agents] >= times)

    def join_blocks(self) -> None:
        """A barrier of all warps of each block."""
        known = self.known.reshape(-1, self.warps, self.readers + 1)
        known[:, self._warp, self._warp] = self.now
        known[:] = known.max(axis=1, keepdims=True)
        self.now += 1

    def join(self, warps: NDArray[Any]) -> None:
        """A barrier of `warps`, which lie in one block."""
        self.known[warps, warps % self.warps] = self.now
        self.known[warps] = self.known[warps].max(axis=0)
        self.now += 1

    def release(self, warp: int) -> Vector:
        """What `warp` knows and did up to now; what it does later is not covered."""
        self.known[warp, warp % self.warps] = self.now
        self.now += 1
        return self.known[warp].copy()

    def acquire(self, warp: int, vector: Vector) -> None:
        """Let `warp` know all that a release handed on."""
        own = self.known[warp]
        np.maximum(own, vector, out=own)

    def known_to_all(self, warps: NDArray[Any]) -> Vector:
        """Up to which time each agent's deeds are known to every one of `warps` (a warp's own up to now)."""
        known = self.known[warps].copy()
        known[np.arange(warps.size), warps % self.warps] = self.now
        return known.min(axis=0)

    def engine_time(self) -> int:
        """A time of its own for one piece of asynchronous work."""
        self.now += 1
        return self.now

    def finish_product(self, warps: NDArray[Any], time: int) -> None:
        """Let `warps`, those of a warp group, know what their products read up to `time`."""
        group = self.warps + int(warps[0]) % self.warps // 4
        self.known[warps, group] = np.maximum(self.known[warps, group], time)

    def fence_engines(self, warp: int) -> None:
        """Make all writes that `warp` knows of visible to the asynchronous engines of its block."""
        vector = self.release(warp)
        fenced = self.fenced[warp // self.warps]
        np.maximum(fenced, vector, out=fenced)
