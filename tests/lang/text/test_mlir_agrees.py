"""MLIR itself, as JAX ships it, takes every text that is printed, and what it prints in turn is read."""

from __future__ import annotations

import exported
import pytest
from hypothesis import given, settings
from strategies import programs

from tenfold.text.parser import parse
from tenfoldc.ir.core import Module
from tenfoldc.ir.printer import print_module

mlir = pytest.importorskip("jax._src.interpreters.mlir")


def assert_accepted(module: Module) -> None:
    context = mlir.make_ir_context()
    context.allow_unregistered_dialects = True
    for generic in (False, True):
        text = print_module(module, generic=generic, locations=True)
        with context, mlir.ir.Location.unknown(context):
            accepted = mlir.ir.Module.parse(text)
            assert accepted.operation.verify()
            theirs = (str(accepted), accepted.operation.get_asm(print_generic_op_form=True, enable_debug_info=True))
        assert [print_module(parse(again)) for again in theirs] == [print_module(module)] * 2


@settings(deadline=None, max_examples=40)
@given(programs())
def test_random_program_is_accepted(program) -> None:
    module, _ = program
    assert_accepted(module)


@pytest.mark.parametrize("name", exported.NAMES)
def test_exported_program_is_accepted(name: str) -> None:
    assert_accepted(parse(exported.text(name)))
