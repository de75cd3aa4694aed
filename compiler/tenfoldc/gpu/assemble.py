"""PTX and an architecture in, the machine code of that architecture's GPUs out, with what each kernel takes.

NVIDIA's assembler makes it, without a driver: `ptxas` where it is on the path or in the wheel `nvidia-cuda-nvcc`, else
the library nvJitLink through cuda-python.  Neither need be there; a driver takes the PTX as it is, and assembles it
when a program begins.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tenfold_rt.errors import VerificationError
from tenfold_rt.frozen import frozen

_WHEEL_FILES = ("*/bin/ptxas",)
"""Where the wheel has it within the package `nvidia`: `cu13/bin`, or `cuda_nvcc/bin` in older ones."""


@frozen
class KernelUse:
    """What one kernel takes: registers of a thread, bytes of shared memory of a block known at compile time, bytes of
    a thread's stack, and bytes of registers that did not fit and are stored and loaded."""

    name: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_stores: int
    spill_loads: int


@frozen
class Assembled:
    """An ELF file of machine code, and what its kernels take, by name."""

    cubin: bytes
    kernels: dict[str, KernelUse]


Assembler = Callable[[str, str], tuple[bytes, str]]
"""PTX and an architecture in; the machine code and what was said of it out."""


def assembler_name() -> str | None:
    """The assembler that is used, for a person; None where there is none."""
    found = _assembler()
    return None if found is None else found[0]


def assemble(ptx: str, architecture: str) -> Assembled | None:
    """The machine code of a module of kernels, or None where no assembler is found.

    `VerificationError`, a defect of this compiler, where the assembler refuses the text or warns that it had to give up
    the order of matrix products (C75xx).
    """
    found = _assembler()
    if found is None:
        return None
    cubin, log = found[1](ptx, architecture)
    warnings = [line.strip() for line in log.splitlines() if re.search(r"\bC75\d\d\b", line)]
    if warnings:
        raise VerificationError(f"the assembler for {architecture} warns: {warnings[0]}")
    return Assembled(cubin, {use.name: use for use in _uses(log)})


@functools.cache
def _assembler() -> tuple[str, Assembler] | None:
    program = find_ptxas()
    if program is not None:
        return str(program), functools.partial(_run_ptxas, program)
    linker = _nvjitlink()
    return None if linker is None else ("nvJitLink", functools.partial(_run_nvjitlink, linker))


def find_ptxas() -> Path | None:
    """The program `ptxas`, from the path or from the wheel `nvidia-cuda-nvcc`."""
    on_path = shutil.which("ptxas")
    if on_path is not None:
        return Path(on_path)
    package = importlib.util.find_spec("nvidia")
    places = [] if package is None else package.submodule_search_locations or []
    return next((file for place in places for name in _WHEEL_FILES for file in Path(place).glob(name)), None)


def _run_ptxas(program: Path, ptx: str, architecture: str) -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory(prefix="tenfold-") as directory:
        text, code = Path(directory, "kernels.ptx"), Path(directory, "kernels.cubin")
        text.write_text(ptx, encoding="utf-8")
        command = [str(program), "-v", f"-arch={architecture}", "-o", str(code), str(text)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        log = done.stdout + done.stderr
        if done.returncode:
            raise _refusal(architecture, log)
        return code.read_bytes(), log


def _nvjitlink() -> Any:
    """The module of cuda-python for nvJitLink, where both are there."""
    try:
        module = importlib.import_module("cuda.bindings.nvjitlink")
        module.version()
    except (ImportError, RuntimeError):  # the second where the library itself is missing
        return None
    return module


def _run_nvjitlink(module: Any, ptx: str, architecture: str) -> tuple[bytes, str]:
    options = [f"-arch={architecture}", "-verbose"]
    content = ptx.encode()
    handle = module.create(len(options), options)
    try:
        module.add_data(handle, module.InputType.PTX, content, len(content), "kernels.ptx")
        module.complete(handle)
        cubin = bytearray(module.get_linked_cubin_size(handle))
        module.get_linked_cubin(handle, cubin)
        return bytes(cubin), _log(module.get_info_log_size, module.get_info_log, handle)
    except module.nvJitLinkError as error:
        raise _refusal(architecture, _log(module.get_error_log_size, module.get_error_log, handle)) from error
    finally:
        module.destroy(handle)


def _log(size: Callable[[int], int], read: Callable[[int, bytearray], None], handle: int) -> str:
    text = bytearray(max(size(handle), 1))
    read(handle, text)
    return text.rstrip(b"\0").decode(errors="replace")


def _refusal(architecture: str, log: str) -> VerificationError:
    found = re.search(r"line \d+; *(?:error|fatal).*", log) or re.search(r".*(?:error|fatal).*", log)
    said = " ".join(found[0].split()) if found else log.strip() or "it says nothing"
    return VerificationError(f"the assembler for {architecture} refuses the kernels: {said}")


_KERNEL = re.compile(r"Compiling entry function '(?P<name>[^']+)'")
_STACK = re.compile(r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill")
_REGISTERS = re.compile(r"Used (?P<registers>\d+) registers")
_SHARED = re.compile(r"(?P<shared>\d+)(\+\d+)? bytes smem")


def _uses(log: str) -> Iterator[KernelUse]:
    """What `-v` says of kernels: a line with the name, one of the stack, one of registers and shared memory."""
    name, stack = "", (0, 0, 0)
    for line in log.splitlines():
        if match := _KERNEL.search(line):
            name, stack = match["name"], (0, 0, 0)
        elif match := _STACK.search(line):
            stack = (int(match["stack"]), int(match["stores"]), int(match["loads"]))
        elif name and (match := _REGISTERS.search(line)):
            shared = _SHARED.search(line)
            yield KernelUse(name, int(match["registers"]), int(shared["shared"]) if shared else 0, *stack)
            name = ""
