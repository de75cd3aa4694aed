"""The process that measures on a GPU; `python -m benchmarks gpu` starts it."""

from __future__ import annotations

import click
import torch

import tenfold as tn
from benchmarks.gpu.cases import CASES
from benchmarks.gpu.run import run_case
from benchmarks.gpu.table import GpuTable, measure
from benchmarks.measure import conditions
from benchmarks.report import write


@click.command()
@click.option("--only", default="")
@click.option("--peers", default="torch,compile,jax")
@click.option("--write", "to_file", is_flag=True)
def main(only: str, peers: str, to_file: bool) -> None:
    """Measure the cases whose name holds `only`; a line for each as it ends."""
    if not tn.cuda.is_available() or not torch.cuda.is_available():
        raise click.ClickException("there is no GPU that both Tenfold and PyTorch can use; see `tenfold doctor`")
    names = ["tenfold", *(name for name in peers.split(",") if name)]
    card = tn.cuda.get_device_properties()
    driver = ".".join(map(str, card.driver))
    about = f"{conditions(('numpy', 'torch', 'jax', 'llvmlite'))}; {card.name}, driver for CUDA {driver}"
    table = GpuTable(names, measure(), about)
    click.echo(f"{about}. {table.ceilings}\n\n{table.heading()}")
    for case in CASES:
        if only.lower() in case.full_name.lower():
            table.results.append(run_case(case, names))
            click.echo(table.line(table.results[-1]))
            if to_file:
                write(table)
    click.echo("\n" + table.notes())


main()
