"""Tensors say how they were computed in PyTorch's words: `grad_fn=<SumBackward1>`."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import tenfold as tn

CALLS = [
    *["x.sum()", "x.sum(0)", "x.mean()", "x.mean(1, keepdim=True)", "x.prod(0)", "x.std(0)", "x.max()", "x.max(0)[0]"],
    *["torch.max(x, y)", "x.median(0)[0]", "x.amax(0)", "x.norm()", "x.cumsum(0)", "x.topk(1)[0]", "x.logsumexp(0)"],
    *["x[0]", "x[0, 0]", "x[:, 0]", "x[1:]", "x[...]", "x[None]", "x[:, None]", "x[[0, 1]]", "x[x > 0]", "x[0, 1:]"],
    *["x[None, 1:]", "x[i, 0]", "x[torch.tensor(1)]", "x[:, ::2]", "x[0, None]"],
    *["x + 1", "1 - x", "x - 1", "2 * x", "x / 2", "2 / x", "x**2", "x**y", "2**x", "-x", "x % 2", "x % y", "x.exp()"],
    *[
        "x.clamp(0, 1)",
        "x.relu()",
        "x.clamp_min(0)",
        "x.index_select(0, i[0])",
        "x.softmax(0)",
        "torch.where(x > 0, x, y)",
        "x.lerp(y, 0.5)",
        "x.square()",
    ],
    *["x @ y", "v @ v", "x @ v", "v @ x", "b @ b", "b @ x", "x.mm(y)", "torch.outer(v, v)", "torch.addmm(x, x, y)"],
    *["x.T", "x.t()", "x.mT", "x.transpose(0, 1)", "x.permute(1, 0)", "x.reshape(4)", "x.view(4)", "b.flatten(1)"],
    *["x.unsqueeze(0)", "x[None].squeeze()", "x[None].squeeze(0)", "x.expand(3, 2, 2)", "x.repeat(2, 1)", "x.clone()"],
    *["x.split(1)[0]", "x.split([1, 1])[0]", "x.chunk(2)[0]", "x.unbind()[0]", "torch.cat([x, y])", "x.view_as(y)"],
    *["torch.stack([x, y])", "x.gather(0, i)", "x.masked_fill(x > 0, 0.0)", "x.double()", "x.float()", "x.diag()"],
    *["F.linear(x, y)", "F.linear(x, y, v)", "F.linear(b, y, v)", "F.linear(b, y)", "F.mse_loss(x, y)", "F.relu(x)"],
    *["F.l1_loss(x, y)", "F.l1_loss(x, y, reduction='sum')", "F.cross_entropy(x, i[0])", "F.nll_loss(x, i[0])"],
    *["F.cross_entropy(x, i[0], label_smoothing=0.1)", "F.cross_entropy(x, y.softmax(1))", "F.dropout(x, 0.5)"],
    *["F.binary_cross_entropy_with_logits(x, y)", "F.layer_norm(x, (2,))", "F.embedding(i, x)", "F.conv2d(m, m)"],
    *["F.batch_norm(x, None, None, training=True)", "F.max_pool2d(m, 1)", "F.avg_pool2d(m, 1)", "F.gelu(x)"],
    *["F.adaptive_avg_pool2d(m, 1)", "F.normalize(x)", "F.pad(x, (1, 1))", "F.pad(b, (1, 1), mode='reflect')"],
    *["F.interpolate(m, scale_factor=2)", "F.scaled_dot_product_attention(m, m, m)", "F.log_softmax(x, 1)"],
    *["torch.autograd.grad((x**4).sum(), x, create_graph=True)[0]", "x.add(1).mul_(2)"],
]
"""Calls of x and y (2 x 2), v (2), b (2 x 2 x 2), m (2 x 2 x 2 x 2) and indices i (2 x 2)."""


def node_names(torch: Any) -> dict[str, str | None]:
    """The name of the node of each call's result; None where there is no node."""

    def leaf(*shape: int) -> Any:
        return torch.ones(shape).requires_grad_()

    operands = {"x": leaf(2, 2), "y": leaf(2, 2), "v": leaf(2), "b": leaf(2, 2, 2), "m": leaf(2, 2, 2, 2)}
    names = {"torch": torch, "F": torch.nn.functional, "i": torch.tensor([[0, 1], [1, 0]]), **operands}
    nodes = {call: eval(call, names).grad_fn for call in CALLS}
    return {call: None if node is None else node.name() for call, node in nodes.items()}


def test_nodes_have_the_names_that_pytorch_gives_them() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own
        theirs = node_names(torch)
    assert node_names(tn) == theirs
