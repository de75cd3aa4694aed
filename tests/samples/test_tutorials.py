"""The tutorials print the same with `import torch` as with `import tenfold as torch`, character for character."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[2] / "samples" / "tutorials").glob("*.py"))
IMPORT = "import tenfold as torch\n"


def printed(path: Path, source: str) -> list[str]:
    """The lines that `source`, the text of the script `path`, prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, str(path), "exec"), {"__name__": "__main__", "__file__": str(path)})
    return output.getvalue().splitlines()


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_prints_what_it_prints_with_pytorch(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count(IMPORT) == source.count("import tenfold") == 1
    ours = printed(path, source)
    assert ours
    pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own
        assert ours == printed(path, source.replace(IMPORT, "import torch\n"))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("gradients", ["tensor([ 36., 144.])", "tensor([-14., -10.])", "tensor([[9, 8],", "        [7, 6]])"]),
        ("autograd", ["tensor(12.)", "tensor(24.)"]),
    ],
)
def test_it_prints_what_is_known(name: str, lines: list[str]) -> None:
    (path,) = (path for path in TUTORIALS if path.stem == name)
    assert set(lines) <= set(printed(path, path.read_text(encoding="utf-8")))
