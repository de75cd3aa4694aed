"""Functions with a counterpart in PyTorch: the same values, element types and shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

torch = pytest.importorskip("torch")
F = torch.nn.functional

NORMAL, LABELS, UNIFORM = "normal", "labels", "uniform"


def n(*shape: int) -> tuple[str, tuple[int, ...]]:
    return (NORMAL, shape)


def labels(*shape: int) -> tuple[str, tuple[int, ...]]:
    """Classes from 0 to 3."""
    return (LABELS, shape)


def both(name: str, *args: Any, **kwargs: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Our function of this name, and torch's, with the same arguments."""
    theirs = getattr(F, name, None) or getattr(torch, name)
    return (
        lambda *tensors: getattr(tn, name)(*tensors, *args, **kwargs),
        lambda *tensors: theirs(*tensors, *args, **kwargs),
    )


CASES: dict[str, tuple[tuple[Callable[..., Any], Callable[..., Any]], tuple[Any, ...]]] = {
    "relu": (both("relu"), (n(3, 4),)),
    "cat with nothing": (
        (lambda x, y: tn.cat([x, y], 1), lambda x, y: torch.cat([x, y], 1)),
        (n(0), n(3, 4)),
    ),
    "leaky_relu": (both("leaky_relu", 0.2), (n(3, 4),)),
    "elu": (both("elu"), (n(3, 4),)),
    "gelu": (both("gelu"), (n(3, 4),)),
    "gelu by tanh": (both("gelu", approximate="tanh"), (n(3, 4),)),
    "silu": (both("silu"), (n(3, 4),)),
    "softplus": (both("softplus"), (n(3, 4),)),
    "sigmoid": (both("sigmoid"), (n(3, 4),)),
    "erf": (both("erf"), (n(3, 4),)),
    "erfc": (both("erfc"), (n(3, 4),)),
    "softmax": (both("softmax", dim=-1), (n(3, 4),)),
    "softmax of the first axis": (both("softmax", 0), (n(3, 4, 2),)),
    "log_softmax": (both("log_softmax", dim=1), (n(3, 4),)),
    "logsumexp": (both("logsumexp", dim=1), (n(3, 4),)),
    "logsumexp kept": (both("logsumexp", dim=(0, 2), keepdim=True), (n(3, 4, 2),)),
    "layer_norm": (both("layer_norm", (4,)), (n(3, 4),)),
    "layer_norm scaled": (
        (lambda x, w, b: tn.layer_norm(x, (2, 4), w, b), lambda x, w, b: F.layer_norm(x, (2, 4), w, b)),
        (n(3, 2, 4), n(2, 4), n(2, 4)),
    ),
    "rms_norm": (
        (lambda x, w: tn.rms_norm(x, (4,), w, 1e-6), lambda x, w: F.rms_norm(x, (4,), w, 1e-6)),
        (n(3, 4), n(4)),
    ),
    "batch_norm": (
        (
            lambda x, m, v, w, b: tn.batch_norm(x, m, abs(v), w, b),
            lambda x, m, v, w, b: F.batch_norm(x, m, abs(v), w, b),
        ),
        (n(3, 4, 5, 5), n(4), n(4), n(4), n(4)),
    ),
    "batch_norm training": (
        (
            lambda x, w, b: tn.batch_norm(x, None, None, w, b, training=True),
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        ),
        (n(3, 4, 5, 5), n(4), n(4)),
    ),
    "linear": (both("linear"), (n(3, 4), n(5, 4), n(5))),
    "cross_entropy": (both("cross_entropy"), (n(6, 4), labels(6))),
    "cross_entropy of one": (both("cross_entropy"), (n(4), labels())),
    "cross_entropy of images": (both("cross_entropy"), (n(2, 4, 3, 3), labels(2, 3, 3))),
    "cross_entropy summed": (both("cross_entropy", reduction="sum"), (n(6, 4), labels(6))),
    "cross_entropy left": (both("cross_entropy", reduction="none"), (n(6, 4), labels(6))),
    "cross_entropy smoothed": (both("cross_entropy", label_smoothing=0.1), (n(6, 4), labels(6))),
    "cross_entropy ignoring": (both("cross_entropy", ignore_index=1), (n(9, 4), labels(9))),
    "cross_entropy weighted": (
        (
            lambda x, t, w: tn.cross_entropy(x, t, abs(w), ignore_index=2, label_smoothing=0.2),
            lambda x, t, w: F.cross_entropy(x, t, abs(w), ignore_index=2, label_smoothing=0.2),
        ),
        (n(9, 4), labels(9), n(4)),
    ),
    "cross_entropy of probabilities": (
        (
            lambda x, t: tn.cross_entropy(x, tn.softmax(t, 1), label_smoothing=0.1),
            lambda x, t: F.cross_entropy(x, torch.softmax(t, 1), label_smoothing=0.1),
        ),
        (n(6, 4), n(6, 4)),
    ),
    "nll_loss": (both("nll_loss"), (n(6, 4), labels(6))),
    "mse_loss": (both("mse_loss"), (n(6, 4), n(6, 4))),
    "binary cross entropy": (both("binary_cross_entropy_with_logits"), (n(6), n(6))),
    "one_hot": (both("one_hot", 4), (labels(2, 3),)),
    "embedding": (both("embedding"), (labels(2, 3), n(4, 5))),
    "attention": (both("scaled_dot_product_attention"), (n(2, 3, 5, 4), n(2, 3, 6, 4), n(2, 3, 6, 7))),
    "causal attention": (
        both("scaled_dot_product_attention", is_causal=True),
        (n(2, 5, 4), n(2, 5, 4), n(2, 5, 4)),
    ),
    "conv1d": (both("conv1d", padding=1), (n(2, 3, 8), n(5, 3, 3), n(5))),
    "conv2d": (both("conv2d"), (n(2, 3, 8, 7), n(5, 3, 3, 2), n(5))),
    "conv2d of one image": (both("conv2d"), (n(3, 8, 7), n(5, 3, 3, 2))),
    "conv2d strided": (both("conv2d", stride=2, padding=(1, 2)), (n(2, 3, 9, 7), n(5, 3, 3, 3))),
    "conv2d dilated": (both("conv2d", dilation=2, padding="same"), (n(2, 3, 9, 7), n(5, 3, 3, 2))),
    "conv2d in groups": (both("conv2d", groups=2), (n(2, 4, 9, 7), n(6, 2, 3, 3), n(6))),
    "max_pool2d": (both("max_pool2d", 2), (n(2, 3, 8, 7),)),
    "max_pool2d padded": (both("max_pool2d", 3, stride=2, padding=1), (n(2, 3, 8, 7),)),
    "avg_pool2d": (both("avg_pool2d", (2, 3)), (n(2, 3, 8, 7),)),
    "avg_pool2d padded": (both("avg_pool2d", 3, 2, 1), (n(3, 8, 7),)),
    "avg_pool2d not counting": (both("avg_pool2d", 3, 2, 1, count_include_pad=False), (n(3, 8, 7),)),
    "max along dim": (both("max", 1), (n(3, 4),)),
    "min along dim": (both("min", dim=0, keepdim=True), (n(3, 4),)),
    "amax": (both("amax", (0, 2)), (n(3, 4, 2),)),
    "sort": (both("sort", 0), (n(5, 4),)),
    "sort descending": (both("sort", descending=True), (n(5, 4),)),
    "topk": (both("topk", 3), (n(5, 4),)),
    "topk smallest": (both("topk", 2, 0, largest=False), (n(5, 4),)),
    "var": (both("var"), (n(5, 4),)),
    "var of a dim": (both("var", 1, unbiased=False), (n(5, 4),)),
    "std": (both("std", 0, keepdim=True), (n(5, 4),)),
    "split": (both("split", 2), (n(5, 4),)),
    "split in sizes": (both("split", [1, 3], dim=1), (n(5, 4),)),
    "chunk": (both("chunk", 3), (n(5, 4),)),
    "flatten": (both("flatten", 1, 2), (n(2, 3, 4, 5),)),
    "permute": (both("permute", (2, 0, 1)), (n(2, 3, 4),)),
    "transpose": (both("transpose", 0, 2), (n(2, 3, 4),)),
    "unsqueeze": (both("unsqueeze", -1), (n(2, 3),)),
    "pad": (both("pad", (1, 2, 3, 0)), (n(2, 3),)),
    "repeat_interleave": (both("repeat_interleave", 2, dim=1), (n(2, 3),)),
    "gather": (
        (lambda x, i: tn.gather(x, 1, i), lambda x, i: torch.gather(x, 1, i)),
        (n(3, 4), labels(2, 5)),
    ),
    "index_select": (
        (lambda x, i: tn.index_select(x, 1, i), lambda x, i: torch.index_select(x, 1, i)),
        (n(2, 4), labels(5)),
    ),
    "clamp": (both("clamp", -0.5, 0.5), (n(3, 4),)),
    "clamp from below": (both("clamp", min=0.1), (n(3, 4),)),
    "expand": ((lambda x: x.expand(2, -1, 4), lambda x: x.expand(2, -1, 4)), (n(3, 1),)),
}


