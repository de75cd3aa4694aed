"""Threads as a C program sees them: the library's own, the host's, and none left when the library is closed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.artifact.header import header
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.types import TensorType
from tenfoldc.pipeline import compile_module
from tenfoldc.target import host

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")

HEAD = """
#define _GNU_SOURCE
#include "library.h"
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
enum { SIDE = 400, CELLS = SIDE * SIDE };
static float x[CELLS], y[CELLS], expected[CELLS], result[CELLS];
static inline int threads(void) {
  int count = -2;
  DIR *tasks = opendir("/proc/self/task");
  while (readdir(tasks)) count++;
  closedir(tasks);
  return count;
}
static void fill(void) {
  for (int i = 0; i < CELLS; i++) { x[i] = (float)(i % 17) - 8; y[i] = (float)(i % 23) / 23; }
}
static inline int good(void) {
  int same = !memcmp(result, expected, sizeof result);
  memset(result, 0, sizeof result);
  return same;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `libdemo.so`, whose entry is relu(x @ y + x), and `library.h`."""
    builder = Builder()
    x, y = (builder.parameter(TensorType(dtypes.f32, (400, 400))) for _ in range(2))
    product = ops.add(ops.dot_general(x, y, lhs_contracting=[1], rhs_contracting=[0]), x)
    result = ops.maximum(product, ops.zeros_like(product))
    function = Function("layer", builder.region([x, y], [result]))
    code, manifest = compile_module(Module({"layer": function}, ("layer",)), target=host(), library="demo")
    directory = tmp_path_factory.mktemp("threads")
    (directory / "libdemo.so").write_bytes(code)
    (directory / "library.h").write_text(header(manifest))
    return directory


def run_c(directory: Path, tmp_path: Path, body: str, *, link: bool = True) -> list[str]:
    """Compile `body` against the library and run it; the words that it prints."""
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text(HEAD + body)
    command = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{directory}", str(source), "-pthread", "-ldl"]
    if link:
        command += [str(directory / "libdemo.so"), f"-Wl,-rpath,{directory}"]
    built = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    arguments = [str(program), str(directory / "libdemo.so")]
    return subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=120).stdout.split()


def test_a_context_gives_the_number_of_threads(library: Path, tmp_path: Path) -> None:
    body = """
int main(void) {
  fill();
  tenfold_ctx c = {.size = sizeof c, .num_threads = 3};
  int status = layer(x, y, expected);
  printf("%d %d ", status, threads());
  for (int i = 0; i < 50; i++) if (layer_ctx(&c, x, y, result) || !good()) return 1;
  printf("%d ", threads());
  c.num_threads = 1;
  status = layer_ctx(&c, x, y, result);
  printf("%d %d", status, good());
  return 0;
}"""
    assert run_c(library, tmp_path, body) == ["0", "1", "3", "0", "1"]


def test_the_host_may_bring_its_own_pool(library: Path, tmp_path: Path) -> None:
    body = """
struct work { tenfold_task task; void *arg; int32_t index; };
static int regions, user_seen;
static void *start(void *given) { struct work *w = given; w->task(w->arg, w->index); return NULL; }
static void pool(void *user, tenfold_task task, void *arg, int32_t count) {
  pthread_t members[8];
  struct work works[8];
  regions++;
  user_seen += user == &regions;
  for (int32_t i = 0; i < count; i++) {
    works[i] = (struct work){task, arg, count - 1 - i};
    if (pthread_create(&members[i], NULL, start, &works[i])) exit(2);
  }
  for (int32_t i = 0; i < count; i++) pthread_join(members[i], NULL);
}
int main(void) {
  fill();
  tenfold_ctx c = {.size = sizeof c, .num_threads = 4, .parallel_for = pool, .user = &regions};
  layer(x, y, expected);
  for (int i = 0; i < 20; i++) if (layer_ctx(&c, x, y, result) || !good()) return 1;
  printf("%d %d %d", regions >= 20, user_seen == regions, threads());
  return 0;
}"""
    assert run_c(library, tmp_path, body) == ["1", "1", "1"]


def test_a_workspace_must_have_room_for_each_thread(library: Path, tmp_path: Path) -> None:
    body = """
int main(void) {
  fill();
  size_t one = (size_t)layer_workspace(1), four = (size_t)layer_workspace(4);
  layer(x, y, expected);
  char *own = aligned_alloc(64, four + 64);
  memset(own, 7, four + 64);
  tenfold_ctx c = {.size = sizeof c, .workspace = own, .workspace_bytes = four, .num_threads = 4};
  for (int i = 0; i < 20; i++) if (layer_ctx(&c, x, y, result) || !good()) return 1;
  for (int i = 0; i < 64; i++) if (own[four + (size_t)i] != 7) return 2;
  printf("%d %d", four >= one, layer_workspace(0) == layer_workspace(1));
  free(own);
  return 0;
}"""
    assert run_c(library, tmp_path, body) == ["1", "1"]


def test_callers_at_one_time_and_forks_do_no_harm(library: Path, tmp_path: Path) -> None:
    body = """
static void *caller(void *wrong) {
  float *own = malloc(sizeof result);
  tenfold_ctx c = {.size = sizeof c, .num_threads = 3};
  for (int i = 0; i < 40; i++)
    if (layer_ctx(&c, x, y, own) || memcmp(own, expected, sizeof result)) *(int *)wrong = 1;
  free(own);
  return NULL;
}
int main(void) {
  pthread_t callers[4];
  int wrong = 0, failed = 0;
  fill();
  layer(x, y, expected);
  for (int i = 0; i < 4; i++) pthread_create(&callers[i], NULL, caller, &wrong);
  for (int i = 0; i < 6; i++) {
    int status, child = fork();
    if (!child) { caller(&wrong); _exit(wrong); }
    waitpid(child, &status, 0);
    failed |= status;
  }
  for (int i = 0; i < 4; i++) pthread_join(callers[i], NULL);
  printf("%d %d %d", wrong, failed, threads());
  return 0;
}"""
    assert run_c(library, tmp_path, body) == ["0", "0", "3"]


def test_closing_the_library_ends_its_threads(library: Path, tmp_path: Path) -> None:
    body = """
int main(int count, char **given) {
  (void)count;
  fill();
  tenfold_ctx c = {.size = sizeof c, .num_threads = 4};
  for (int turn = 0; turn < 30; turn++) {
    void *opened = dlopen(given[1], RTLD_NOW | RTLD_LOCAL);
    int32_t (*run)(const tenfold_ctx *, const float *, const float *, float *);
    *(void **)&run = dlsym(opened, "layer_ctx");
    if (!turn) run(NULL, x, y, expected);
    if (run(&c, x, y, result) || !good() || threads() != 4) return 1;
    if (turn % 3 == 0) usleep(20000);
    dlclose(opened);
    if (threads() != 1) return 2;
  }
  printf("%d", threads());
  return 0;
}"""
    assert run_c(library, tmp_path, body, link=False) == ["1"]


def test_the_library_needs_libc_alone(library: Path) -> None:
    needed = subprocess.run(["readelf", "-d", str(library / "libdemo.so")], capture_output=True, text=True, check=True)
    assert [line.split("[")[1].rstrip("]") for line in needed.stdout.splitlines() if "NEEDED" in line] == ["libc.so.6"]
