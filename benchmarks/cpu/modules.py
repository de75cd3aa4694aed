"""Training steps as PyTorch's users write them: modules, a loss, an optimiser; eager, and compiled whole.

`python -m benchmarks modules` starts the process that measures, with cores and threads fixed.  Every contestant runs
the same source, with `tenfold` or `torch` as the library, from the same parameters; JAX has the same step as functions.
"""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import jax
import jax.numpy as jnp
import numpy as np
import torch

import tenfold as tn
from benchmarks.cpu.contestants import Run
from benchmarks.cpu.run import Effort, alternate
from benchmarks.measure import Timing, conditions, timing
from benchmarks.report import Section, write

_SIZES = (784, 512, 256, 10)
_BATCH = 128
_RATE = 1e-2

Step = Callable[[Any, Any], Any]


def mlp(library: Any) -> Any:
    """Three linear layers with ReLUs between them."""
    nn = library.nn
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise(_SIZES):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn(library: Any) -> Any:
    """Two convolutions with batch norm and pooling, two linear layers."""
    nn = library.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


CASES: dict[str, tuple[Callable[[Any], Any], str, tuple[int, ...]]] = {
    "MLP 784-512-256-10 b128, SGD": (mlp, "SGD", (_BATCH, 784)),
    "MLP 784-512-256-10 b128, Adam": (mlp, "Adam", (_BATCH, 784)),
    "CNN b64 28x28, Adam": (cnn, "Adam", (64, 1, 28, 28)),
}


def step_of(library: Any, model: Any, optimizer: str) -> Step:
    """A training step: forward, loss, backward and update."""
    moved = getattr(library.optim, optimizer)(model.parameters(), lr=_RATE)
    loss_of = library.nn.CrossEntropyLoss()

    def step(x: Any, y: Any) -> Any:
        moved.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        moved.step()
        return loss

    return step


def _run(step: Step, batches: Sequence[tuple[Any, Any]]) -> Run:
    return Run(lambda turn: step(*batches[turn % len(batches)]).item())


def _jax_run(batches: Sequence[tuple[Any, Any]], state: Sequence[Any]) -> Run:
    """The MLP's step with SGD, its state donated."""

    def loss(state: Sequence[Any], x: Any, y: Any) -> Any:
        for place in range(0, len(state), 2):
            x = x @ state[place].T + state[place + 1]
            x = jax.nn.relu(x) if place + 2 < len(state) else x
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: Sequence[Any], x: Any, y: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(state, x, y)
        return [p - _RATE * g for p, g in zip(state, gradients, strict=True)], value

    kept = [[jnp.array(each) for each in state]]

    def call(turn: int) -> float:
        kept[0], value = step(kept[0], *batches[turn % len(batches)])
        return float(value)

    return Run(call)


def contestants(case: str) -> dict[str, Run]:
    """Everybody who takes part in a case, ready to run."""
    build, optimizer, shape = CASES[case]
    rng = np.random.default_rng(0)
    arrays = [
        (rng.standard_normal(shape).astype(np.float32), rng.integers(0, 10, shape[0]))
        for _ in range(3)
    ]  # fmt: skip
    start = {name: value.detach().numpy() for name, value in build(torch).state_dict().items()}
    runs: dict[str, Run] = {}
    for library, name in ((tn, "tenfold"), (torch, "torch")):
        batches = [(library.tensor(x), library.tensor(y)) for x, y in arrays]
        for compiled in (False, True):
            model = build(library)
            model.load_state_dict({key: library.tensor(value) for key, value in start.items()})
            step = step_of(library, model, optimizer)
            label = name + (", compiled" if compiled else ", eager")
            runs[label] = _run(_compiled(library, model, step, optimizer) if compiled else step, batches)
    if build is mlp and optimizer == "SGD":
        given = [(jnp.array(x), jnp.array(y)) for x, y in arrays]
        runs["jax.jit"] = _jax_run(given, list(start.values()))
    return runs


def _compiled(library: Any, model: Any, step: Step, optimizer: str) -> Step:
    """The whole step compiled; PyTorch's compiler takes the model, and its optimiser stays as it is."""
    return library.compile(step) if library is tn else step_of(library, torch.compile(model), optimizer)


def section(threads: int, *, quick: bool) -> Section:
    """The table."""
    rows: dict[str, Mapping[str, Timing]] = {}
    notes: list[str] = []
    for case in CASES:
        runs = contestants(case)
        for turn in range(4):
            for run in runs.values():
                run.call(turn)
        before = tn.lazy.counters().compiled
        samples = alternate(runs, Effort.of(threads, quick=quick))
        rows[case] = {name: timing(times) for name, times in samples.items()}
        medians = {name: statistics.median(times) for name, times in samples.items()}
        peers = {name: seconds for name, seconds in medians.items() if not name.startswith("tenfold")}
        notes.append(
            f"{case}: eager {peers['torch, eager'] / medians['tenfold, eager']:.2f} times as fast as PyTorch eager, "
            f"compiled {min(peers.values()) / medians['tenfold, compiled']:.2f} times as fast as the best peer; "
            f"{tn.lazy.counters().compiled - before} programs compiled after the fourth turn."
        )
    return Section(
        f"modules-{threads}",
        f"Training steps of modules, {threads} thread{'s' * (threads > 1)}",
        conditions(("tenfold", "torch", "jax")),
        rows,
        notes,
    )


@click.command()
@click.option("--threads", default=1)
@click.option("--quick", is_flag=True)
@click.option("--write", "to_file", is_flag=True)
def main(threads: int, quick: bool, to_file: bool) -> None:
    """Measure all cases and print the table."""
    torch.set_num_threads(threads)
    table = section(threads, quick=quick)
    click.echo(table.text())
    if to_file:
        write(table)


if __name__ == "__main__":
    main()
