"""What tuning has found, kept beside compiled code: for this machine and this compiler.

A note of the cache holds one answer, so that two processes that tune at once lose nothing.  Answers are read when a
program is compiled or looked up, since they are part of what it is kept under.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from typing import Any, cast

from tenfold_rt.cache import Cache
from tenfoldc.revision import revision
from tenfoldc.target import Target
from tenfoldc.tuning import UNTUNED, Choice, Tuning


def known(cache: Cache, target: Target) -> Tuning:
    """All answers in `cache` for `target` and this compiler."""
    stamp = cache.notes_stamp()
    return UNTUNED if stamp is None else _read(cache, target, stamp)


def keep(cache: Cache, target: Target, answers: Iterable[tuple[str, Choice | None]]) -> bool:
    """Store answers by the names of their questions, None for the compiler's own; False where the disk refuses one."""
    machine = _machine(target)
    kept = True
    for name, choice in answers:
        content = json.dumps({"machine": machine, "name": name, "choice": choice}).encode()
        key = hashlib.sha256(f"{machine}\0{name}".encode()).hexdigest()
        kept &= cache.write_note(key, content)
    _read.cache_clear()
    return kept


@functools.lru_cache(maxsize=8)
def _read(cache: Cache, target: Target, stamp: tuple[int, int]) -> Tuning:
    """The notes of `cache`, which were changed last at `stamp`."""
    machine = _machine(target)
    choices: dict[str, Choice] = {}
    settled: set[str] = set()
    for content in cache.notes():
        note = cast("dict[str, Any]", json.loads(content))
        if note["machine"] != machine:
            continue
        if note["choice"] is None:
            settled.add(note["name"])
        else:
            choices[note["name"]] = tuple(note["choice"])
    return Tuning(choices, frozenset(settled))


def _machine(target: Target) -> str:
    """What an answer holds for."""
    text = "\0".join([revision(), target.triple, target.cpu, *target.features])
    return hashlib.sha256(text.encode()).hexdigest()
