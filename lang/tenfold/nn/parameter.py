"""`Parameter`: a tensor that a module registers when it becomes an attribute, and that optimisers change."""

from __future__ import annotations

from tenfold.functions.creation import zeros
from tenfold.tensor import Tensor
from tenfold.tracing import TensorValue
from tenfold.views import Alias


class Parameter(Tensor):
    """A leaf tensor over the memory of `data`, which gathers gradients where `requires_grad`; empty without `data`."""

    is_parameter = True

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        source = zeros(0) if data is None else data
        TensorValue.__init__(self, Alias(source.ref))
        self.requires_grad_(requires_grad)
