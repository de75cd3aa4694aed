"""From the loop IR to LLVM IR text, and from that to object code."""

from tenfoldc.emit.object_code import CompiledText, compile_text
from tenfoldc.emit.program import LlvmText, emit_program, emit_programs

__all__ = ["CompiledText", "LlvmText", "compile_text", "emit_program", "emit_programs"]
