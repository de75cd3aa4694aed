"""From the loop IR to LLVM IR text, and from that to object code."""

from tenfoldc.emit.object_code import CompiledText, ObjectStore, compile_text, compile_units
from tenfoldc.emit.program import LlvmText, emit_program, emit_programs
from tenfoldc.emit.units import Unit, divide

__all__ = [
    "CompiledText",
    "LlvmText",
    "ObjectStore",
    "Unit",
    "compile_text",
    "compile_units",
    "divide",
    "emit_program",
    "emit_programs",
]
