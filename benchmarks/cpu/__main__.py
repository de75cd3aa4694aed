"""The process that measures; `python -m benchmarks cpu` starts it with cores and threads fixed."""

from __future__ import annotations

from dataclasses import replace

import click
import torch

from benchmarks.cpu.cases import CASES
from benchmarks.cpu.run import Effort, run_case
from benchmarks.cpu.table import CpuTable
from benchmarks.measure import conditions
from benchmarks.report import write
from tenfoldc import ceilings


@click.command()
@click.option("--only", default="")
@click.option("--threads", default=1)
@click.option("--peers", default="torch,compile,jax")
@click.option("--quick", is_flag=True)
@click.option("--write", "to_file", is_flag=True)
def main(only: str, threads: int, peers: str, quick: bool, to_file: bool) -> None:
    """Measure the cases whose name holds `only`; a line for each as it ends, then the means."""
    torch.set_num_threads(threads)
    names = ["tenfold", *(name for name in peers.split(",") if name)]
    measured = ceilings.measure(threads)
    table = CpuTable(names, threads, measured, conditions(("numpy", "torch", "jax", "llvmlite")))
    click.echo(f"{measured}\n\n{table.heading()}")
    for case in CASES:
        if only.lower() in case.full_name.lower():
            result = run_case(case, names, Effort.of(threads, quick=quick))
            table.results.append(result)
            click.echo(table.line(result))
    click.echo("\n" + table.means())
    if to_file:
        write(replace(table, ceilings=ceilings.higher(measured, ceilings.measure(threads))))


main()
