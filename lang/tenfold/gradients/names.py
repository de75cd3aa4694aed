"""The names of nodes, as PyTorch has them."""

from __future__ import annotations

_NAMES = {
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "negative": "Neg",
    "matmul": "Mm",
    "concatenate": "Cat",
    "linear": "Addmm",
    "reshape": "View",
    "flatten": "View",
    "swapaxes": "Transpose",
    "amax": "Amax",
    "logical_not": "LogicalNot",
    "mse_loss": "MseLoss",
    "cross_entropy": "NllLoss",
    "broadcast_to": "Expand",
    "to": "ToCopy",
    "getitem": "Index",
    "square": "Pow",
    "log1p": "Log1P",
    "deg2rad": "Deg2Rad",
    "rad2deg": "Rad2Deg",
    "det": "LinalgDet",
    "inv": "LinalgInvEx",
    "slogdet": "LinalgSlogdet",
    "solve": "LinalgSolveEx",
    "norm": "LinalgVectorNorm",
    "tile": "Repeat",
    "narrow": "Slice",
    "hstack": "Cat",
    "vstack": "Cat",
    "take_along_dim": "Gather",
    "einsum": "View",
}


def node_name(function: str) -> str:
    """The name of the node of a function: `multiply` gives `MulBackward0`."""
    base = function.removesuffix("_backward")
    known = _NAMES.get(base)
    stem = known if known is not None else "".join(part.capitalize() for part in base.split("_"))
    return stem + "Backward0" * (1 + (function != base))