def data(rng: np.random.Generator, spec: tuple[str, tuple[int, ...]]) -> np.ndarray:
    kind, shape = spec
    if kind == LABELS:
        return np.asarray(rng.integers(0, 4, shape))
    return np.asarray(rng.standard_normal(shape), np.float32)


def as_arrays(value: Any) -> Any:
    return tuple(map(as_arrays, value)) if isinstance(value, (tuple, list)) else value.numpy()


@pytest.mark.parametrize(("functions", "specs"), [pytest.param(*case, id=name) for name, case in CASES.items()])
def test_function_agrees_with_torch(run, same, rng, functions, specs) -> None:
    arrays = [data(rng, spec) for spec in specs]
    ours, theirs = functions
    same(run(ours, *arrays), as_arrays(theirs(*map(torch.from_numpy, arrays))))


DTYPES = ["bool", "int8", "uint8", "int16", "int32", "int64", "float32", "float64"]


@pytest.mark.parametrize("right_rank", [0, 1])
@pytest.mark.parametrize("left_rank", [0, 1])
@pytest.mark.parametrize("right", DTYPES)
@pytest.mark.parametrize("left", DTYPES)
def test_tensors_promote_as_in_torch(left, right, left_rank, right_rank) -> None:
    shapes = [(2,) * left_rank, (2,) * right_rank]
    theirs = torch.result_type(
        *(torch.zeros(s, dtype=getattr(torch, d)) for s, d in zip(shapes, (left, right), strict=True))
    )
    specs = [getattr(tn, d)[s] for s, d in zip(shapes, (left, right), strict=True)]
    (result,) = tn.compile(lambda x, y: x * y).lower(*specs).module["<lambda>"].type.results
    assert str(theirs) == f"torch.{result.dtype.numpy}"


