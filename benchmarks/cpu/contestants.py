"""Tenfold and its peers: how each prepares a case and runs it, one call at a time, until its result is there.

`tenfold_calls`, `torch_calls` and `xla_calls` take inputs wherever they lie, and serve the benchmarks of GPUs too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import torch
from numpy.typing import NDArray

import tenfold as tn
from benchmarks.cpu.case import Case, Computation, Mode, Tree

_RATE = 1e-3
"""How far a training step moves the state."""


Calls = Callable[[int], Tree]
"""Computes with one of the sets of inputs in turn, by number."""


@dataclass(frozen=True, slots=True)
class Run:
    """A case made ready: `call(turn)` computes with one of the sets of inputs in turn, and waits for the result."""

    call: Calls


Prepare = Callable[[Case, Sequence[tuple[Tree, ...]]], Run]


def tree_map(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """`tree` with `function` applied to each array."""
    if isinstance(tree, tuple | list):
        return type(tree)(tree_map(function, part) for part in tree)
    if isinstance(tree, Mapping):
        return {key: tree_map(function, part) for key, part in tree.items()}
    return function(tree)


def leaves(tree: Tree) -> list[NDArray[Any]]:
    """The arrays of a tree, as NumPy's, dicts in order of their keys; those of 16 bits in f32."""
    if isinstance(tree, tuple | list):
        return [leaf for part in tree for leaf in leaves(part)]
    if isinstance(tree, Mapping):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, torch.Tensor):
        tree = (tree.float() if tree.dtype is torch.bfloat16 else tree).detach()
    array = np.asarray(tree)
    return [array.astype(np.float32) if array.dtype == tn.bf16.dtype else array]


def tenfold(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    """Compiled by Tenfold, called with NumPy arrays."""
    return Run(tenfold_calls(case, tree_map(np.copy, list(inputs))))


def eager(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    """PyTorch as it is."""
    return _torch(case, inputs, case.functions["torch"])


def compiled(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    """PyTorch through torch.compile."""
    torch.compiler.reset()
    return _torch(case, inputs, torch.compile(case.functions["torch"], dynamic=False))


def xla(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    """JAX through jax.jit."""
    jax.config.update("jax_enable_x64", any(leaf.dtype == np.float64 for leaf in leaves(list(inputs))))
    calls = xla_calls(case, tree_map(jax.numpy.array, list(inputs)))
    return Run(lambda turn: jax.block_until_ready(calls(turn)))


CONTESTANTS: dict[str, Prepare] = {"tenfold": tenfold, "torch": eager, "compile": compiled, "jax": xla}


def tenfold_calls(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> Calls:
    """Compiled by Tenfold for where the inputs are; a training step takes the memory of its state."""
    function = case.functions["tenfold"]
    match case.mode:
        case Mode.CALL:
            return _rotating(tn.compile(function), inputs)
        case Mode.GRADIENT:
            numbers = tuple(range(len(inputs[0])))
            return _rotating(tn.compile(lambda *arguments: tn.grad(function, numbers)(*arguments)), inputs)
        case Mode.STEP:
            step = _descent(tn.value_and_grad(function))
            return _stepping(tn.compile(step, donate=("state",)), inputs)


def torch_calls(case: Case, tensors: Sequence[tuple[Tree, ...]], function: Computation) -> Calls:
    """PyTorch's `function` with its autograd; a training step changes its state in place."""
    if case.mode is Mode.CALL:
        return _rotating(torch.inference_mode()(function), tensors)
    if case.mode is Mode.GRADIENT:
        tensors = tree_map(lambda tensor: tensor.requires_grad_(), tensors)
        return _rotating(lambda *arguments: torch.autograd.grad(function(*arguments), arguments), tensors)
    state = tree_map(lambda tensor: tensor.requires_grad_(), tensors[0][0])
    parameters = list(state.values())

    def step(turn: int) -> Tree:
        loss = function(state, *tensors[turn % len(tensors)][1:])
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradients, alpha=-_RATE)
        return state, loss

    return step


def xla_calls(case: Case, arrays: Sequence[tuple[Tree, ...]]) -> Calls:
    """JAX through jax.jit where the arrays are, without waiting; a training step takes the memory of its state."""
    function = case.functions["jax"]
    match case.mode:
        case Mode.CALL:
            return _rotating(jax.jit(function), arrays)
        case Mode.GRADIENT:
            return _rotating(jax.jit(jax.grad(function, tuple(range(len(arrays[0]))))), arrays)
        case Mode.STEP:
            return _stepping(jax.jit(_descent(jax.value_and_grad(function)), donate_argnums=0), arrays)


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """A tensor over the memory of `array`; PyTorch takes bfloat16 through DLPack."""
    return torch.from_dlpack(tn.tensor(array)) if array.dtype == tn.bf16.dtype else torch.from_numpy(array)


def _torch(case: Case, inputs: Sequence[tuple[Tree, ...]], function: Computation) -> Run:
    return Run(torch_calls(case, tree_map(_tensor, tree_map(np.copy, list(inputs))), function))


def _descent(value_and_gradients: Computation) -> Computation:
    """A step of gradient descent, given the loss and its gradients by the state."""

    def step(state: Tree, *batch: Tree) -> Tree:
        loss, gradients = value_and_gradients(state, *batch)
        return {name: state[name] - _RATE * gradients[name] for name in state}, loss

    return step


def _rotating(function: Computation, inputs: Sequence[tuple[Tree, ...]]) -> Calls:
    count = len(inputs)
    return lambda turn: function(*inputs[turn % count])


def _stepping(step: Computation, inputs: Sequence[tuple[Tree, ...]]) -> Calls:
    """Steps that hand the state on; the function may reuse the memory of the first set's state."""
    state = inputs[0][0]
    batches = [arguments[1:] for arguments in inputs]

    def call(turn: int) -> Tree:
        nonlocal state
        state, loss = step(state, *batches[turn % len(batches)])
        return state, loss

    return call
