"""The C interface, called from C: statuses for bad arguments, contexts, workspaces, and what the header says."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from artifact_support import add_entry, buffer, build, elementwise, manifest

from tenfold_rt import dtypes
from tenfold_rt.errors import ArtifactError, UnsupportedError
from tenfold_rt.manifest import Entry, Manifest
from tenfold_rt.status import Status
from tenfoldc.artifact import abi
from tenfoldc.artifact.header import header

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
ADD = "fadd float %e0, %e1"
SCRATCH = """
define internal i32 @"scratch.impl"(ptr %team, ptr %w, ptr %x, ptr %r0) nounwind {
  %v = load float, ptr %x
  %far = getelementptr i8, ptr %w, i64 996
  store volatile float %v, ptr %far
  %u = load volatile float, ptr %far
  store float %u, ptr %r0
  %address = ptrtoint ptr %w to i64
  %low = and i64 %address, 63
  %status = trunc i64 %low to i32
  ret i32 %status
}
"""
UPDATE = elementwise("update", "fsub float %e0, %e1", 4)


def run_c(
    directory: Path, text: str, described: Manifest, body: str, workspace: Mapping[str, int] | None = None
) -> list[str]:
    """Compile `body` as main() against the library and its header; return the words that it prints."""
    name = f"lib{described.library}.so"
    (directory / name).write_bytes(build(text, described, workspace))
    (directory / "library.h").write_text(header(described))
    source = directory / "main.c"
    source.write_text(f'#include "library.h"\n#include <stdio.h>\n#include <stdlib.h>\n{body}')
    program = directory / "main"
    rpath = f"-Wl,-rpath,{directory}"
    command = ["cc", "-std=c11", *STRICT, source, directory / name, rpath, "-o", program]
    built = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()


def test_c_calls_an_entry_and_bad_pointers_get_a_status(tmp_path: Path) -> None:
    body = """
int main(void) {
  float x[6] = {0, 1, 2, 3, 4, 5}, y[6] = {10, 10, 10, 10, 10, 10}, r[6] = {0}, both[12] = {0};
  float *null = NULL, *odd = (float *)(void *)((char *)both + 1);
  printf("%d ", add(x, y, r));
  printf("%g %g\\n", r[0], r[5]);
  printf("%d %d %d\\n", add(null, y, r), add(x, null, r), add(x, y, null));
  printf("%d %d %d\\n", add(odd, y, r), add(x, odd, r), add(x, y, odd));
  printf("%d %d %d %d\\n", add(x, y, x), add(both, y, both + 5), add(both + 5, y, both), add(both + 6, y, both));
  printf("%d\\n", add(x, x, r));
  printf("%d %d\\n", add_ctx(NULL, x, y, r), add_ctx(NULL, x, y, x));
  printf("%d\\n", demo_status(TENFOLD_EALIAS)[0] == 'a' && demo_manifest[0] == '{');
  return 0;
}"""
    words = run_c(tmp_path, elementwise("add", ADD, 6), manifest(add_entry("add", 2, 3)), body)
    assert words[:3] == ["0", "10", "15"]
    assert words[3:6] == [str(Status.EARG.value)] * 3
    assert words[6:9] == [str(Status.EALIGN.value)] * 3
    assert words[9:13] == [str(Status.EALIAS.value)] * 3 + ["0"]
    assert words[13:] == ["0", "0", str(Status.EALIAS.value), "1"]


def test_empty_tensors_may_be_null(tmp_path: Path) -> None:
    body = 'int main(void) { printf("%d\\n", add(NULL, NULL, NULL)); return 0; }'
    assert run_c(tmp_path, elementwise("add", ADD, 0), manifest(add_entry("add", 0, 3)), body) == ["0"]


def test_donated_pair_may_be_one_buffer_and_nothing_else(tmp_path: Path) -> None:
    body = """
int main(void) {
  float w[8] = {9, 9, 9, 9, 9}, g[4] = {1, 2, 3, 4}, r[4] = {0};
  printf("%d ", update(w, g, w));
  printf("%g ", w[3]);
  printf("%d ", update(w, g, r));
  printf("%g ", r[0]);
  printf("%d %d %d\\n", update(w, g, w + 1), update(w, g, g), update(w, w, w));
  return 0;
}"""
    described = manifest(add_entry("update", 4, donated=((0, 0),)))
    alias = str(Status.EALIAS.value)
    assert run_c(tmp_path, UPDATE, described, body) == ["0", "5", "0", "7", alias, alias, alias]


CONTEXT_BODY = """
static int taken, given;
static void *take(void *user, size_t bytes, size_t alignment) {
  taken++;
  if (user) return user == &taken ? NULL : user;
  return aligned_alloc(alignment, bytes);
}
static void give(void *user, void *block, size_t bytes) { given += bytes >= 1000; if (!user) free(block); }
int main(void) {
  float x = 3, r = 0;
  int64_t bytes = scratch_workspace(1);
  char *own = aligned_alloc(64, (size_t)bytes + 64);
  tenfold_ctx c = {sizeof c, own, (size_t)bytes, take, give, 0, NULL, NULL};
  printf("%d ", scratch_ctx(&c, &x, &r));
  printf("%g %d ", r, taken);
  c.workspace_bytes--;
  printf("%d ", scratch_ctx(&c, &x, &r));
  printf("%d %d ", taken, given);
  c.user = &taken;
  printf("%d ", scratch_ctx(&c, &x, &r));
  c.user = own + 8;
  printf("%d ", scratch_ctx(&c, &x, &r));
  printf("%d %d ", taken, given);
  c.workspace = own + 8, c.workspace_bytes = (size_t)bytes;
  printf("%d ", scratch_ctx(&c, &x, &r));
  c.workspace = NULL, c.alloc = NULL;
  printf("%d ", scratch_ctx(&c, &x, &r));
  c.size = 8;
  printf("%d ", scratch_ctx(&c, &x, &r));
  printf("%d %d\\n", scratch(&x, &r), scratch(&x, &r));
  free(own);
  return 0;
}"""


def test_workspace_comes_from_the_context_its_allocator_or_the_library(tmp_path: Path) -> None:
    described = manifest(Entry("scratch", (buffer("x"),), (buffer("r"),)))
    words = run_c(tmp_path, SCRATCH, described, CONTEXT_BODY, {"scratch": 1000})
    assert words[:6] == ["0", "3", "0", "0", "1", "1"]
    assert words[6] == str(Status.ENOMEM.value)
    assert words[7:10] == [str(Status.EALIGN.value), "3", "2"]
    assert words[10:] == [str(Status.EALIGN.value), "0", str(Status.EABI.value), "0", "0"]


def test_undefined_symbols_are_libc_s_alone(tmp_path: Path) -> None:
    described = manifest(Entry("scratch", (buffer("x"),), (buffer("r"),)))
    path = tmp_path / "lib.so"
    path.write_bytes(build(SCRATCH, described, {"scratch": 1000}))
    command = ["nm", "-D", "--undefined-only", str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert set(output.split()) == {"U", "aligned_alloc", "free"}


def test_closing_the_library_frees_its_workspace(tmp_path: Path) -> None:
    body = """
