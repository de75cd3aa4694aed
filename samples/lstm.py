"""Train a long short-term memory network to foresee waves, through 256 steps.

    python samples/lstm.py [--output DIRECTORY]

The network (Hochreiter and Schmidhuber, Neural Computation 9, 1997) sees one number of each wave a step, and says the
next; each wave has a frequency and phase of its own.  The steps are a scan, and the gradient goes back through all of
them; with `checkpoint="sqrt"` it keeps every sixteenth state alone.  The training step is written as a C library for
`samples/lstm.c`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tenfold as tn

STEPS, BATCH, HIDDEN = 256, 16, 12
TURNS = 51

Network = {
    "input": tn.f32[4 * HIDDEN],
    "hidden": tn.f32[HIDDEN, 4 * HIDDEN],
    "bias": tn.f32[4 * HIDDEN],
    "out": tn.f32[HIDDEN],
}


def advance(network, state, numbers):
    """Hidden state and cell, [BATCH, HIDDEN] each, after a step that sees `numbers`, [BATCH]."""
    hidden, cell = state
    gates = numbers[:, None] * network["input"] + hidden @ network["hidden"] + network["bias"]
    enter, forget, leave, candidate = (gates[:, n * HIDDEN : (n + 1) * HIDDEN] for n in range(4))
    cell = tn.sigmoid(forget) * cell + tn.sigmoid(enter) * tn.tanh(candidate)
    return tn.sigmoid(leave) * tn.tanh(cell), cell


def mean_squared_error(network, series, checkpoint=None):
    """How far what the network says at each step of `series`, [steps + 1, BATCH], is from the next."""
    begin = tn.zeros((series.shape[1], HIDDEN), dtype=series.dtype)

    def step(state, numbers):
        state = advance(network, state, numbers)
        return state, state[0] @ network["out"]

    _, foreseen = tn.scan(step, (begin, begin), series[:-1], checkpoint=checkpoint)
    return tn.mean((foreseen - series[1:]) ** 2)


def gradient(network, series, checkpoint=None):
    """The derivatives of the mean squared error by all weights."""
    return tn.grad(lambda network: mean_squared_error(network, series, checkpoint))(network)


@tn.compile(donate=("network", "velocity"))
def train_step(network: Network, velocity: Network, series: tn.f32[STEPS + 1, BATCH], learning_rate: tn.f32[()]):
    """One step of gradient descent with momentum 0.9, in place; gives the error before the step."""
    error, slopes = tn.value_and_grad(mean_squared_error)(network, series, "sqrt")
    velocity = {name: 0.9 * velocity[name] + slopes[name] for name in network}
    network = {name: network[name] - learning_rate * velocity[name] for name in network}
    return network, velocity, error


def initial_network(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Weights drawn with variance 1 / inputs; forget gates are biased to remember (Gers et al., 2000)."""
    bias = np.repeat([0.0, 1.0, 0.0, 0.0], HIDDEN)
    shapes = {"input": (4 * HIDDEN,), "hidden": (HIDDEN, 4 * HIDDEN), "out": (HIDDEN,)}
    drawn = {name: rng.standard_normal(shape) / np.sqrt(HIDDEN) for name, shape in shapes.items()}
    return {name: value.astype(np.float32) for name, value in (drawn | {"bias": bias}).items()}


def draw_series(rng: np.random.Generator) -> NDArray[np.float32]:
    """A wave in each column, [STEPS + 1, BATCH]."""
    frequency, phase = rng.uniform(0.1, 0.5, BATCH), rng.uniform(0, 2 * np.pi, BATCH)
    return np.sin(frequency * np.arange(STEPS + 1)[:, None] + phase).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a network to foresee waves.")
    parser.add_argument("--output", type=Path, default=Path("build/lstm"), help="where the files go (%(default)s)")
    directory = parser.parse_args().output
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    network, series = initial_network(rng), draw_series(rng)
    for name, value in network.items():
        value.tofile(directory / f"{name}.f32")
    series.tofile(directory / "series.f32")
    velocity = {name: np.zeros_like(value) for name, value in network.items()}
    for turn in range(TURNS):
        network, velocity, error = train_step(network, velocity, series, np.float32(0.2))
        if turn % 10 == 0:
            print(f"turn {turn:2d}: error {error:.6f}")
    tn.export([train_step], directory / "liblstm.so")


if __name__ == "__main__":
    main()
