"""`out=`: results written to tensors that there are, as PyTorch writes them."""

from __future__ import annotations

from typing import Any

import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError, GradientError, ShapeError


def printed(torch: Any) -> list[str]:
    """What a few calls with `out=` leave behind."""
    x = torch.arange(4.0).reshape(2, 2)
    into = [torch.empty(2, 2) for _ in range(3)]
    empty, wide, part = torch.empty(0), torch.zeros(2, 2, dtype=torch.float64), torch.zeros(3, 2, 2)
    extremes = (torch.empty(2), torch.empty(2, dtype=torch.int64))
    given = [
        torch.matmul(x, x, out=into[0]) is into[0],
        torch.add(x, 1, out=into[1]) is into[1],
        torch.cat([x[:1], x[1:]], out=into[2]) is into[2],
    ]
    torch.exp(x * 0, out=empty)
    torch.mul(x, 2, out=wide)
    torch.mul(x, x, out=x)
    torch.sub(x, 1, out=part[1])
    found = torch.max(x, dim=1, out=extremes)
    same = [found[0] is extremes[0], found.indices is extremes[1]]
    return [repr(each) for each in (given, *into, empty, wide, x, part, *extremes, same)]


def test_results_are_written_as_pytorch_writes_them() -> None:
    torch = pytest.importorskip("torch")
    assert printed(tn) == printed(torch)


def test_inside_compiled_code_results_are_written_too() -> None:
    def doubled(x: tn.Tensor) -> tn.Tensor:
        out = tn.zeros(3)
        tn.multiply(x, 2, out=out)  # pyright: ignore[reportCallIssue]
        return out

    assert tn.compile(doubled)(tn.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (lambda: tn.empty(2), ShapeError),
        (lambda: tn.empty(3, dtype=tn.int64), DTypeError),
        (lambda: [tn.empty(3), tn.empty(3)], ArgumentError),
        (lambda: [0.0], ArgumentError),
        (lambda: tn.empty(3, requires_grad=True), GradientError),
    ],
)
def test_what_cannot_hold_the_result_is_refused(out: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="add"):
        tn.add(tn.ones(3), 1, out=out())


def test_transposing_in_place_keeps_the_memory() -> None:
    torch = pytest.importorskip("torch")

    def shown(module: Any) -> list[str]:
        x = module.arange(6).reshape(2, 3)
        whole = x.view(6)
        x.t_().unsqueeze_(0)
        whole[1] = 9
        return [repr(x), repr(x.squeeze_(0).transpose_(0, 1)), repr(x.stride())]

    assert shown(tn) == shown(torch)