#include <dlfcn.h>
#include <malloc.h>
int main(int argc, char **argv) {
  (void)argc, (void)argv;
  float x = 1, r;
  size_t before = 0;
  for (int i = 0; i < 20; i++) {
    void *library = dlopen("PATH", RTLD_NOW | RTLD_LOCAL);
    int32_t (*f)(const float *, float *);
    *(void **)&f = dlsym(library, "scratch");
    if (f(&x, &r)) return 1;
    if (dlclose(library)) return 2;
    if (i == 10) before = mallinfo2().uordblks;
  }
  printf("%d\\n", mallinfo2().uordblks < before + 100000);
  return 0;
}""".replace("PATH", str(tmp_path / "copy.so"))
    described = manifest(Entry("scratch", (buffer("x"),), (buffer("r"),)))
    (tmp_path / "copy.so").write_bytes(build(SCRATCH, described, {"scratch": 100000}))
    assert run_c(tmp_path, SCRATCH, described, body, {"scratch": 100000}) == ["1"]


def test_manifest_is_read_back_from_c(tmp_path: Path) -> None:
    described = manifest(add_entry("add", 2, 3, doc="x + y"))
    path = tmp_path / "lib.so"
    path.write_bytes(build(elementwise("add", ADD, 6), described))
    text = ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(ctypes.CDLL(str(path)), "demo_manifest")))
    assert Manifest.from_json(text.decode()) == described


@pytest.mark.parametrize(
    ("compiler", "standard", "suffix"),
    [("cc", "c99", "c"), ("cc", "c11", "c"), ("cc", "gnu17", "c"), ("c++", "c++98", "cc"), ("c++", "c++20", "cc")],
)
def test_header_is_clean_for_any_names(tmp_path: Path, compiler: str, standard: str, suffix: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    odd = ("int", "x", "x", "ctx", "class", "größe", "", "9", "a b", "int32_t", "I", "float", "_Bool", "__x")
    parameters = tuple(buffer(name, dtypes.ALL[index % 9], 2) for index, name in enumerate(odd))
    names = ("exp", "exp", "y0", "main", "class", "add", "add_ctx", "<lambda>", "template", "memcpy", "9lives", "and")
    entries = [Entry(n, parameters, (buffer("out"),), doc="/* odd */ comment \\") for n in names]
    entries += [Entry("nothing", (), ())]
    for library in ("first", "second"):
        prefix = "" if library == "first" else "second_"
        changed = [Entry(prefix + entry.name, entry.parameters, entry.results, doc=entry.doc) for entry in entries]
        (tmp_path / f"{library}.h").write_text(header(manifest(*changed, name=library)))
    source = tmp_path / f"main.{suffix}"
    source.write_text(
        '#include "first.h"\n#include "second.h"\n#include "first.h"\n'
        "int main(void) { return nothing() || second_nothing(); }\n"
    )
    command = [compiler, f"-std={standard}", *STRICT, "-c", str(source), "-o", str(tmp_path / "main.o")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_context_in_the_header_is_the_one_compiled_in(tmp_path: Path) -> None:
    source = tmp_path / "main.c"
    source.write_text(
        header(manifest())
        + '_Static_assert(sizeof(tenfold_ctx) == 64 && offsetof(tenfold_ctx, user) == 56, "");\n'
        + '_Static_assert(offsetof(tenfold_ctx, alloc) == 24 && offsetof(tenfold_ctx, dealloc) == 32, "");\n'
    )
    subprocess.run(["cc", "-std=c11", *STRICT, "-fsyntax-only", str(source)], check=True)


def test_symbolic_sizes_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="symbolic"):
        abi.interface(manifest(Entry("f", (buffer("x", dtypes.f32, "n"),), ())), {"f": abi.Needs()})


def test_donation_between_unlike_tensors_is_refused() -> None:
    entry = Entry("f", (buffer("x", dtypes.f32, 2),), (buffer("y", dtypes.f32, 3),), donated=((0, 0),))
    with pytest.raises(ArtifactError, match="unlike"):
        abi.interface(manifest(entry), {"f": abi.Needs()})
