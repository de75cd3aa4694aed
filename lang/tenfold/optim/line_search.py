"""A step length that satisfies the strong Wolfe conditions (Nocedal and Wright, 2006, algorithms 3.5 and 3.6).

The function along the search direction is given as points; trial steps are minima of cubics through two of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tenfold_rt.frozen import frozen

_DECREASE, _CURVATURE = 1e-4, 0.9
"""c1 and c2: what share of the decrease that the slope promises is asked for, and of the slope that may remain."""


@frozen
class Point:
    """The value and the slope at a step length, and the gradient there."""

    step: float
    value: float
    slope: float
    gradient: Any


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, step: float, scale: float, tolerance: float, most: int = 25
) -> tuple[Point, int]:
    """A point that satisfies the conditions, or the best one found, and how many were evaluated.

    `scale` is the largest element of the direction: brackets that move nothing by `tolerance` are not divided.
    """
    bracket, turns, done = _bracketed(evaluate, start, step, most)
    if len(bracket) == 1:
        return bracket[0], turns + 1
    return _zoomed(evaluate, start, bracket, scale, tolerance, turns, most, done)


def _bracketed(
    evaluate: Callable[[float], Point], start: Point, step: float, most: int
) -> tuple[list[Point], int, bool]:
    """Two points with an acceptable one between them, or an acceptable point; and the number of turns."""
    before, now, turns = start, evaluate(step), 0
    while turns < most:
        if _too_high(now, start) or (turns > 1 and now.value >= before.value):
            return [before, now], turns, False
        if abs(now.slope) <= -_CURVATURE * start.slope:
            return [now], turns, True
        if now.slope >= 0:
            return [before, now], turns, False
        low, high = now.step + 0.01 * (now.step - before.step), now.step * 10
        following = cubic_minimum(before, now, low, high)
        before, now = now, evaluate(following)
        turns += 1
    return [start, now], turns, False


def _too_high(point: Point, start: Point) -> bool:
    return point.value > start.value + _DECREASE * point.step * start.slope


def _zoomed(
    evaluate: Callable[[float], Point],
    start: Point,
    bracket: list[Point],
    scale: float,
    tolerance: float,
    turns: int,
    most: int,
    done: bool,
) -> tuple[Point, int]:
    low, high = _by_value(bracket)
    stalled = False
    while not done and turns < most and abs(bracket[1].step - bracket[0].step) * scale >= tolerance:
        step, stalled = _inside(bracket, cubic_minimum(bracket[0], bracket[1]), stalled)
        now = evaluate(step)
        turns += 1
        if _too_high(now, start) or now.value >= bracket[low].value:
            bracket[high] = now
            low, high = _by_value(bracket)
            continue
        if abs(now.slope) <= -_CURVATURE * start.slope:
            done = True
        elif now.slope * (bracket[high].step - bracket[low].step) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = now
    return bracket[low], turns + 1


def _by_value(bracket: list[Point]) -> tuple[int, int]:
    return (0, 1) if bracket[0].value <= bracket[1].value else (1, 0)


def _inside(bracket: list[Point], step: float, stalled: bool) -> tuple[float, bool]:
    """`step` away from the ends of the bracket, at the second time that it comes near one; and whether it did."""
    low, high = sorted(point.step for point in bracket)
    margin = 0.1 * (high - low)
    if min(high - step, step - low) >= margin:
        return step, False
    if not stalled and low < step < high:
        return step, True
    return (high - margin if abs(step - high) < abs(step - low) else low + margin), False


def cubic_minimum(first: Point, second: Point, low: float | None = None, high: float | None = None) -> float:
    """Where the cubic with the values and slopes of two points is least, between `low` and `high`, or the points.

    The middle of them where it has no minimum (Nocedal and Wright, 2006, formula 3.59).
    """
    left, right = (first, second) if first.step <= second.step else (second, first)
    if low is None or high is None:
        low, high = left.step, right.step
    d1 = left.slope + right.slope - 3 * (left.value - right.value) / (left.step - right.step)
    square = d1**2 - left.slope * right.slope
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    share = (right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2)
    return min(max(right.step - (right.step - left.step) * share, low), high)
