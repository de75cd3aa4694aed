"""Several objects in one C program, called by several threads: their symbols do not clash, their memory is freed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import tenfold as tn
from tenfold.export import write_artifact

CC, VALGRIND = shutil.which("cc"), shutil.which("valgrind")

pytestmark = pytest.mark.skipif(CC is None, reason="needs a C compiler")

MAIN = """\
#include <pthread.h>
#include <stdlib.h>
#include "columns.h"
#include "rows.h"

static void *work(void *failures) {
  float *x = malloc(33 * 33 * sizeof *x), *y = malloc(33 * 33 * sizeof *y);
  for (int i = 0; i < 33 * 33; ++i) x[i] = (float)(i % 7);
  for (int turn = 0; turn < 20; ++turn) {
    if (columns(x, y) != TENFOLD_OK || rows(y, x) != TENFOLD_OK) *(int *)failures = 1;
  }
  float sum = 0;
  for (int j = 0; j < 33; ++j) sum += x[j];
  if (sum < 0.999f || sum > 1.001f) *(int *)failures = 1;
  free(x);
  free(y);
  return NULL;
}

int main(void) {
  pthread_t threads[4];
  int failures[4] = {0};
  if (columns_workspace(1) == 0 || rows_workspace(1) == 0) return 2;
  for (int i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, work, &failures[i]);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  return failures[0] || failures[1] || failures[2] || failures[3];
}
"""


def columns(x: tn.Tensor) -> tn.Tensor:
    return tn.softmax(x @ x.T, dim=0)


def rows(x: tn.Tensor) -> tn.Tensor:
    return tn.softmax(x @ x.T, dim=1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two objects, each with a workspace of its own, linked into one program."""
    directory = tmp_path_factory.mktemp("objects")
    for function in (columns, rows):
        module = tn.compile(function).lower(tn.f32[33, 33]).module
        write_artifact(module, directory / f"{function.__name__}.o", "x86-64-v3", kind="object")
    (directory / "main.c").write_text(MAIN)
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    command = [CC, *flags, "main.c", "columns.o", "rows.o", "-o", "program", "-lpthread", "-lm"]
    subprocess.run([str(part) for part in command], check=True, cwd=directory)
    return directory / "program"


def test_threads_get_right_results_from_both(program: Path) -> None:
    assert subprocess.run([program], check=False).returncode == 0


@pytest.mark.skipif(VALGRIND is None, reason="needs valgrind")
def test_no_invalid_access_and_nothing_kept_at_exit(program: Path) -> None:
    kinds = ["--show-leak-kinds=all", "--errors-for-leak-kinds=all"]
    command = [str(VALGRIND), "-q", "--error-exitcode=1", "--leak-check=full", *kinds, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
