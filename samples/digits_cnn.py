"""A convolutional network learns to read handwritten digits, in a training loop as PyTorch people write it.

    python samples/digits_cnn.py [--epochs 12]

Trains on scikit-learn's 1,797 digits of 8 x 8 pixels (bundled with it; nothing is downloaded) and reports the accuracy
on 360 of them that it never saw, and the time.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import tenfold as tn
from tenfold import nn
from tenfold.utils.data import DataLoader, TensorDataset

TEST, BATCH = 360, 64


class Network(nn.Module):
    """Three convolutions, with batch normalisation, and a classifier with dropout."""

    def __init__(self, channels: int = 32, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(2 * channels * 4, classes))

    def forward(self, images: tn.Tensor) -> tn.Tensor:
        return self.classifier(self.features(images))


def split_digits(seed: int = 0) -> tuple[TensorDataset, TensorDataset]:
    """Scikit-learn's digits, shuffled by `seed`: 1,437 to train on and 360 to test on; images (1, 8, 8) in [0, 1]."""
    bundle = load_digits()
    order = np.random.default_rng(seed).permutation(len(bundle.target))
    images = tn.from_numpy((bundle.images[order, None] / 16).astype(np.float32))
    labels = tn.from_numpy(bundle.target[order].astype(np.int64))
    return TensorDataset(images[:-TEST], labels[:-TEST]), TensorDataset(images[-TEST:], labels[-TEST:])


def shifted(images: tn.Tensor, rng: np.random.Generator) -> tn.Tensor:
    """The images moved by up to one pixel each way, together, what comes in at the edge being empty."""
    across, down = rng.integers(0, 3, 2)
    return nn.functional.pad(images, (1, 1, 1, 1))[:, :, down : down + 8, across : across + 8]


def train(network: Network, data: TensorDataset, epochs: int, seed: int = 0) -> None:
    """Train with Adam, the learning rate falling along a cosine after each batch."""
    rng = np.random.default_rng(seed)
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True)
    optimizer = tn.optim.Adam(network.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    network.train()
    with tqdm(total=epochs * len(loader), desc="training", unit="batch", disable=None) as progress:
        for _ in range(epochs):
            for images, labels in loader:
                optimizer.zero_grad()
                loss = criterion(network(shifted(images, rng)), labels)
                loss.backward()
                optimizer.step()
                schedule.step()
                progress.update()
            progress.set_postfix(loss=f"{loss.item():.4f}")


def accuracy(network: Network, data: TensorDataset) -> float:
    """The share of images whose digit is told right."""
    network.eval()
    with tn.no_grad():
        right = sum((network(images).argmax(1) == labels).sum().item() for images, labels in DataLoader(data, TEST))
    return right / len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a convolutional network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=12, help="passes over the data (%(default)s)")
    epochs = parser.parse_args().epochs
    tn.manual_seed(0)
    training, test = split_digits()
    network = Network()
    start = time.perf_counter()
    train(network, training, epochs)
    seconds = time.perf_counter() - start
    print(f"test accuracy: {accuracy(network, test):.2%} of {TEST} digits, after {epochs} epochs in {seconds:.1f} s")


if __name__ == "__main__":
    main()
