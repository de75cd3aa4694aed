"""Going through the steps of a plan, those within others included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tenfold_rt.cuda.plan import Choose, Copy, Launch, Loop, Repeat, Step


def all_steps(steps: Sequence[Step]) -> Iterator[Step]:
    """Each step, and then the steps within it."""
    for step in steps:
        yield step
        match step:
            case Repeat():
                yield from all_steps(step.steps)
            case Loop():
                yield from all_steps(step.body)
            case Choose():
                yield from all_steps(step.then)
                yield from all_steps(step.otherwise)
            case _:
                pass


def work_count(steps: Sequence[Step]) -> int | None:
    """How many launches and copies `steps` are; None where the host must look at a value to know."""
    total = 0
    for step in steps:
        match step:
            case Launch() | Copy():
                total += 1
            case Repeat():
                within = work_count(step.steps)
                if within is None:
                    return None
                total += step.count * within
            case _:
                return None
    return total
