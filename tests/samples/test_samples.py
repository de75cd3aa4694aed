"""Each sample does what its documentation says, run as a user would run it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
CC = shutil.which("cc")


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    # A progress bar is for terminals alone.
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def accuracies(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"test accuracy: ([\d.]+)% of 360 digits", output)]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A directory that the digits sample wrote to, and what it printed."""
    directory = tmp_path_factory.mktemp("digits")
    return directory, run(sys.executable, SAMPLES / "digits.py", "--output", directory, cwd=directory)


def test_digits_reaches_97_percent(digits: tuple[Path, str]) -> None:
    (accuracy,) = accuracies(digits[1])
    assert accuracy >= 97


@pytest.mark.skipif(CC is None, reason="needs a C compiler")
def test_the_c_program_has_the_same_accuracy_and_its_own_loss_falls(digits: tuple[Path, str]) -> None:
    directory, printed = digits
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    program = directory / "digits"
    library = ["-I", directory, "-L", directory, "-ldigits", f"-Wl,-rpath,{directory}"]
    run(CC, *warnings, SAMPLES / "digits.c", *library, "-o", program, cwd=directory)
    output = run(program, directory, cwd=directory)
    trained, fresh = accuracies(output)
    losses = [float(number) for number in re.findall(r"loss ([\d.]+)", output)]
    assert trained == accuracies(printed)[0]
    assert losses[-1] < losses[0] / 3
    assert fresh > 80


def dynamic_symbols(library: Path, which: str) -> set[str]:
    """The names that a shared library defines or leaves undefined, without their versions."""
    lines = run("nm", "-D", which, library, cwd=library.parent).splitlines()
    return {line.split()[-1].partition("@")[0] for line in lines}


@pytest.mark.skipif(CC is None or shutil.which("nm") is None, reason="needs a C compiler and nm")
def test_the_digits_library_needs_libc_and_libm_only(digits: tuple[Path, str]) -> None:
    files = [Path(run(CC, f"-print-file-name={name}", cwd=SAMPLES).strip()) for name in ("libc.so.6", "libm.so.6")]
    provided = set().union(*(dynamic_symbols(file, "--defined-only") for file in files))
    undefined = dynamic_symbols(digits[0] / "libdigits.so", "--undefined-only")
    assert "malloc" in provided
    assert undefined - provided == set()


def test_linear_regression_recovers_its_weights() -> None:
    output = run(sys.executable, SAMPLES / "linear_regression.py", cwd=SAMPLES)
    assert re.search(r"weights \[ *2\.\d* +-1\.\d* +0\.5\d*\] bias 3\.\d*", output)


def test_black_scholes_greeks_equal_their_closed_forms() -> None:
    output = run(sys.executable, SAMPLES / "black_scholes.py", cwd=SAMPLES)
    errors = {name: float(error) for name, error in re.findall(r"(\w+) +of the first.*error (\S+)", output)}
    assert set(errors) == {"price", "delta", "vega", "theta", "rho", "gamma"}
    assert max(errors.values()) < 1e-10


def test_mandelbrot_writes_a_picture(tmp_path: Path) -> None:
    output = run(sys.executable, SAMPLES / "mandelbrot.py", "--output", tmp_path / "set.png", cwd=SAMPLES)
    share = float(re.search(r"([\d.]+)% of the pixels", output)[1])
    # The set's area is 1.5066 (Foerstemann, 2012), and the picture shows 3 x 2.
    assert abs(share / 100 - 1.5066 / 6) < 0.02
    assert (tmp_path / "set.png").read_bytes().startswith(b"\x89PNG")
