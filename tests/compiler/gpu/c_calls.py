"""C programs that call an entry of a library for GPUs: arrays in, what the program says and the results out.

The program is written from the header's names; arguments and results go through files.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt.c_names import library_names
from tenfold_rt.manifest import Buffer, Entry, Manifest
from tenfoldc.artifact.header import header

Array = NDArray[Any]

_HEAD = """\
#include "{header}.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cuInit(unsigned), cuDeviceGet(int *, int), cuDevicePrimaryCtxRetain(void **, int), cuCtxPushCurrent_v2(void *);
int cuMemAlloc_v2(uint64_t *, size_t), cuMemFree_v2(uint64_t);
int cuMemcpyHtoD_v2(uint64_t, const void *, size_t), cuMemcpyDtoHAsync_v2(void *, uint64_t, size_t, void *);
int cuStreamSynchronize(void *);

static void fail(const char *what) {{ printf("%s failed\\n", what); exit(3); }}
static inline void *filled(const char *path, size_t size) {{
  void *data = malloc(size + 1);
  FILE *file = fopen(path, "rb");
  if (!file || fread(data, 1, size, file) != size) fail(path);
  fclose(file);
  return data;
}}
static inline void saved(const char *path, const void *data, size_t size) {{
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(data, 1, size, file) != size) fail(path);
  fclose(file);
}}
static inline void *on_gpu(const void *data, size_t size) {{
  uint64_t address = 0;
  if (cuMemAlloc_v2(&address, size + 16) || (data && size && cuMemcpyHtoD_v2(address, data, size))) fail("copy");
  return (void *)address;
}}
static inline int told(int32_t status) {{
  printf("%d %s\\n", status, {status}(status));
  return status;
}}
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program printed, a status and its message a line, and the results as it left them."""

    lines: tuple[str, ...]
    results: tuple[Array, ...]


class CLibrary:
    """A library in a directory of its own."""

    def __init__(self, directory: Path, code: bytes, manifest: Manifest) -> None:
        self.directory, self.manifest = directory, manifest
        self.names = library_names(manifest)
        self.path = directory / f"lib{self.names.prefix}.so"
        self.path.write_bytes(code)
        (directory / f"{self.names.prefix}.h").write_text(header(manifest))

    def program(self, name: str, body: str, *, before: str = "", driver: bool = False) -> Path:
        """Compile a program whose `main` is `body`; `driver` links it to the driver, which is in the directory."""
        source = self.directory / f"{name}.c"
        head = _HEAD.format(header=self.names.prefix, status=self.names.status)
        source.write_text(f"{head}{before}\nint main(void) {{\n{body}\n  return 0;\n}}\n")
        command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread", str(source), "-o"]
        libraries = [f"-L{self.directory}", f"-l{self.names.prefix}", f"-Wl,-rpath,{self.directory}"]
        if driver:
            libraries.append(str(self.directory / "libcuda.so.1"))
        subprocess.run([*command, str(source.with_suffix("")), *libraries], check=True)
        return source.with_suffix("")

    def run(self, program: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Run a program to its end; the lines that it prints."""
        done = subprocess.run(
            [str(program)],
            cwd=self.directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return tuple(done.stdout.splitlines())

    def call(
        self,
        name: str,
        arrays: Sequence[Array],
        environment: Mapping[str, str],
        *,
        device: bool = False,
        in_place: bool = False,
        times: int = 1,
    ) -> Outcome:
        """Call an entry in a program of its own; `in_place` gives donated parameters' memory to the results."""
        index, entry = next((n, e) for n, e in enumerate(self.manifest.entries) if e.name == name)
        for number, (array, buffer) in enumerate(zip(arrays, entry.parameters, strict=True)):
            np.ascontiguousarray(array, buffer.dtype.numpy).tofile(self.directory / f"p{number}.bin")
        names = self.names.entries[index]
        function = names.device if device else names.plain
        body = _body(entry, str(function), device=device, in_place=in_place, times=times)
        lines = self.run(self.program(f"call_{name}", body, driver=device), environment)
        return Outcome(lines, tuple(self._result(number, buffer) for number, buffer in enumerate(entry.results)))

    def _result(self, number: int, buffer: Buffer) -> Array:
        return np.fromfile(self.directory / f"r{number}.bin", buffer.dtype.numpy).reshape(_shape(buffer))


def _shape(buffer: Buffer) -> tuple[int, ...]:
    return tuple(int(size) for size in buffer.shape)


def _bytes(buffer: Buffer) -> int:
    return buffer.dtype.itemsize * int(np.prod(_shape(buffer)))


def _body(entry: Entry, function: str, *, device: bool, in_place: bool, times: int) -> str:
    donated = {result: parameter for parameter, result in entry.donated} if in_place else {}
    lines = ["void *context = 0;"]
    if device:
        lines.append(
            'if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxPushCurrent_v2(context)) fail("gpu");'
        )
    for number, buffer in enumerate(entry.parameters):
        data = f'filled("p{number}.bin", {_bytes(buffer)})'
        lines.append(f"void *p{number} = {f'on_gpu({data}, {_bytes(buffer)})' if device else data};")
    for number, buffer in enumerate(entry.results):
        fresh = f"on_gpu(0, {_bytes(buffer)})" if device else f"calloc({_bytes(buffer)} + 1, 1)"
        lines.append(f"void *r{number} = {f'p{donated[number]}' if number in donated else fresh};")
    buffers = [f"p{number}" for number in range(len(entry.parameters))]
    arguments = [*buffers, *(f"r{number}" for number in range(len(entry.results))), *(["0"] if device else [])]
    lines += ["(void)context;"] + [f"told({function}({', '.join(arguments)}));"] * times
    for number, buffer in enumerate(entry.results):
        size = _bytes(buffer)
        if device and size:
            lines.append(f"void *h{number} = malloc({size});")
            lines.append(f'if (cuMemcpyDtoHAsync_v2(h{number}, (uint64_t)r{number}, {size}, 0)) fail("copy");')
        lines.append(f'saved("r{number}.bin", {"h" if device and size else "r"}{number}, {size});')
    return "\n".join(f"  {line}" for line in lines)
