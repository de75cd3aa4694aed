"""The names of nodes, as PyTorch has them: `x.sum(dim=0)` is remembered by a `SumBackward1`.

In PyTorch a name says which of its own operations, and which of their overloads, came last in a call; here the call's
function and arguments tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tenfold.tracing import TensorValue

Arguments: TypeAlias = "Mapping[str, Any]"
"""The arguments of a call by the names of the function's parameters."""


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, int, float))


def _rank(value: Any) -> int:
    return value.tensor_type.rank if isinstance(value, TensorValue) else np.ndim(value)


def _sizes(value: Any) -> Sequence[int]:
    return value.tensor_type.sizes if isinstance(value, TensorValue) else np.shape(value)


def _is_float(value: Any) -> bool:
    return isinstance(value, TensorValue) and value.tensor_type.dtype.is_float


def _along(stem: str, whole: int, axes: int) -> Callable[[Arguments], str]:
    """A reduction: the overload `whole` of all elements, `axes` along some."""
    return lambda given: f"{stem}{whole if given.get('dim') is None and given.get('axis') is None else axes}"


def _extreme(stem: str) -> Callable[[Arguments], str]:
    along = _along(stem, 1, 0)
    return lambda given: f"{stem}imum0" if isinstance(given.get("dim"), TensorValue) else along(given)


def _by_number(stem: str, parameter: str) -> Callable[[Arguments], str]:
    """Overload 0 takes a Python number, overload 1 a tensor."""
    return lambda given: f"{stem}{0 if _is_number(given[parameter]) else 1}"


def _reduced(unreduced: str) -> Callable[[Arguments], str]:
    """A loss that ends with its reduction."""
    last = {"mean": "Mean0", "sum": "Sum0", "batchmean": "Div0", "none": unreduced}
    return lambda given: last.get(given.get("reduction", "mean"), unreduced)


def _subtract(given: Arguments) -> str:
    return "Rsub1" if _is_number(given["input"]) else "Sub0"


def _divide(given: Arguments) -> str:
    if given.get("rounding_mode") is not None:
        return "Div2"
    return "Mul0" if _is_number(given["input"]) else "Div0"


def _power(given: Arguments) -> str:
    return "Pow2" if _is_number(given["input"]) else _by_number("Pow", "exponent")(given)


def _clamp(given: Arguments) -> str:
    bounds = [given.get(name) for name in ("min", "max", "a_min", "a_max")]
    return "Clamp0" if any(isinstance(bound, TensorValue) for bound in bounds) else "Clamp1"


def _matmul(given: Arguments) -> str:
    ranks = _rank(given["input"]), _rank(given["other"])
    return {(1, 1): "Dot0", (2, 1): "Mv0", (1, 2): "Squeeze4", (2, 2): "Mm0"}.get(ranks, "UnsafeView0")


def _linear(given: Arguments) -> str:
    rank = _rank(given["input"])
    if given.get("bias") is None:
        return {1: "Squeeze4", 2: "Mm0"}.get(rank, "UnsafeView0")
    return "Addmm0" if rank == 2 else "View0"


def _class_loss(given: Arguments) -> str:
    if _is_float(given["target"]):
        return "Div1"
    if given.get("label_smoothing", 0) > 0:
        return "Add0"
    return "NllLoss2D0" if _rank(given["input"]) > 2 else "NllLoss0"


def _transpose(given: Arguments) -> str:
    return "Transpose0" if len(given.get("axes", ())) == 2 else "Permute0"


def _squeeze(given: Arguments) -> str:
    axes = given.get("dim", given.get("axis"))
    return f"Squeeze{0 if axes is None else 1 if isinstance(axes, int) else 2}"


def _split(given: Arguments) -> str:
    return "Split0" if isinstance(given.get("split_size_or_sections"), int) else "SplitWithSizes0"


def _pad(given: Arguments) -> str:
    stem = {"reflect": "ReflectionPad", "replicate": "ReplicationPad"}.get(given.get("mode", "constant"))
    return "ConstantPadNd0" if stem is None else f"{stem}{len(given['pad']) // 2}D0"


def _interpolate(given: Arguments) -> str:
    mode = given.get("mode", "nearest")
    return f"Upsample{mode.title().replace('-', '')}{_rank(given['input']) - 2}D0"


def _adaptive_average(given: Arguments) -> str:
    size = given["output_size"]
    return "Mean1" if size in (1, (1, 1), [1, 1]) else "AdaptiveAvgPool2D0"


def _attention(given: Arguments) -> str:
    return "ScaledDotProductFlashAttentionForCpu0" if _rank(given["query"]) == 4 else "UnsafeView0"


def _getitem(given: Arguments) -> str:
    """PyTorch takes item after item: the last that does something tells."""
    sizes = _sizes(given["x"])
    name, axis = "Alias0", 0
    for item in given["items"]:
        if isinstance(item, int) or (isinstance(item, TensorValue) and not _is_array_index(item)):
            name = "Select0"
        elif isinstance(item, (TensorValue, np.ndarray)):
            return "Index0"
        else:
            name = item.node(sizes[axis:]) or name
        axis += getattr(item, "axes", 1)
    return name


def _is_array_index(item: TensorValue) -> bool:
    return item.tensor_type.rank > 0 or item.tensor_type.dtype.is_bool