@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_promote_as_in_torch(dtype, number) -> None:
    theirs = torch.result_type(torch.zeros(2, dtype=getattr(torch, dtype)), number)
    lowered = tn.compile(lambda x: number * x).lower(getattr(tn, dtype)[2])
    (result,) = lowered.module["<lambda>"].type.results
    assert str(theirs) == f"torch.{result.dtype.numpy}"


def first(value: Any) -> Any:
    """The values of `(values, indices)`, the first of several pieces."""
    return value[0] if isinstance(value, tuple) else value


NO_GRADIENT = {"one_hot", "batch_norm", "cross_entropy weighted"}  # by some argument, in PyTorch


@pytest.mark.parametrize(
    ("functions", "specs"), [pytest.param(*case, id=name) for name, case in CASES.items() if name not in NO_GRADIENT]
)
def test_gradient_agrees_with_torch(run, same, rng, functions, specs) -> None:
    arrays = [data(rng, spec).astype("f8" if spec[0] == NORMAL else "i8") for spec in specs]
    floats = tuple(number for number, spec in enumerate(specs) if spec[0] == NORMAL)
    ours, theirs = functions
    tensors = [torch.tensor(array, requires_grad=number in floats) for number, array in enumerate(arrays)]
    value = first(theirs(*tensors))
    (value * torch.cos(value)).sum().backward()

    def loss(*args: Any) -> Any:
        value = first(ours(*args))
        return tn.sum(value * tn.cos(value))

    expected = tuple(tensors[number].grad.numpy() for number in floats)
    same(run(tn.grad(loss, argnums=floats), *arrays), expected, 1e-8)
