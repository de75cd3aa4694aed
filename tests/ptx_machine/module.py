"""A PTX file made ready to run."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from ptx_machine.code import Code
from ptx_machine.errors import PtxError
from ptx_machine.launch import Launch, parameter_bytes
from ptx_machine.memory import Memory
from ptx_machine.parsing import parse
from ptx_machine.schedules import Schedule


class Module:
    """The kernels of a PTX file.

    Raises:
        UnknownInstruction: the file has an instruction, a modifier or a directive that the interpreter does not know.
    """

    def __init__(self, ptx_text: str) -> None:
        self._file = parse(ptx_text)
        self._code = Code(self._file)
        self._variables: weakref.WeakKeyDictionary[Memory, dict[str, int]] = weakref.WeakKeyDictionary()

    @property
    def kernels(self) -> tuple[str, ...]:
        """The names of the kernels."""
        return tuple(self._code.kernels)

    def parameter_sizes(self, kernel_name: str) -> tuple[int, ...]:
        """The bytes of each parameter of a kernel."""
        return tuple(parameter.nbytes for parameter in self._code.kernels[kernel_name].parameters)

    def launch(
        self,
        kernel_name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: Sequence[int | float | bytes],
        memory: Memory,
        shared_bytes: int = 0,
        schedule: Schedule | None = None,
    ) -> None:
        """Run a kernel to its end.

        Integers, pointers among them, and floats are encoded at the width of their parameter; a parameter that is an
        array of bytes takes `bytes`.  `shared_bytes` is the size of the dynamic shared memory.

        Raises:
            PtxError: the program has a defect that showed under this schedule.
        """
        if kernel_name not in self._code.kernels:
            raise PtxError(f"no kernel {kernel_name!r} among {', '.join(self.kernels)}")
        kernel = self._code.kernels[kernel_name]
        Launch(
            self._code,
            kernel,
            grid,
            block,
            parameter_bytes(kernel, arguments),
            memory,
            self._place_variables(memory),
            shared_bytes,
            schedule or Schedule(),
        ).run()

    def _place_variables(self, memory: Memory) -> dict[str, int]:
        """The addresses of the file's global and constant variables, which are placed once in each memory."""
        if memory in self._variables:
            return self._variables[memory]
        places: dict[str, int] = {}
        variables = [each for each in self._file.variables if each.space in ("global", "const")]
        for variable in variables:
            places[variable.name] = memory.allocate(variable.nbytes, constant=variable.space == "const")
        for variable in variables:
            contents = bytearray(variable.contents or bytes(variable.nbytes))
            for offset, name, addend in variable.pointers:
                contents[offset : offset + 8] = (places[name] + addend).to_bytes(8, "little")
            memory.write(places[variable.name], bytes(contents))
        self._variables[memory] = places
        return places
