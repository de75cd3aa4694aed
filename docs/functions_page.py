"""Writes `docs/functions.md`: every public function, by theme, as the code has it.

    python docs/functions_page.py

A test compares the page with what this gives.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tenfold as tn

PAGE = Path(__file__).with_name("functions.md")

THEMES = {
    "Programs": ("compile", "export"),
    "Files": ("saving.files",),
    "Derivatives and batches": ("transforms.grad", "transforms.products", "transforms.custom", "transforms.vmap"),
    "Control flow": ("control.branches", "control.loops", "control.scans"),
    "Threads": ("threads",),
    "Tensors": (
        "construction",
        "gradients.modes",
        "functions.creation",
        "default_dtype",
        "device",
        "number_limits",
        "printing",
    ),
    "Arithmetic, comparison and logic": ("functions.arithmetic", "functions.binary", "functions.queries"),
    "Mathematics, element by element": ("functions.elementwise", "functions.special"),
    "Reductions": ("functions.reductions", "functions.statistics"),
    "Shapes": ("functions.shapes", "functions.joining", "functions.parts"),
    "Indexing": ("functions.taking", "functions.scattering", "functions.compaction"),
    "Sorting and running totals": ("functions.sorting", "functions.running", "functions.searching"),
    "Linear algebra": (
        "functions.linear_algebra",
        "functions.products",
        "functions.factorizations",
        "functions.matrices",
        "linalg",
    ),
    "Random numbers": ("random.sampling", "random.generator"),
    "Random numbers from keys": (
        "random.keys",
        "random.distributions",
        "random.gamma",
        "random.poisson",
        "random.orders",
    ),
    "Convolution and pooling": (
        "nn.functional.convolutions",
        "nn.functional.pooling",
        "nn.functional.adaptive_pooling",
    ),
    "Activations": ("functions.neural", "nn.functional.activations", "nn.functional.softmaxes"),
    "Layers": (
        "nn.functional.projections",
        "nn.functional.embeddings",
        "nn.functional.attention",
        "nn.functional.multi_head",
        "nn.functional.recurrent",
        "nn.functional.dropouts",
        "nn.functional.resizing",
    ),
    "Normalisation and distances": ("nn.functional.normalization", "nn.functional.distances"),
    "Losses": ("nn.functional.losses", "nn.functional.classification"),
}

CLASSES = {
    "Compiled functions": (tn.Compiled, "What `tn.compile` gives is called as the function is, and has"),
    "Lowered programs": (tn.Lowered, "What `lower` gives is a traced program, not yet compiled, and has"),
    "Attributes of tensors": (tn.Tensor, "A `tn.Tensor` has Python's operators, NumPy's indexing, and"),
}

HEAD = """\
# Functions

Everything here is in the package: `import tenfold as tn`, then `tn.softmax`. Functions have PyTorch's names and take
tensors, NumPy arrays, numbers and nested lists of numbers; where they take `dim` and `keepdim` they take NumPy's `axis`
and `keepdims` too. They work alike inside `@tn.compile` and outside it.

<!-- Written by docs/functions_page.py from the code. -->
"""


def page() -> str:
    """The text of the page."""
    sections = [HEAD, *(_theme(title, modules) for title, modules in THEMES.items())]
    sections += [_class(title, *described) for title, described in CLASSES.items()]
    return "\n".join(sections)


def public_functions() -> dict[Callable[..., Any], list[str]]:
    """Each public function with all its names."""
    names: dict[Callable[..., Any], list[str]] = {}
    for prefix, module in (
        ("", tn),
        ("linalg.", tn.linalg),
        ("random.", tn.random),
        ("nn.functional.", tn.nn.functional),
    ):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value):
                names.setdefault(value, []).append(prefix + name)
    return names


def _theme(title: str, modules: tuple[str, ...]) -> str:
    homes = {f"tenfold.{module}" for module in modules}
    rows = [
        _row(_signature(function, names), function)
        for function, names in sorted(public_functions().items(), key=lambda item: item[1])
        if function.__module__ in homes
    ]
    return _table(title, "", rows)


def _class(title: str, owner: type[Any], about: str) -> str:
    own: list[str] = []
    shared: list[str] = []
    for name, value in sorted(vars(owner).items()):
        if name.startswith("_") or not inspect.getdoc(value):
            continue
        if getattr(value, "__module__", "").startswith("tenfold.functions"):
            shared.append(f"`{name}`")
        else:
            own.append(_row(_signature(value, [name]) if inspect.isfunction(value) else f"`{name}`", value))
    functions = f"\nThese functions are methods too: {', '.join(shared)}.\n" if shared else ""
    return _table(title, f"{about}\n\n", own, "Attribute") + functions


def _table(title: str, about: str, rows: list[str], kind: str = "Function") -> str:
    return f"## {title}\n\n{about}| {kind} | What it gives |\n|---|---|\n" + "\n".join(rows) + "\n"


def _row(signature: str, function: object) -> str:
    first = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    return f"| {signature} | {first} |"


def _signature(function: Callable[..., Any], names: list[str]) -> str:
    """`softmax(x, dim=None)`: the parameters with their defaults, without their types and without `self`."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
    ]
    text = str(inspect.Signature(parameters)).replace("tn.", "").replace("torch.", "")
    main = function.__name__ if function.__name__ in names else names[0]
    others = [f"`{name}`" for name in names if name != main]
    return f"`{main}{text}`" + (f", also {', '.join(others)}" if others else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
