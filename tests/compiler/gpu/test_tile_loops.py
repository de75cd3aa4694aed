"""Launches of products in tiles as loop IR: what the printer, the verifier and the count of work make of them."""

from __future__ import annotations

from typing import Any

import pytest

import tenfold as tn
from tenfold_rt.errors import VerificationError
from tenfoldc.fuse import fuse
from tenfoldc.gpu.lower import gpu_rules
from tenfoldc.loops.ir import Launch, Local, MultiplyTiles, Program
from tenfoldc.loops.printer import print_program
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.loops.verifier import verify_program
from tenfoldc.loops.work import work
from tenfoldc.lower import lower
from tenfoldc.simplify import simplify
from tenfoldc.target import gpu
from tenfoldc.widen import widen


def lowered(architecture: str, *specs: tn.Spec) -> Program:
    def layer(a: Any, b: Any) -> Any:
        return tn.maximum(a @ b, 0)

    module = widen(tn.compile(layer).lower(*specs).module)
    function = simplify(module, module.entries[0])
    return lower(function, fuse(function, row_blocks=False), gpu_rules(gpu(architecture)))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90a"])
def test_the_text_names_the_tiling_the_factors_and_what_is_done_with_a_sum(architecture: str) -> None:
    program = lowered(architecture, tn.bf16[2048, 1024], tn.bf16[1024, 2048])
    verify_program(program)
    text = print_program(program)
    assert "launch product" in text
    assert ("bulk bf16 128x256x64" in text) == (architecture == "sm_90a")
    assert "bf16 " in text
    assert "stages" in text
    assert "lhs[" in text
    assert "8 along depth" in text
    assert "8 along lines" in text
    assert "value" in text


def test_work_is_counted_once_for_each_product_of_elements() -> None:
    (kernel,) = lowered("sm_80", tn.f32[100, 300], tn.f32[300, 70]).kernels
    counted = work(kernel)
    assert counted is not None
    assert counted.f32_flops == 2 * 100 * 300 * 70 + 100 * 70
    assert counted.bytes == 4 * (100 * 300 + 300 * 70 + 100 * 70)


def test_a_value_that_nothing_binds_is_refused() -> None:
    program = lowered("sm_80", tn.f32[100, 300], tn.f32[300, 70])
    (tiles,) = [each for each in walk_statements(program.kernels[0].body) if isinstance(each, MultiplyTiles)]
    object.__setattr__(tiles, "value", Local("other", tn.f32[()].type.dtype))
    with pytest.raises(VerificationError, match="is used where it is not bound"):
        verify_program(program)
    assert isinstance(program.kernels[0].body[0], Launch)
