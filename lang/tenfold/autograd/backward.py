"""Going back: from gradients of results through the nodes to those of leaves, or of chosen inputs."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, cast

from tenfold.autograd.calls import filled
from tenfold.autograd.graph import Edge, Node
from tenfold.autograd.modes import set_grad_enabled
from tenfold.functions import arithmetic
from tenfold.lazy.graph import GRAPH
from tenfold.tensor_like import as_gradient
from tenfold.tracing import TensorValue, here, is_tracing
from tenfold_rt.errors import ArgumentError, GradientError, ShapeError
