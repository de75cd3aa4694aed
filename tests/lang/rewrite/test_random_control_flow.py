"""Random programs of nested `if`, `while`, `for`, `break`, `continue`, `else` and `return`, rewritten and by Python.

All arithmetic is on small integers held in doubles, so results are exact.  A program that fails is printed by the
assertion, with its seed.
"""

from __future__ import annotations

import linecache
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

VARIABLES = ("a", "b", "c")


class Writer:
    """Writes one program; loops have budgets of their own, so each ends."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.loops = 0

    def source(self) -> str:
        self.lines = ["def program(x, n):", "    a = x", "    b = 1.0", "    c = x - n"]
        self.block(1, depth=0, in_loop=False)
        self.lines.append("    return a + 10 * b + 100 * c")
        return "\n".join(self.lines) + "\n"

    def line(self, level: int, text: str) -> None:
        self.lines.append("    " * level + text)

    def expression(self) -> str:
        choose = self.random.choice
        return choose(
            [
                f"{choose(VARIABLES)} + {self.random.randint(1, 3)}",
                f"{choose(VARIABLES)} - {choose(VARIABLES)}",
                f"{choose(VARIABLES)} * 2.0 if {self.condition()} else {choose(VARIABLES)}",
                "x",
                f"{self.random.randint(0, 4)}.0",
            ]
        )

    def condition(self) -> str:
        choose = self.random.choice
        simple = f"{choose(VARIABLES)} {choose(['<', '>', '>=', '!='])} {choose([*VARIABLES, '0', '2', '5', 'n'])}"
        return choose(
            [
                simple,
                f"0 < {choose(VARIABLES)} <= {self.random.randint(3, 30)}",
                f"{simple} and {choose(VARIABLES)} < 6",
                f"not {simple} or {choose(VARIABLES)} > 3",
            ]
        )

    def block(self, level: int, depth: int, in_loop: bool) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.statement(level, depth, in_loop)

    def statement(self, level: int, depth: int, in_loop: bool) -> None:
        kinds = ["assign", "assign", "augment"]
        if depth < 3:
            kinds += ["if", "if", "while", "for"]
        if in_loop:
            kinds += ["leave"]
        if depth:
            kinds += ["return"] if self.random.random() < 0.3 else []
        getattr(self, f"write_{self.random.choice(kinds)}")(level, depth, in_loop)

    def write_assign(self, level: int, depth: int, in_loop: bool) -> None:
        self.line(level, f"{self.random.choice(VARIABLES)} = clip({self.expression()})")

    def write_augment(self, level: int, depth: int, in_loop: bool) -> None:
        first, second = self.random.sample(VARIABLES, 2)
        self.line(level, f"{first} {self.random.choice(['+=', '-='])} {second}")
        self.line(level, f"{first} = clip({first})")

    def write_leave(self, level: int, depth: int, in_loop: bool) -> None:
        self.line(level, f"if {self.condition()}:")
        self.line(level + 1, self.random.choice(["break", "continue"]))

    def returns(self, level: int) -> None:
        self.line(level, f"return {self.random.choice(VARIABLES)} + 0.5")

    def write_if(self, level: int, depth: int, in_loop: bool) -> None:
        self.line(level, f"if {self.condition()}:")
        self.block(level + 1, depth + 1, in_loop)
        if self.random.random() < 0.3:
            self.line(level, f"elif {self.condition()}:")
            self.block(level + 1, depth + 1, in_loop)
        if self.random.random() < 0.5:
            self.line(level, "else:")
            self.block(level + 1, depth + 1, in_loop)

    def write_while(self, level: int, depth: int, in_loop: bool) -> None:
        self.loops += 1
        budget = f"k{self.loops}"
        self.line(level, f"{budget} = 0")
        endless = self.random.random() < 0.3
        self.line(level, "while True:" if endless else f"while {budget} < 4 and ({self.condition()}):")
        self.line(level + 1, f"{budget} = {budget} + 1")
        if endless:
            self.line(level + 1, f"if {budget} > 3 or {self.condition()}:")
            self.line(level + 2, "break")
        self.rest_of_loop(level, depth, can_end=not endless)

    def write_for(self, level: int, depth: int, in_loop: bool) -> None:
        self.loops += 1
        target = f"k{self.loops}"
        values = self.random.choice(["range(3)", "range(n)", "range(1, n)", "range(n, 0, -2)", "(1.0, 2.0)"])
        self.line(level, f"for {target} in {values}:")
        self.line(level + 1, f"{self.random.choice(VARIABLES)} += {target}")
        self.rest_of_loop(level, depth, can_end=True)

    def rest_of_loop(self, level: int, depth: int, can_end: bool) -> None:
        self.block(level + 1, depth + 1, in_loop=True)
        if can_end and self.random.random() < 0.3:
            self.line(level, "else:")
            self.block(level + 1, depth + 1, in_loop=False)

    def write_return(self, level: int, depth: int, in_loop: bool) -> None:
        self.line(level, f"if {self.condition()}:")
        self.returns(level + 1)


def clip(value: Any) -> Any:
    """Keeps numbers small: beyond 40 they begin again at the sign."""
    if value > 40 or value < -40:
        value = value - value + (1 if value > 0 else -1)
    return value


def built(source: str, path: Path) -> Callable[..., Any]:
    linecache.cache[str(path)] = (len(source), None, source.splitlines(keepends=True), str(path))
    namespace: dict[str, Any] = {"clip": clip}
    exec(compile(source, str(path), "exec"), namespace)
    return namespace["program"]


@pytest.mark.parametrize("seed", range(80))
def test_rewritten_is_what_python_computes(seed: int, tmp_path: Path, run: Callable[..., Any]) -> None:
    source = Writer(seed).source()
    program = built(source, tmp_path / f"program_{seed}.py")
    for x, n in ((1.0, 3), (-2.0, 0), (4.0, 5)):
        expected = program(x, n)
        found = run(program, np.float64(x), np.int64(n))
        assert found == expected, f"seed {seed}, x = {x}, n = {n}: {found}, by Python {expected}\n{source}"
