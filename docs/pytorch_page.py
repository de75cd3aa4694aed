"""Writes `docs/pytorch.md`: which of PyTorch's names there are here, as the code has them.

    python docs/pytorch_page.py

PyTorch's names are those in `pytorch_names.txt`, so that neither this nor the test that compares the page with what
this gives needs PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tenfold as tn

PAGE = Path(__file__).with_name("pytorch.md")
NAMES = Path(__file__).with_name("pytorch_names.txt")

OWNERS: dict[str, Any] = {
    "torch": tn,
    "torch.Tensor": tn.Tensor,
    "torch.nn.functional": tn.nn.functional,
    "torch.linalg": tn.linalg,
}

HEAD = """\
# PyTorch's names

Which of the functions and methods that PyTorch has are here under the same names, with its arguments, element types,
errors and gradients. What is here is compared with PyTorch by `tests/lang/pytorch`; where it is more lenient, it is
for NumPy's sake: means of integers, products of matrices of different element types, NumPy's names of arguments.

<!-- Written by docs/pytorch_page.py from the code. -->
"""


def names() -> dict[str, list[str]]:
    """PyTorch's names by what has them."""
    sections: dict[str, list[str]] = {}
    for line in NAMES.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            sections[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            list(sections.values())[-1].append(line)
    return sections


def page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *(_section(owner, given) for owner, given in names().items())])


def _section(owner: str, given: list[str]) -> str:
    there = [name for name in given if hasattr(OWNERS[owner], name)]
    missing = [name for name in given if name not in there]
    rows = [("here", there), ("not here", missing)]
    table = "\n".join(f"| {len(part)} {what} | {', '.join(f'`{name}`' for name in part)} |" for what, part in rows)
    return f"## {owner}\n\n| | Names |\n|---|---|\n{table}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
