"""`tenfold compile`: a source file in; a library and header, or the text of a stage, out."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tenfold.cli.sources import read_module, split_source
from tenfold.export import SUFFIXES, header_path, write_artifact, write_files
from tenfold.program import compiler, known_tuning, refuse_uncompiled
from tenfold_rt.cpu import X86_64_LEVELS, X86_64_PROCESSORS
from tenfold_rt.errors import RequestError
from tenfoldc import target as targets
from tenfoldc.ir.core import Module

TEXTS = {"llvm": "llvm", "asm": "asm", "loops": "loops", "stablehlo": "tensor"}
KINDS = (*SUFFIXES, *TEXTS)
CPUS = ("native", *X86_64_LEVELS, *X86_64_PROCESSORS)


def compile_file(
    source: str,
    output: Path | None,
    arguments: Sequence[str],
    *,
    emit: str,
    cpu: str,
    target: str = "cpu",
    verbose: bool = False,
) -> None:
    """Do what `tenfold compile` was asked; `TenfoldError` says why it cannot be done."""
    machine = target_name(target, cpu)
    module, passed_over = read_module(source, arguments)
    observe = _show if verbose else None
    if emit in TEXTS:
        _write_text(module, TEXTS[emit], machine, output, observe)
    else:
        path = output or Path(f"lib{split_source(source)[0].stem}{SUFFIXES[emit]}")
        write_artifact(module, path, machine, kind=emit, observe=observe)
        size = path.stat().st_size / 1024
        click.echo(f"wrote {path} ({size:.0f} KiB: {', '.join(module.entries)}) and {header_path(path)}")
    for name in passed_over:
        click.echo(f"tenfold: left out {name}, which lacks specs", err=True)


def target_name(target: str, cpu: str) -> str:
    """What `--target` and `--cpu` name together; `RequestError` where they contradict each other."""
    if target == "cpu":
        return cpu
    if target != "cuda" and not target.startswith("cuda:"):
        raise RequestError(f"there is no target {target!r}", mend="choose cpu, cuda, or cuda:sm_90a and the like")
    if cpu != CPUS[0]:
        raise RequestError(f"--cpu {cpu} is not for --target {target}", mend="give one of them")
    return target


def _write_text(
    module: Module, stage: str, target: str, output: Path | None, observe: Callable[..., None] | None
) -> None:
    refuse_uncompiled(module)
    machine = targets.named(target)
    if machine.is_gpu:
        gpu = importlib.import_module("tenfoldc.gpu.pipeline")
        text = gpu.stage_text(module, stage, target=machine, observe=observe)
    else:
        text = compiler().stage_text(module, stage, target=machine, observe=observe, tuning=known_tuning(machine))
    if output is None:
        click.echo(text)
    else:
        write_files({output: (text.encode(), 0o644)})


def _show(report: Any) -> None:
    click.echo(f"{1000 * report.seconds:9.1f} ms  {report.stage:10s} {report.subject}", err=True)
