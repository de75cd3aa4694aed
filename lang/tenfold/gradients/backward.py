"""Going back: from gradients of results through the nodes to those of leaves, or of chosen inputs."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence, Set
from typing import Any, cast

import numpy as np

from tenfold.functions import arithmetic, elementwise, reductions, shapes
from tenfold.gradients.calls import filled
from tenfold.gradients.graph import Edge, Known, Node
from tenfold.gradients.modes import set_grad_enabled
from tenfold.lazy.graph import GRAPH
from tenfold.memory import Memory, on_device
from tenfold.placement import moved
from tenfold.tracing import TensorValue, here, is_tracing
from tenfold.values import Kind
from tenfold_rt.errors import GradientError


def backward(
    tensors: TensorValue | Sequence[TensorValue],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add to the `grad` of leaves, or of the leaves `inputs`, the gradient of the sum of `tensors` that are weighed by
    `grad_tensors`.

    `GradientError` where a tensor requires no gradient, where it is more than one number and has no gradient given, or
    where the graph was freed by an earlier call without `retain_graph`.
    """
    if inputs is None:
        results = _listed(tensors)
        walk = _Walk(bool(create_graph if retain_graph is None else retain_graph), create_graph)
        walk.run(_roots(results, _weights(grad_tensors, len(results))))
    else:
        wanted = _listed(inputs)
        found = grad(tensors, wanted, grad_tensors, retain_graph, create_graph, allow_unused=True)
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
    results, wanted = _listed(outputs), _listed(inputs)
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


def _listed(given: Any) -> list[TensorValue]:
    return [given] if isinstance(given, TensorValue) else list(given)


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
    given = gradient if isinstance(gradient, TensorValue) else TensorValue.of_array(_memory(gradient, tensor.ref.kind))
    if given.tensor_type.shape != tensor.tensor_type.shape:
        raise GradientError(
            f"Mismatch in shape: grad_output[{number}] has a shape of {list(given.tensor_type.sizes)}, "
            f"output[{number}] one of {list(tensor.tensor_type.sizes)}",
            where=here(),
        )
    return given


def _memory(gradient: Any, kind: Kind) -> Memory:
    return on_device(np.asarray(gradient, kind.type.dtype.numpy), kind.device)


class _Walk:
    """One way back.  Nodes are visited from the last call on, so each has its whole gradient when it is.

    Where edges are `wanted` only nodes on the way to them are, and no leaf's gradient is added to.
    """

    def __init__(self, retain: bool, create: bool, wanted: Sequence[Edge] | None = None) -> None:
        self._retain, self._create = retain, create
        self._known: Known | None = {} if create else None
        self._wanted = None if wanted is None else set(wanted)
        self._on_the_way: set[Node] | None = None
        self.found: dict[Edge, Any] = {}
        self._gradients: dict[Node, dict[int, TensorValue]] = {}
        self._queue: list[tuple[int, int, Node]] = []
        self._order = itertools.count()

    def run(self, roots: Sequence[tuple[Edge, TensorValue]]) -> None:
        """Go back from `roots`, with their gradients."""
        if self._wanted is not None:
            self._on_the_way = _leading([edge.node for edge, _ in roots], {edge.node for edge in self._wanted})
        with set_grad_enabled(self._create):
            for edge, gradient in roots:
                self._add(edge, gradient)
            while self._queue:
                node = heapq.heappop(self._queue)[2]
                self._visit(node, self._gradients.pop(node))

    def _add(self, edge: Edge, gradient: TensorValue) -> None:
        if self._on_the_way is not None and edge.node not in self._on_the_way:
            return
        gradients = self._gradients.get(edge.node)
        if gradients is None:
            gradients = self._gradients[edge.node] = {}
            heapq.heappush(self._queue, (-edge.node.serial, next(self._order), edge.node))
        present = gradients.get(edge.place)
        gradients[edge.place] = gradient if present is None else cast("Any", arithmetic.add)(present, gradient)

    def _visit(self, node: Node, gradients: dict[int, Any]) -> None:
        for place, hooks in node.hooks.items():
            for hook in list(hooks.values()) if place in gradients else ():
                gradients[place] = _replaced(gradients[place], hook(gradients[place]))
        for place, reference in node.kept.items():
            tensor = reference()
            if tensor is not None and place in gradients:
                tensor.accumulate(gradients[place], self._create)
        if self._wanted is not None:
            for place, gradient in gradients.items():
                if Edge(node, place) in self._wanted:
                    self.found[Edge(node, place)] = gradient
        if self._on_the_way is not None and not _has_edge_to(node, self._on_the_way):
            return
        cotangents = [gradients.get(place) for place in range(len(node.result_kinds))]
        pulled = node.pull(cotangents, self._known)
        if not self._retain:
            node.release()
        for number, (edge, gradient) in enumerate(zip(node.edges, pulled, strict=True)):
            if edge is not None and gradient is not None:
                self._add(edge, _fitted(gradient, edge, node, number))


def _leading(nodes: Sequence[Node], wanted: Set[Node]) -> set[Node]:
    """Those of `nodes`, and of what they lead to, from which one of `wanted` is reached."""
    reached: set[Node] = set(nodes)
    pending = list(reached)
    while pending:
        for edge in pending.pop().edges:
            if edge is not None and edge.node not in reached:
                reached.add(edge.node)
                pending.append(edge.node)
    leading: set[Node] = set()
    for node in sorted(reached, key=lambda node: node.serial):  # what a node leads to is older
        if node in wanted or _has_edge_to(node, leading):
            leading.add(node)
    return leading


def _has_edge_to(node: Node, nodes: Set[Node]) -> bool:
    return any(edge is not None and edge.node in nodes for edge in node.edges)


def _replaced(gradient: TensorValue, by: Any) -> TensorValue:
    """What a hook made of a gradient."""
    if by is None:
        return gradient
    if not isinstance(by, TensorValue):
        raise TypeError(f"expected a hook to give a Tensor or None, but it gave a {type(by).__name__}")
    if by.ref.kind is not gradient.ref.kind:
        raise GradientError(f"a hook has changed a gradient {gradient.tensor_type} to {by.tensor_type}")
    return by


def _fitted(gradient: Any, edge: Edge, node: Node, number: int) -> TensorValue:
    """A gradient that a node gives, as what its edge leads to takes it: summed where that was repeated, converted."""
    kind = edge.node.result_kinds[edge.place]
    if not isinstance(gradient, TensorValue):
        raise GradientError(f"{node.name()} gave a {type(gradient).__name__} as gradient {number}: expected a Tensor")
    if kind is None or gradient.ref.kind is kind:
        return gradient
    sizes, wanted = gradient.tensor_type.sizes, kind.type.sizes
    lead = len(sizes) - len(wanted)
    if lead < 0 or any(n not in (1, m) for n, m in zip(wanted, sizes[lead:], strict=True)):
        raise GradientError(
            f"{node.name()} returned an invalid gradient at index {number} - got {list(sizes)} but expected shape "
            f"compatible with {list(wanted)}"
        )
    axes = [axis for axis, size in enumerate(sizes) if axis < lead or wanted[axis - lead] != size]
    summed = reductions.sum(gradient, axes) if axes else gradient
    converted: Any = elementwise.to(shapes.reshape(summed, wanted), kind.type.dtype.name)
    return moved(converted, kind.device)
