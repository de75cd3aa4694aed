"""Calls of tensor functions outside a trace: recorded, then compiled and run in groups when a value is looked at.

`tn.lazy.run()` runs what is recorded; `tn.lazy.counters()` says how often calls were recorded and groups compiled.
"""

from tenfold.lazy.graph import Counters, counters, run

__all__ = ["Counters", "counters", "run"]
