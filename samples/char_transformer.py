"""A small transformer learns the Zen of Python by heart, character by character.

    python samples/char_transformer.py [--steps 400]

The text comes with Python.  With `import torch` in place of the import below the same model trains in PyTorch; from the
same state dict its losses are the same but for rounding.
"""

import argparse
import contextlib
import importlib
import io

import numpy as np
from tqdm import tqdm

import tenfold as torch

nn = torch.nn

CONTEXT, BATCH = 48, 32


def zen() -> str:
    """The text that `import this` prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        this = importlib.import_module("this")
    return "".join(this.d.get(letter, letter) for letter in this.s)


class CharTransformer(nn.Module):
    """For each character the scores of the one that follows: tokens (N, L), int64, to scores (N, L, letters)."""

    def __init__(self, letters: int, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.tokens = nn.Embedding(letters, width)
        self.places = nn.Embedding(CONTEXT, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.head = nn.Linear(width, letters)

    def forward(self, tokens):
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        hidden = self.tokens(tokens) + self.places(torch.arange(length))
        return self.head(self.encoder(hidden, mask=mask, is_causal=True))


def batches(codes: np.ndarray, steps: int, seed: int = 0):
    """Random stretches of the text and, one place on, what follows; (BATCH, CONTEXT) each."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        starts = rng.integers(0, len(codes) - CONTEXT, BATCH)
        stretches = codes[starts[:, None] + np.arange(CONTEXT + 1)]
        yield torch.from_numpy(stretches[:, :-1].copy()), torch.from_numpy(stretches[:, 1:].copy())


def train(model, codes: np.ndarray, steps: int):
    """Train with AdamW; gives the loss of each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=max(steps, 2))
    criterion = nn.CrossEntropyLoss()
    model.train()
    for inputs, following in batches(codes, steps):
        optimizer.zero_grad()
        loss = criterion(model(inputs).flatten(0, 1), following.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield loss.item()


def continued(model, codes: np.ndarray, count: int) -> list[int]:
    """The `count` characters that the model thinks most likely after the first `CONTEXT` of `codes`."""
    model.eval()
    window = torch.from_numpy(codes[:CONTEXT].copy())
    found = []
    with torch.no_grad():
        for _ in range(count):
            following = model(window[None])[0, -1].argmax()
            window = torch.cat([window[1:], following[None]])
            found.append(following)
    return [int(code) for code in found]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small transformer on the Zen of Python.")
    parser.add_argument("--steps", type=int, default=400, help="training steps (%(default)s)")
    steps = parser.parse_args().steps
    text = zen()
    letters = sorted(set(text))
    codes = np.array([letters.index(letter) for letter in text])
    torch.manual_seed(0)
    model = CharTransformer(len(letters))
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(f"{len(text)} characters, {len(letters)} of them different; {weights} weights")
    with tqdm(train(model, codes, steps), total=steps, desc="training", disable=None) as progress:
        for step, loss in enumerate(progress):
            if step % 50 == 0 or step == steps - 1:
                progress.write(f"step {step:4d}  loss {loss:.4f}")
    print(text[:CONTEXT] + "|" + "".join(letters[code] for code in continued(model, codes, 150)))


if __name__ == "__main__":
    main()
