"""Tenfold and its peers on a GPU: inputs are on the card before anything is timed, and a call does not wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import torch
from numpy.typing import NDArray

import tenfold as tn
from benchmarks.cpu.case import Case, Computation, Mode, Tree
from benchmarks.cpu.contestants import tree_map

_RATE = 1e-3
"""How far a training step moves the state."""


@dataclass(frozen=True, slots=True)
class GpuRun:
    """A case made ready: `call(turn)` asks for one of the sets of inputs in turn, `finish(result)` waits for it."""

    call: Callable[[int], Tree]
    finish: Callable[[Tree], None]


Prepare = Callable[[Case, Sequence[tuple[Tree, ...]]], GpuRun]


def tenfold(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> GpuRun:
    """Compiled by Tenfold, called with tensors on the GPU."""
    function, mode = case.functions["tenfold"], case.mode
    tensors = tree_map(lambda array: tn.tensor(array).to("cuda"), list(inputs))

    def finish(_: Tree) -> None:
        tn.cuda.synchronize()

    if mode is Mode.STEP:

        def step(state: Tree, *batch: Tree) -> Tree:
            loss, gradients = tn.value_and_grad(function)(state, *batch)
            return {name: state[name] - _RATE * gradients[name] for name in state}, loss

        return _stepping(tn.compile(step, donate=("state",)), tensors, finish)
    if mode is Mode.GRADIENT:
        numbers = tuple(range(len(inputs[0])))
        return _rotating(tn.compile(lambda *given: tn.grad(function, numbers)(*given)), tensors, finish)
    return _rotating(tn.compile(function), tensors, finish)


def eager(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> GpuRun:
    """PyTorch as it is."""
    return _torch(case, inputs, case.functions["torch"])


def compiled(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> GpuRun:
    """PyTorch through torch.compile, with CUDA graphs."""
    torch.compiler.reset()
    return _torch(case, inputs, torch.compile(case.functions["torch"], dynamic=False))


def _torch_tensor(array: NDArray[Any]) -> torch.Tensor:
    """A tensor on the GPU; PyTorch takes bfloat16 of NumPy's as its bits."""
    if array.dtype == tn.bf16.dtype:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).cuda()
    return torch.from_numpy(array).cuda()


def _torch(case: Case, inputs: Sequence[tuple[Tree, ...]], function: Computation) -> GpuRun:
    tensors = tree_map(_torch_tensor, list(inputs))

    def finish(_: Tree) -> None:
        torch.cuda.synchronize()

    if case.mode is Mode.CALL:
        return _rotating(torch.inference_mode()(function), tensors, finish)
    if case.mode is Mode.GRADIENT:
        tensors = tree_map(lambda tensor: tensor.requires_grad_(), tensors)
        return _rotating(lambda *given: torch.autograd.grad(function(*given), given), tensors, finish)
    state = tree_map(lambda tensor: tensor.requires_grad_(), tensors[0][0])
    parameters = list(state.values())

    def step(turn: int) -> Tree:
        loss = function(state, *tensors[turn % len(tensors)][1:])
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradients, alpha=-_RATE)
        return state, loss

    return GpuRun(step, finish)


def xla(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> GpuRun:
    """JAX through jax.jit; products of f32 are f32, as everywhere here."""
    function = case.functions["jax"]
    jax.config.update("jax_default_matmul_precision", "highest")
    arrays = tree_map(lambda array: jax.device_put(array, jax.devices("gpu")[0]), list(inputs))

    def finish(result: Tree) -> None:
        jax.block_until_ready(result)

    if case.mode is Mode.STEP:

        def step(state: Tree, *batch: Tree) -> Tree:
            loss, gradients = jax.value_and_grad(function)(state, *batch)
            return {name: state[name] - _RATE * gradients[name] for name in state}, loss

        return _stepping(jax.jit(step, donate_argnums=0), arrays, finish)
    if case.mode is Mode.GRADIENT:
        numbers = tuple(range(len(inputs[0])))
        return _rotating(jax.jit(jax.grad(function, numbers)), arrays, finish)
    return _rotating(jax.jit(function), arrays, finish)


CONTESTANTS: dict[str, Prepare] = {"tenfold": tenfold, "torch": eager, "compile": compiled, "jax": xla}


def host(tree: Tree) -> Tree:
    """A result as arrays of NumPy's; floats of 16 bits in f32."""
    if isinstance(tree, torch.Tensor):
        tree = tree.detach().float() if tree.is_floating_point() else tree.detach()
        return tree.cpu().numpy()
    if isinstance(tree, tn.Tensor):
        tree = tree.detach().cpu().numpy()
    array = np.asarray(tree)
    return array.astype(np.float32) if array.dtype == tn.bf16.dtype else array


def _rotating(function: Computation, inputs: Sequence[tuple[Tree, ...]], finish: Callable[[Tree], None]) -> GpuRun:
    count = len(inputs)
    return GpuRun(lambda turn: function(*inputs[turn % count]), finish)


def _stepping(step: Computation, inputs: Sequence[tuple[Tree, ...]], finish: Callable[[Tree], None]) -> GpuRun:
    """Steps that hand the state on; the function may reuse its memory."""
    state = inputs[0][0]
    batches = [arguments[1:] for arguments in inputs]

    def call(turn: int) -> Tree:
        nonlocal state
        state, loss = step(state, *batches[turn % len(batches)])
        return state, loss

    return GpuRun(call, finish)
