"""Which warp knows of which: vector clocks over the warps of a block, as race detectors keep them.

There is one time for all, which advances at every synchronisation.  `known[w, v]` is the latest time up to which warp
`w` (counted through the wave) knows what warp `v` of its block did.  The asynchronous engines of a block are one more
agent, the last.
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
        self.known = np.zeros((blocks * warps, warps + 1), np.int64)
        self.fenced = np.zeros((blocks, warps + 1), np.int64)
        """Up to which time each warp's writes were made visible to the asynchronous engines, per block."""
        self._warp = np.arange(warps)

    @property
    def engine(self) -> int:
        """The agent that stands for the asynchronous engines."""
        return self.warps

    def ordered(self, warps: NDArray[Any], agents: NDArray[Any], times: NDArray[Any]) -> NDArray[Any]:
        """Whether what each agent did at each time comes before what the warp does now."""
        return (agents == warps % self.warps) | (self.known[warps, agents] >= times)

    def join_blocks(self) -> None:
        """A barrier of all warps of each block."""
        known = self.known.reshape(-1, self.warps, self.warps + 1)
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

    def engine_time(self) -> int:
        """A time of its own for one piece of asynchronous work."""
        self.now += 1
        return self.now

    def fence_engines(self, warp: int) -> None:
        """Make all writes that `warp` knows of visible to the asynchronous engines of its block."""
        vector = self.release(warp)
        fenced = self.fenced[warp // self.warps]
        np.maximum(fenced, vector, out=fenced)
