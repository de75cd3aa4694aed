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
from benchmarks.cpu.case import Case, Computation, Tree
from benchmarks.cpu.contestants import Calls, tenfold_calls, torch_calls, tree_map, xla_calls


@dataclass(frozen=True, slots=True)
class GpuRun:
    """A case made ready: `call(turn)` asks for one of the sets of inputs in turn, `finish(result)` waits for it."""

    call: Calls
    finish: Callable[[Tree], None]


Prepare = Callable[[Case, Sequence[tuple[Tree, ...]]], GpuRun]


def tenfold(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> GpuRun:
    """Compiled by Tenfold, called with tensors on the GPU."""
    tensors = tree_map(lambda array: tn.tensor(array).to("cuda"), list(inputs))
    return GpuRun(tenfold_calls(case, tensors), lambda _: tn.cuda.synchronize())


def eager(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> GpuRun:
    """PyTorch as it is."""
    return _torch(case, inputs, case.functions["torch"])


def compiled(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> GpuRun:
    """PyTorch through torch.compile."""
    torch.compiler.reset()
    return _torch(case, inputs, torch.compile(case.functions["torch"], dynamic=False))


def xla(case: Case, inputs: Sequence[tuple[Tree, ...]]) -> GpuRun:
    """JAX through jax.jit; products of f32 are f32, as everywhere here."""
    jax.config.update("jax_default_matmul_precision", "highest")
    arrays = tree_map(lambda array: jax.device_put(array, jax.devices("gpu")[0]), list(inputs))
    return GpuRun(xla_calls(case, arrays), lambda result: jax.block_until_ready(result))


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


def _torch_tensor(array: NDArray[Any]) -> torch.Tensor:
    """A tensor on the GPU; PyTorch takes bfloat16 of NumPy's as its bits."""
    if array.dtype == tn.bf16.dtype:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).cuda()
    return torch.from_numpy(array).cuda()


def _torch(case: Case, inputs: Sequence[tuple[Tree, ...]], function: Computation) -> GpuRun:
    calls = torch_calls(case, tree_map(_torch_tensor, list(inputs)), function)
    return GpuRun(calls, lambda _: torch.cuda.synchronize())
