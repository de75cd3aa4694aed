"""Train a small network on handwritten digits with natively compiled steps, then ship it as one C library.

    python samples/digits.py [--output DIRECTORY]

Trains on scikit-learn's 1,797 digits of 8 x 8 pixels (bundled with it; nothing is downloaded), reports the
accuracy on 360 of them that it never saw, and writes `libdigits.so` with its header `digits.h`, and images
and the trained weights as plain binary files.  `samples/digits.c` then does the same from C.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from tqdm import trange

import tenfold as tn

PIXELS, HIDDEN, CLASSES = 64, 128, 10
BATCH, TEST = 32, 360
EPOCHS = 30

Network = {
    "w1": tn.f32[PIXELS, HIDDEN],
    "b1": tn.f32[HIDDEN],
    "w2": tn.f32[HIDDEN, CLASSES],
    "b2": tn.f32[CLASSES],
}


def logits(network, images):
    hidden = tn.relu(images @ network["w1"] + network["b1"])
    return hidden @ network["w2"] + network["b2"]


def mean_loss(network, images, labels):
    return tn.cross_entropy(logits(network, images), labels)


@tn.compile
def predict(network: Network, images: tn.f32[TEST, PIXELS]):
    """The digit that each image shows, int32."""
    return tn.argmax(logits(network, images), dim=1).to(tn.int32)


@tn.compile(donate=("network", "velocity"))
def train_step(
    network: Network,
    velocity: Network,
    images: tn.f32[BATCH, PIXELS],
    labels: tn.i32[BATCH],
    learning_rate: tn.f32[()],
):
    """One step of gradient descent with momentum 0.9, in place; gives the loss before the step."""
    loss, gradient = tn.value_and_grad(mean_loss)(network, images, labels)
    velocity = {name: 0.9 * velocity[name] + gradient[name] for name in network}
    network = {name: network[name] - learning_rate * velocity[name] for name in network}
    return network, velocity, loss


@dataclass(frozen=True)
class Digits:
    """Images scaled to [0, 1] as rows of 64 pixels, and the digit that each shows."""

    images: NDArray[np.float32]
    labels: NDArray[np.int32]


def split_digits(seed: int = 0) -> tuple[Digits, Digits]:
    """Scikit-learn's digits, shuffled by `seed`: 1,437 to train on and 360 to test on."""
    bundle = load_digits()
    order = np.random.default_rng(seed).permutation(len(bundle.target))
    images = (bundle.data[order] / 16).astype(np.float32)
    labels = bundle.target[order].astype(np.int32)
    return Digits(images[:-TEST], labels[:-TEST]), Digits(images[-TEST:], labels[-TEST:])


def initial_network(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights drawn with variance 2 / inputs (He et al., 2015), biases zero."""
    rng = np.random.default_rng(seed)

    def weights(inputs: int, outputs: int) -> NDArray[np.float32]:
        return (rng.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs)).astype(np.float32)

    return {
        "w1": weights(PIXELS, HIDDEN),
        "b1": np.zeros(HIDDEN, np.float32),
        "w2": weights(HIDDEN, CLASSES),
        "b2": np.zeros(CLASSES, np.float32),
    }


def train(data: Digits, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Train for `EPOCHS` passes over `data` in random batches, the learning rate falling along a cosine."""
    rng = np.random.default_rng(seed)
    network = initial_network(seed)
    velocity = {name: np.zeros_like(value) for name, value in network.items()}
    batches = len(data.labels) // BATCH
    loss = np.float32(0)
    with trange(EPOCHS, desc="training", unit="epoch", disable=None) as progress:  # None: where there is a terminal
        for epoch in progress:
            rate = np.float32(0.05 * (1 + np.cos(np.pi * epoch / EPOCHS)))
            order = rng.permutation(len(data.labels))
            for batch in range(batches):
                rows = order[batch * BATCH : (batch + 1) * BATCH]
                network, velocity, loss = train_step(network, velocity, data.images[rows], data.labels[rows], rate)
            progress.set_postfix(loss=f"{float(loss):.4f}")
    return network


def write_for_c(directory: Path, network: dict[str, NDArray[np.float32]], training: Digits, test: Digits) -> None:
    """The library and header, and what the C program reads: images, labels and weights as raw numbers."""
    tn.export([predict, train_step], directory / "libdigits.so")
    for name, value in network.items():
        value.tofile(directory / f"{name}.f32")
    for name, data in (("train", training), ("test", test)):
        data.images.tofile(directory / f"{name}_images.f32")
        data.labels.tofile(directory / f"{name}_labels.i32")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on handwritten digits; ship the result as a C library.")
    parser.add_argument("--output", type=Path, default=Path("build/digits"), help="where the files go (%(default)s)")
    directory = parser.parse_args().output
    training, test = split_digits()
    network = train(training)
    accuracy = np.mean(predict(network, test.images) == test.labels)
    print(f"test accuracy: {accuracy:.2%} of {TEST} digits")
    directory.mkdir(parents=True, exist_ok=True)
    write_for_c(directory, network, training, test)
    print(f"wrote {directory / 'libdigits.so'} and {directory / 'digits.h'}")


if __name__ == "__main__":
    main()
