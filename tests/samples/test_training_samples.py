"""Samples that train networks: how well they learn, and that the same model in PyTorch learns the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tenfold as tn

SAMPLES = Path(__file__).parents[2] / "samples"
STEPS = 12


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    # A progress bar is for terminals alone.
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_convolutional_network_reads_98_5_percent_of_new_digits() -> None:
    output = run(sys.executable, SAMPLES / "digits_cnn.py")
    accuracy, seconds = re.search(r"test accuracy: ([\d.]+)% of 360 digits, .* in ([\d.]+) s", output).groups()
    assert float(accuracy) >= 98.5
    assert float(seconds) < 60


@pytest.mark.slow
def test_the_transformer_learns_the_text_by_heart() -> None:
    output = run(sys.executable, SAMPLES / "char_transformer.py")
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", output)]
    assert losses[0] > 3.5
    assert losses[-1] < 0.3
    assert "Beautiful is b|etter than ugly.\nExplicit is better than" in output


def of_module(name: str) -> dict[str, Any]:
    """The names of the transformer sample with the module `name` in tenfold's place."""
    source = (SAMPLES / "char_transformer.py").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "sample"}
    exec(
        compile(source.replace("import tenfold as torch", f"import {name} as torch"), "char_transformer", "exec"), names
    )
    return names


def test_the_transformer_learns_what_it_learns_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = of_module("tenfold"), of_module("torch")
    text = ours["zen"]()
    letters = sorted(set(text))
    codes = np.array([letters.index(letter) for letter in text])
    tn.manual_seed(0)
    model, peer = ours["CharTransformer"](len(letters)), theirs["CharTransformer"](len(letters))
    peer.load_state_dict({name: torch.from_numpy(value.numpy()) for name, value in model.state_dict().items()})

    losses = [list(names["train"](each, codes, STEPS)) for names, each in ((ours, model), (theirs, peer))]
    # They differ by the rounding of f32, 6e-8, a few times over; 1e-5 leaves room for sums in other orders.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][-1] < losses[0][0] - 0.5

    (inputs, _), *_ = ours["batches"](codes, 1)
    model.eval()
    peer.eval()

    def assert_same_scores() -> None:
        with tn.no_grad(), torch.no_grad():
            scores, peers = model(inputs).numpy(), peer(torch.from_numpy(inputs.numpy())).numpy()
        np.testing.assert_allclose(scores, peers, rtol=1e-5, atol=1e-5)

    peer.load_state_dict({name: torch.from_numpy(value.numpy()) for name, value in model.state_dict().items()})
    assert_same_scores()
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter *= 1.01
    model.load_state_dict(peer.state_dict())
    assert_same_scores()
