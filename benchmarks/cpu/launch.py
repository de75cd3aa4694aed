"""Starts the process that measures: which cores it may use and how many threads libraries start is fixed before
any of them is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from benchmarks.measure import ROOT


def launch(threads: int, arguments: Sequence[str], module: str = "benchmarks.cpu") -> int:
    """Run `python -m` `module` with `arguments` on `threads` cores; its exit status.

    Tenfold's cache starts empty, so that what is measured is what the compiler makes today.
    """
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    path = os.pathsep.join([str(ROOT), *(entry for entry in sys.path if entry)])
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "TENFOLD_CACHE_DIR": cache,
            "TENFOLD_NUM_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "JAX_PLATFORMS": "cpu",
        }
        if threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        command = [sys.executable, "-m", module, "--threads", str(threads), *arguments]
        return subprocess.run(command, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, cores)).returncode


def launch_on_gpu(arguments: Sequence[str]) -> int:
    """Run `python -m benchmarks.gpu` with `arguments` on all cores; its exit status.

    JAX takes memory as it needs it, not most of the card's at once.
    """
    path = os.pathsep.join([str(ROOT), *(entry for entry in sys.path if entry)])
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "TENFOLD_CACHE_DIR": cache,
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        }
        return subprocess.run([sys.executable, "-m", "benchmarks.gpu", *arguments], env=environment).returncode
