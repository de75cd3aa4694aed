"""A small network learns to tell handwritten digits apart: data, network, loss, optimizer, training, test.

    python samples/tutorials/classifier.py

With `import torch` in place of the import below, it prints the same.
"""

import numpy as np
from sklearn.datasets import load_digits

import tenfold as torch

nn = torch.nn
DataLoader, TensorDataset = torch.utils.data.DataLoader, torch.utils.data.TensorDataset

bundle = load_digits()
rng = np.random.default_rng(0)
order = rng.permutation(len(bundle.target))
images = torch.from_numpy(bundle.images[order].astype(np.float32) / 16)
labels = torch.from_numpy(bundle.target[order])
training = TensorDataset(images[:1437], labels[:1437])
test = TensorDataset(images[1437:], labels[1437:])
training_loader = DataLoader(training, batch_size=64, drop_last=True)
test_loader = DataLoader(test, batch_size=120)
for x, y in test_loader:
    print(f"images {x.shape} {x.dtype}, labels {y.shape} {y.dtype}")
    break


class Classifier(nn.Module):
    """From the 64 pixels of an image to a score for each digit."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x):
        return self.layers(self.flatten(x))


def train(loader, model, criterion, optimizer):
    """One pass over the data; prints the loss now and then."""
    model.train()
    for batch, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if batch % 10 == 0:
            print(f"loss {loss.item():.4f}  [{batch * len(x):4d}/{len(loader.dataset)}]")


def evaluate(loader, model, criterion):
    """The mean loss, and the share of digits that are told right."""
    model.eval()
    total, right = 0.0, 0
    with torch.no_grad():
        for x, y in loader:
            scores = model(x)
            total += criterion(scores, y).item()
            right += (scores.argmax(1) == y).type(torch.float).sum().item()
    print(f"test accuracy {right / len(loader.dataset):.1%}, mean loss {total / len(loader):.4f}")


for make in (
    lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    lambda parameters: torch.optim.Adam(parameters, lr=3e-3),
):
    model = Classifier()
    with torch.no_grad():  # the same weights wherever this runs
        for parameter in model.parameters():
            bound = (6 / parameter.shape[-1]) ** 0.5 if parameter.ndim == 2 else 0
            parameter.copy_(torch.from_numpy(rng.uniform(-bound, bound, parameter.shape)))
    criterion = nn.CrossEntropyLoss()
    optimizer = make(model.parameters())
    print(model, optimizer, sep="\n")
    for epoch in range(3):
        print(f"epoch {epoch + 1}")
        train(training_loader, model, criterion, optimizer)
        evaluate(test_loader, model, criterion)
    x, y = test[0]
    with torch.no_grad():
        print(f"predicted {model(x[None])[0].argmax(0)}, is {y}")
