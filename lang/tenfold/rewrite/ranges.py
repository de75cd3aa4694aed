"""`range` with a traced bound."""

from __future__ import annotations

from typing import Any

from tenfold.functions.arithmetic import maximum
from tenfold.rewrite.conditions import is_traced
from tenfold.tracing import here, refuse_value
from tenfold_rt.errors import DTypeError, TraceError
from tenfold_rt.frozen import frozen


@frozen
class TracedRange:
    """A range of which only the compiled code knows the end; iterated by a rewritten `for` alone."""

    start: Any
    step: int
    count: Any

    def item(self, turn: Any) -> Any:
        """The number of a turn."""
        return self.start + turn * self.step if self.step != 1 or is_traced(self.start) or self.start else turn

    def __iter__(self) -> Any:
        refuse_value("a range", self.count.tensor_type, "use it in `for i in range(n)`, or tn.fori_loop")


def make_range(*bounds: Any) -> range | TracedRange:
    """`range(*bounds)`, also with traced bounds."""
    if not any(map(is_traced, bounds)):
        return range(*bounds)
    given: tuple[Any, ...] = (0, *bounds) if len(bounds) == 1 else bounds
    start, stop = given[:2]
    step = given[2] if len(given) > 2 else 1
    for bound in (start, stop):
        if is_traced(bound) and (bound.tensor_type.rank or not bound.tensor_type.dtype.is_integer):
            raise DTypeError(f"range: a bound is {bound.tensor_type}, not an integer scalar", where=here())
    if is_traced(step) or step == 0:
        raise TraceError("range: the step must be a Python number, and not 0", where=here(), mend="scale the numbers")
    distance = stop - start if step > 0 else start - stop
    return TracedRange(start, step, maximum((_i64(distance) + (abs(step) - 1)) // abs(step), 0))


def _i64(number: Any) -> Any:
    return number.to("i64")
