"""Going back: from gradients of results through the nodes to those of leaves, or of chosen inputs."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from tenfold.functions import arithmetic
from tenfold.gradients.calls import filled
from tenfold.gradients.graph import AccumulateGrad, Edge, Node
from tenfold.gradients.modes import set_grad_enabled
from tenfold.lazy.graph import GRAPH
from tenfold.tracing import TensorLike, TensorValue, here, is_tracing
from tenfold.values import Kind
from tenfold_rt.errors import GradientError


def backward(
    tensors: Sequence[TensorValue],
    gradients: Sequence[TensorLike | None],
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add to the `grad` of leaves, or of the leaves `inputs`, the gradient of the sum of `tensors` that are weighed by
    `gradients`.

    `GradientError` where a tensor requires no gradient, where it is more than one number and has no gradient given, or
    where the graph was freed by an earlier call without `retain_graph`.
    """
    roots = _roots(tensors, gradients)
    if inputs is None:
        _Walk(bool(create_graph if retain_graph is None else retain_graph), create_graph).run(roots)
    else:
        wanted = [inputs] if isinstance(inputs, TensorValue) else list(inputs)
        found = grad(tensors, wanted, gradients, retain_graph, create_graph, allow_unused=True)
        for tensor, gradient in zip(wanted, found, strict=True):
            if gradient is not None:
                cast("Any", tensor).accumulate(gradient, create_graph)
    if not is_tracing() and not create_graph:
        GRAPH.run()


def grad(
    outputs: TensorValue | Sequence[TensorValue],
    inputs: TensorValue | Sequence[TensorValue],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs`, weighed by `grad_outputs`, with regard to each of `inputs`.

    With `create_graph` they can be differentiated again.  An input that the outputs do not depend on raises
    `GradientError`, or with `allow_unused` has the gradient None, or with `materialize_grads` zeros.
    """
    results = [outputs] if isinstance(outputs, TensorValue) else list(outputs)
    wanted = [inputs] if isinstance(inputs, TensorValue) else list(inputs)
    weights = _weights(grad_outputs, len(results))
    edges: list[Edge] = []
    for number, tensor in enumerate(wanted):
        edge = tensor.ref.edge
        if edge is None:
            raise GradientError(f"grad: input {number} does not require grad", where=here())
        edges.append(edge)
    walk = _Walk(bool(create_graph if retain_graph is None else retain_graph), create_graph, edges)
    walk.run(_roots(results, weights))
    found: list[Any] = []
    for number, (edge, tensor) in enumerate(zip(edges, wanted, strict=True)):
        gradient = walk.found.get(edge)
        if gradient is None and materialize_grads:
            gradient = filled(tensor.ref.kind, 0)
        if gradient is None and not allow_unused:
            raise GradientError(
                f"grad: input {number} appears to not have been used in the graph",
                where=here(),
                mend="set allow_unused=True if that is meant",
            )
        found.append(gradient)
    return tuple(found)


def _weights(given: Any, count: int) -> list[Any]:
    if given is None:
        return [None] * count
    return [given] if isinstance(given, TensorValue) else list(given)


def _roots(tensors: Sequence[TensorValue], gradients: Sequence[Any]) -> list[tuple[Edge, TensorValue]]:
    roots: list[tuple[Edge, TensorValue]] = []
    for number, (tensor, gradient) in enumerate(zip(tensors, gradients, strict=True)):
        edge = tensor.ref.edge
        if edge is None:
            raise GradientError(
                f"element {number} of tensors does not require grad and does not have a grad_fn",
                where=here(),
                mend="make what it is computed of with requires_grad=True, outside tn.no_grad()",
            )
        roots.append((edge, _root(number, tensor, gradient)))
    return roots


def _root(number: int, tensor: TensorValue, gradient: Any) -> TensorValue:
    if gradient is None:
        if tensor.tensor_type.size != 1:
            raise GradientError(
                f"grad can be implicitly created only for scalar outputs, not for {tensor.tensor_type}",
                where=here(),
                mend="give gradient=, or reduce the tensor with sum() or mean()",
            )
        return filled(tensor.ref.kind, 1)
    given = gradient if isinstance(gradient, TensorValue) else TensorValue.of_array(_array(gradient, tensor.ref.kind))
    if given.tensor_type.shape != tensor.tensor_type.shape:
        raise GradientError(
            f"Mismatch in shape: grad_output[{number}] has a shape of {list(given.tensor_type.sizes)}, "
            f"output[{number}] one of {list(tensor.tensor_type.sizes)}",
            where=here(),
        )
    return given


def _array(gradient: Any, kind: Kind) -> Any:
    return np.asarray(gradient, kind.type.dtype.numpy)


class _Walk:
    """One way back.  Nodes are visited from the last call on, so each has its whole gradient when it is."""

    def __init__(self, retain: bool, create: bool, wanted: Sequence[Edge] = ()) -> None:
        self._retain, self._create = retain, create
        self._wanted = set(wanted)
        self.found: dict[Edge, Any] = {}
        self._gradients: dict[Node, dict[int, TensorValue]] = {}
        self._queue: list[tuple[int, int, Node]] = []
        self._order = itertools.count()

    def run(self, roots: Sequence[tuple[Edge, TensorValue]]) -> None:
        """Go back from `roots`, with their gradients."""
        with set_grad_enabled(self._create):
            for edge, gradient in roots:
                self._add(edge, gradient)
            while self._queue:
                node = heapq.heappop(self._queue)[2]
                self._visit(node, self._gradients.pop(node))

    def _add(self, edge: Edge, gradient: TensorValue) -> None:
        gradients = self._gradients.get(edge.node)
        if gradients is None:
            gradients = self._gradients[edge.node] = {}
            heapq.heappush(self._queue, (-edge.node.serial, next(self._order), edge.node))
        present = gradients.get(edge.place)
        gradients[edge.place] = gradient if present is None else cast("Any", arithmetic.add)(present, gradient)

    def _visit(self, node: Node, gradients: dict[int, Any]) -> None:
        for place, hooks in node.hooks.items():
            for hook in list(hooks.values()) if place in gradients else ():
                replaced = hook(gradients[place])
                gradients[place] = gradients[place] if replaced is None else replaced
        for place, reference in node.kept.items():
            tensor = reference()
            if tensor is not None and place in gradients:
                tensor.accumulate(gradients[place], self._create)
        for place, gradient in gradients.items():
            if Edge(node, place) in self._wanted:
                self.found[Edge(node, place)] = gradient
        if self._wanted and isinstance(node, AccumulateGrad):
            return
        pulled = node.pull([gradients.get(place) for place in range(len(node.result_kinds))], self._create)
        if not self._retain:
            node.release()
        for edge, gradient in zip(node.edges, pulled, strict=True):
            if edge is not None and gradient is not None:
                self._add(edge, gradient)
