"""Tenfold and its peers: how each prepares a case and runs it, one call at a time, until its result is there."""

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


@dataclass(frozen=True, slots=True)
class Run:
    """A case made ready: `call(turn)` computes with one of the sets of inputs in turn, and waits for the result."""

    call: Callable[[int], Tree]


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
    function = case.functions["tenfold"]
    match case.mode:
        case Mode.CALL:
            return _rotating(tn.compile(function), inputs)
        case Mode.GRADIENT:
            numbers = tuple(range(len(inputs[0])))
            return _rotating(tn.compile(lambda *arguments: tn.grad(function, numbers)(*arguments)), inputs)
        case Mode.STEP:

            def step(state: Tree, *batch: Tree) -> Tree:
                loss, gradients = tn.value_and_grad(function)(state, *batch)
                return {name: state[name] - _RATE * gradients[name] for name in state}, loss

            return _stepping(tn.compile(step, donate=("state",)), inputs)


def eager(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    """PyTorch as it is."""
    return _torch(case, inputs, case.functions["torch"])


def compiled(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    """PyTorch through torch.compile."""
    torch.compiler.reset()
    return _torch(case, inputs, torch.compile(case.functions["torch"], dynamic=False))


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """A tensor over the memory of `array`; PyTorch takes bfloat16 through DLPack."""
    return torch.from_dlpack(tn.tensor(array)) if array.dtype == tn.bf16.dtype else torch.from_numpy(array)


def _torch(case: Case, inputs: Sequence[tuple[Tree, ...]], function: Computation) -> Run:
    tensors = tree_map(_tensor, tree_map(np.copy, list(inputs)))
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

    return Run(step)


def xla(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    """JAX through jax.jit."""
    function = case.functions["jax"]
    jax.config.update("jax_enable_x64", any(leaf.dtype == np.float64 for leaf in leaves(list(inputs))))
    arrays = tree_map(jax.numpy.asarray, list(inputs))
    match case.mode:
        case Mode.CALL:
            return _rotating(_ready(jax.jit(function)), arrays)
        case Mode.GRADIENT:
            numbers = tuple(range(len(inputs[0])))
            return _rotating(_ready(jax.jit(jax.grad(function, numbers))), arrays)
        case Mode.STEP:

            def step(state: Tree, *batch: Tree) -> Tree:
                loss, gradients = jax.value_and_grad(function)(state, *batch)
                return {name: state[name] - _RATE * gradients[name] for name in state}, loss

            return _stepping(_ready(jax.jit(step, donate_argnums=0)), arrays)


CONTESTANTS: dict[str, Prepare] = {"tenfold": tenfold, "torch": eager, "compile": compiled, "jax": xla}


def _ready(function: Computation) -> Computation:
    return lambda *arguments: jax.block_until_ready(function(*arguments))


def _rotating(function: Computation, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    count = len(inputs)
    return Run(lambda turn: function(*inputs[turn % count]))


def _stepping(step: Computation, inputs: Sequence[tuple[Tree, ...]]) -> Run:
    """Steps that hand the state on; the function may reuse its memory."""
    state = tree_map(lambda array: array.copy(), inputs[0][0])
    batches = [arguments[1:] for arguments in inputs]

    def call(turn: int) -> Tree:
        nonlocal state
        state, loss = step(state, *batches[turn % len(batches)])
        return state, loss

    return Run(call)