_RULES: dict[str, str | Callable[[Arguments], str]] = {
    "adaptive_avg_pool1d": "Squeeze1",
    "adaptive_avg_pool2d": _adaptive_average,
    "adaptive_max_pool1d": "Squeeze1",
    "adaptive_max_pool2d": "AdaptiveMaxPool2D0",
    "avg_pool1d": "Squeeze1",
    "avg_pool2d": "AvgPool2D0",
    "batch_norm": "NativeBatchNorm0",
    "broadcast_to": "Expand0",
    "chunk": "Split0",
    "cholesky": "LinalgCholeskyEx0",
    "clamp": _clamp,
    "clip": _clamp,
    "column_stack": "Cat0",
    "concatenate": "Cat0",
    "conv1d": "Convolution0",
    "conv2d": "Convolution0",
    "conv3d": "Convolution0",
    "conv_transpose1d": "Convolution0",
    "conv_transpose2d": "Convolution0",
    "cosine_embedding_loss": _reduced("Add0"),
    "cosine_similarity": "Sum1",
    "cross": "LinalgCross0",
    "cross_entropy": _class_loss,
    "deg2rad": "Deg2Rad0",
    "det": "LinalgDet0",
    "diag": lambda given: "DiagEmbed0" if _rank(given["input"]) == 1 else "Diagonal0_copy",
    "div": _divide,
    "divide": _divide,
    "dropout": "Mul0",
    "dropout1d": "Mul0",
    "dropout2d": "Mul0",
    "dropout3d": "Mul0",
    "dstack": "Cat0",
    "einsum": "View0",
    "expand_as": "Expand0",
    "flatten": "View0",
    "fliplr": "Flip0",
    "flipud": "Flip0",
    "getitem": _getitem,
    "group_norm": "NativeGroupNorm0",
    "gumbel_softmax": "Softmax0",
    "hinge_embedding_loss": _reduced("Add0"),
    "hstack": "Cat0",
    "instance_norm": "View0",
    "interpolate": _interpolate,
    "inv": "LinalgInvEx0",
    "kl_div": _reduced("Sub0"),
    "kron": "UnsafeView0",
    "l1_loss": _reduced("Abs0"),
    "layer_norm": "NativeLayerNorm0",
    "lerp": _by_number("Lerp", "weight"),
    "linear": _linear,
    "log1p": "Log1P0",
    "logsigmoid": "LogSigmoid0",
    "margin_ranking_loss": _reduced("ClampMin0"),
    "masked_fill": _by_number("MaskedFill", "value"),
    "matmul": _matmul,
    "max": _extreme("Max"),
    "max_pool1d": "Squeeze1",
    "max_pool2d": "MaxPool2DWithIndices0",
    "mean": _along("Mean", 0, 1),
    "median": _along("Median", 0, 1),
    "min": _extreme("Min"),
    "moveaxis": "Permute0",
    "multiply": "Mul0",
    "nanmean": "Div0",
    "nanmedian": _along("Nanmedian", 0, 1),
    "narrow": "Slice0",
    "negative": "Neg0",
    "nll_loss": _class_loss,
    "norm": "LinalgVectorNorm0",
    "normalize": "Div0",
    "outer": "Mul0",
    "pad": _pad,
    "pairwise_distance": "Norm1",
    "poisson_nll_loss": _reduced("Sub0"),
    "pow": _power,
    "prelu": "PreluKernel0",
    "prod": _along("Prod", 0, 1),
    "rad2deg": "Rad2Deg0",
    "ravel": "View0",
    "relu6": "Hardtanh0",
    "remainder": _by_number("Remainder", "other"),
    "repeat_interleave": "View0",
    "reshape": "View0",
    "rms_norm": "Mul0",
    "rsub": "Rsub1",
    "scaled_dot_product_attention": _attention,
    "selu": "Elu0",
    "slogdet": "LinalgSlogdet0",
    "softmin": "Softmax0",
    "softsign": "Div0",
    "solve": "LinalgSolveEx0",
    "split": _split,
    "square": "Pow0",
    "squeeze": _squeeze,
    "sub": _subtract,
    "subtract": _subtract,
    "sum": _along("Sum", 0, 1),
    "swapaxes": "Transpose0",
    "take_along_dim": "Gather0",
    "tanhshrink": "Sub0",
    "tensor_split": "Slice0",
    "tensordot": "View0",
    "tile": "Repeat0",
    "to": "ToCopy0",
    "transpose": _transpose,
    "triplet_margin_loss": _reduced("ClampMin0"),
    "unflatten": "View0",
    "unfold": lambda given: "Im2Col0" if "kernel_size" in given else "Unfold0",
    "view_as": "View0",
    "vector_norm": "LinalgVectorNorm0",
    "vstack": "Cat0",
}
"""The last operation of a function, and its overload, where they are not the function's own name and 0."""

_WAY_BACK = {
    "cos": "Mul",
    "divide": "Div",
    "exp": "Mul",
    "expand": "Sum",
    "log": "Div",
    "matmul": "Mm",
    "mean": "Div",
    "multiply": "Mul",
    "pow": "Mul",
    "sin": "Mul",
    "sqrt": "Div",
    "square": "Mul",
    "subtract": "Neg",
    "sum": "Expand",
}
"""The last operation of the way back through a function."""


def call_name(function: str, arguments: Arguments) -> str:
    """The name of the node of a call: `multiply` gives `MulBackward0`."""
    rule = _RULES.get(function)
    if rule is None:
        return node_name(function)
    last = rule if isinstance(rule, str) else rule(arguments)
    stem = last.removesuffix("_copy")
    return f"{stem[:-1]}Backward{stem[-1]}{last[len(stem) :]}"


def node_name(function: str) -> str:
    """The name of the node of a function of which no arguments are known; `f_backward` is the way back through f."""
    base = function.removesuffix("_backward")
    stem = "".join(part.capitalize() for part in base.split("_"))
    if function != base:
        stem = _WAY_BACK.get(base, f"{stem}Backward")
    return f"{stem}Backward0"
