"""The search for a nest's loops: generate statements, look at how they use memory, generate again."""

from __future__ import annotations

from tenfoldc.ir.groups import Group
from tenfoldc.loops.ir import Buffer, Statement
from tenfoldc.lower.columns import Columns
from tenfoldc.lower.nest import Nest
from tenfoldc.lower.passes import find_passes
from tenfoldc.lower.space import Accesses, Space, improved
from tenfoldc.lower.storage import Storage

_MAX_ROUNDS = 8


def lower_nest(group: Group, storage: Storage) -> tuple[list[Statement], list[Buffer]]:
    """The statements of a nest and the scratch memory that they use."""
    passes = find_passes(group)
    last = len(group.extents) - 1
    attempt = Columns if group.reduced and last not in group.reduced else Nest
    space = Space.of(group)
    for _ in range(_MAX_ROUNDS):
        nest = attempt(group, storage, space, passes)
        statements = nest.build()
        accesses = Accesses.of(statements, nest.loop_of, nest.algebra)
        better = improved(space, accesses, tile=not passes.count)
        if better is space:
            return statements, nest.scratch
        space = better
    nest = attempt(group, storage, space, passes)
    return nest.build(), nest.scratch
