"""Decisions of the compiler that can be taken by measurement: which there are, and what was found to be best.

Where a stage has a choice that changes nothing but speed (and how sums round), it asks `Decisions.choose`, with what it
would take by itself.  A `Tuning` holds answers by the name of the question; a name says all that the answer can depend
on but the target, so that one answer serves every program that asks the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from types import MappingProxyType
from typing import TypeAlias

from tenfold_rt.frozen import frozen

Choice: TypeAlias = tuple[int, ...]


@frozen
class Decision:
    """A question with its answer so far, and the other answers that are worth trying.

    `for_threads`: the answer matters to calls on several threads only.
    """

    name: str
    choice: Choice
    others: tuple[Choice, ...]
    for_threads: bool = False


@frozen
class Tuning:
    """Answers by the name of the question; `settled` are questions to which the compiler's own answer is the best."""

    choices: Mapping[str, Choice] = field(default_factory=lambda: MappingProxyType({}))
    settled: frozenset[str] = frozenset()

    def with_choices(self, choices: Mapping[str, Choice]) -> Tuning:
        """These answers, and `choices` in place of those that they repeat."""
        return replace(self, choices=MappingProxyType({**self.choices, **choices}))

    def answers(self, name: str) -> bool:
        """Whether there is nothing left to measure about a question."""
        return name in self.choices or name in self.settled

    @property
    def digest(self) -> str:
        """Different for tunings that may give different code; empty where there is none."""
        if not self.choices:
            return ""
        return hashlib.sha256(repr(sorted(self.choices.items())).encode()).hexdigest()


UNTUNED = Tuning()


class Decisions:
    """The decisions that are made on one way through the stages."""

    def __init__(self, tuning: Tuning = UNTUNED) -> None:
        self._tuning = tuning
        self.made: list[Decision] = []

    def choose(self, name: str, default: Choice, others: Sequence[Choice], *, for_threads: bool = False) -> Choice:
        """The answer to a question: `default`, unless it was found that another of as many numbers is better."""
        found = self._tuning.choices.get(name, default)
        choice = found if found in others else default
        rest = tuple(dict.fromkeys(other for other in (default, *others) if other != choice))
        self.made.append(Decision(name, choice, rest, for_threads))
        return choice
