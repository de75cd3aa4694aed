"""Python's control flow over traced values: what it computes, beside the same function run by Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

Run = Callable[..., Any]

XS = np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0])


def early_return(x: Any) -> Any:
    """Returns in the middle."""
    if x > 3:
        return x
    if x > 2:
        y = x * 10
        if x > 2.5:
            return y
        x = -x
    elif x == 0:
        return 7.0
    return x + 1


def collatz(n: Any) -> Any:
    turns = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        turns += 1
    return turns


def found_in_endless_loop(x: Any) -> Any:
    k = 0
    while True:
        k += 1
        if k * k > x:
            result = k
            break
    return result


def return_from_nested_loops(x: Any, n: Any) -> Any:
    total = 0.0
    for i in range(n):
        for j in range(i):
            total = total + i * j
            if total > x:
                return total * 100 + i * 10 + j
    else:
        total = total + 0.25
    return total


def assigned_in_both(x: Any) -> Any:
    if 0 < x < 5 and not x > 3:
        sign, other = 1.0, x
    else:
        (sign, other) = -1.0, 2 * x
    return sign * other


def walrus(x: Any) -> Any:
    turns = 0
    while (x := x / 2) > 1:
        turns += 1
    if (half := x / 2) > 0.3:
        return half + turns
    return turns + x


def else_of_while(x: Any) -> Any:
    k = 0
    while k < 5:
        if k * 2.0 == x:
            k = 100
            break
        k += 1
    else:
        k = -1
    return k


def within_try_and_with(x: Any) -> Any:
    try:
        with np.errstate(all="ignore"):
            if x > 2:
                return x * 2
            x = x + 1
    except ZeroDivisionError:
        return x * 0
    finally:
        pass
    return x


def loop_left_from_within_try(x: Any) -> Any:
    for _ in range(6):
        try:
            x = x * 2
            if x > 20:
                break
        except ValueError:
            continue
    return x


def recursive(x: Any, turns: int = 3) -> Any:
    if turns == 0:
        return x
    return recursive(x + 1 if x > 3 else x - 1, turns - 1)


def python_stays_python(x: Any, mode: Any = None) -> Any:
    names = []
    for number, name in enumerate(["a", "b", "c"]):
        if mode is None and name == "b":
            continue
        names.append(name * (number + 1))
    return x * len("".join(names)) if names else x


def deleted_and_closure(x: Any) -> Any:
    scale = 1.0
    if x > 1:
        scale = 3.0

    def scaled(v: Any) -> Any:
        if v > 10:
            return v
        return v * scale

    temporary = x
    del temporary
    return scaled(x) + (lambda v: v if v < 5 else -v)(x)


@pytest.mark.parametrize(
    "function",
    [
        early_return,
        found_in_endless_loop,
        assigned_in_both,
        walrus,
        else_of_while,
        within_try_and_with,
        loop_left_from_within_try,
        recursive,
        python_stays_python,
        deleted_and_closure,
    ],
)
@pytest.mark.parametrize("x", [0.0, 2.0, 2.25, 2.75, 3.0, 4.0, 20.0])
def test_functions_of_a_number(function: Run, x: float, run: Run) -> None:
    np.testing.assert_allclose(run(function, np.float64(x)), function(np.float64(x)), rtol=1e-15)


@pytest.mark.parametrize("n", [1, 7, 27])
def test_while_over_integers(n: int, run: Run) -> None:
    assert run(collatz, np.int64(n)) == collatz(n)


@pytest.mark.parametrize(("x", "n"), [(0.0, 0), (3.0, 5), (1000.0, 4)])
def test_return_from_nested_loops(x: float, n: int, run: Run) -> None:
    assert run(return_from_nested_loops, np.float64(x), np.int32(n)) == return_from_nested_loops(x, n)


def test_a_loop_over_a_tensor_is_a_scan() -> None:
    def largest(xs: Any) -> Any:
        found = xs[0]
        for x in xs:
            if x > found:
                found = x
        return found

    assert tn.compile(largest)(XS) == 9
    assert tn.compile(largest).lower(XS).text().count("stablehlo.if") == 1


def test_a_loop_over_a_tensor_is_left_early(run: Run) -> None:
    def first_negative(xs: Any) -> Any:
        place = 0
        for x in xs:
            if x < 0:
                return x, place
            place += 1
        return xs[0] * 0, place

    assert run(first_negative, XS) == (-1, 1)
    assert run(first_negative, abs(XS)) == (0, 6)


def test_a_loop_with_effects_is_written_out(run: Run) -> None:
    def rows(xs: Any) -> Any:
        kept = []
        for x in xs:
            kept.append(x * 2)
        return tn.stack(kept)

    np.testing.assert_array_equal(run(rows, XS), XS * 2)


def test_python_loops_are_unrolled_and_those_that_may_end_early_compiled() -> None:
    def powers(x: Any, limit: Any) -> Any:
        for _ in range(50):
            x = x * x
            if x > limit:
                break
        return x

    compiled = tn.compile(powers)
    assert compiled(np.float64(2), np.float64(100)) == 256
    assert compiled.lower(np.float64(2), np.float64(100)).text().count("stablehlo.while") == 1

    def damped(x: Any) -> Any:
        for _ in range(3):
            x = x * x
            if x > 100:
                continue
            x = x - 1
        return x

    assert tn.compile(damped)(np.float64(2)) == damped(2)
    assert "stablehlo.while" not in tn.compile(damped).lower(np.float64(2)).text()


def test_other_iterables_are_left_early(run: Run) -> None:
    def first_above(x: Any) -> Any:
        for name, bound in {"a": 1.0, "b": 5.0, "c": 9.0}.items():
            if x < bound:
                return bound + len(name)
        return 0.0

    for x in (0.5, 4.0, 6.0, 10.0):
        assert run(first_above, np.float64(x)) == first_above(x)


def relu(x: Any) -> Any:
    return x if x > 0 else 0.0 * x


class Model:
    """Holds a bound, which a private name gives."""

    def __init__(self, bound: float) -> None:
        self.__bound = bound

    def clipped(self, x: Any, scale: float = 2.0, *, shift: float = 0.5) -> Any:
        if x > self.__bound:
            return self.__bound + shift
        return x * scale


class Wide(Model):
    def clipped(self, x: Any, scale: float = 3.0, *, shift: float = 0.25) -> Any:
        if x < 0:
            return -x
        return super().clipped(x, scale, shift=shift)


def test_functions_that_are_called_and_methods(run: Run) -> None:
    model = Wide(2.0)
    for x in (-1.0, 0.5, 7.0):
        assert run(lambda v: relu(v) + 1, np.float64(x)) == max(x, 0.0) + 1
        assert run(model.clipped, np.float64(x)) == model.clipped(x)


def test_functions_given_to_transformations(run: Run) -> None:
    def root(x: Any) -> Any:
        guess = x
        while abs(guess * guess - x) > 1e-12:
            guess = (guess + x / guess) / 2
        return guess

    np.testing.assert_allclose(run(tn.grad(root), np.float64(4)), 0.25, rtol=1e-6)
    np.testing.assert_allclose(run(tn.vmap(root), np.array([1.0, 4.0, 9.0])), [1, 2, 3], rtol=1e-12)
    np.testing.assert_array_equal(run(lambda xs: tn.map(relu, xs), XS), np.maximum(XS, 0))
    np.testing.assert_array_equal(run(tn.vmap(tn.grad(relu)), XS), XS > 0)


def test_calls_outside_compiled_functions() -> None:
    assert tn.grad(relu)(np.float64(3)) == 1
    np.testing.assert_array_equal(tn.vmap(relu)(XS), np.maximum(XS, 0))


def test_variables_outside_keep_their_cells(run: Run) -> None:
    calls = 0

    def counted(x: Any) -> Any:
        nonlocal calls
        calls += 1
        if x > 0:
            return x
        return -x

    assert run(counted, np.float64(-2)) == 2
    assert calls >= 1


def test_containers_are_carried(run: Run) -> None:
    def totals(x: Any, n: Any) -> Any:
        state = {"sum": 0.0, "pair": (x, 1)}
        for k in range(n):
            state = {"sum": state["sum"] + k * x, "pair": (state["pair"][0] * 2, k)}
        return state["sum"], state["pair"]

    assert run(totals, np.float64(1.5), np.int64(4)) == (9.0, (24.0, 3))


def test_generators_are_left_alone(run: Run) -> None:
    def pairs(x: Any) -> Any:
        for k in range(3):
            yield x * k

    assert run(lambda x: sum(pairs(x)), np.float64(2)) == 6


def test_variables_of_other_types_that_nothing_reads_do_not_matter(run: Run) -> None:
    def f(x: Any) -> Any:
        if x[0] > 0:
            part = x[:2]
            y = part.sum()
        else:
            part = "none"
            y = 0.0
        return y

    assert run(f, XS) == 2


def test_rewriting_is_done_once_and_can_be_switched_off() -> None:
    compiled = tn.compile(relu, control_flow="python")
    with pytest.raises(
        tn.TraceError, match=r"bool\(\) or `if` needs the value .*test_rewritten_control_flow.py:\d+; use tn.cond"
    ):
        compiled(np.float64(1))
    with pytest.raises(tn.ArgumentError, match="control_flow is 'no'"):
        tn.compile(relu, control_flow="no")  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_functions_without_source_are_left_alone() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(x):\n    return x if x > 0 else -x\n", namespace)
    with pytest.raises(tn.TraceError, match=r"tn\.cond"):
        tn.compile(namespace["f"])(np.float64(1))
