"""`python -m benchmarks calls|startup|compile|memory|cpu|gpu|modules`: a table; `--write` puts it in RESULTS.md."""

from __future__ import annotations

import click

from benchmarks import calls, compile_times, memory, startup
from benchmarks.cpu.launch import launch, launch_on_gpu
from benchmarks.report import Section, write


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Time Tenfold beside the peers that are installed."""


def _finish(section: Section, to_file: bool) -> None:
    click.echo(section.text())
    if to_file:
        write(section)


_peers = click.option("--peers/--no-peers", default=True, show_default=True, help="Time other libraries too.")
_write = click.option("--write", "to_file", is_flag=True, help="Put the table into benchmarks/RESULTS.md.")


@main.command("calls")
@click.option("--rounds", default=50, show_default=True, type=click.IntRange(1), help="Batches timed per case.")
@_peers
@_write
def time_calls(rounds: int, peers: bool, to_file: bool) -> None:
    """What a call costs when there is next to nothing to compute."""
    _finish(calls.section(rounds, peers=peers), to_file)


@main.command("startup")
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1), help="Processes per case.")
@_peers
@_write
def time_startup(rounds: int, peers: bool, to_file: bool) -> None:
    """Import, and the first call of what is compiled already."""
    _finish(startup.section(rounds, peers=peers), to_file)


@main.command("compile")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Processes per case.")
@click.option(
    "--length",
    "lengths",
    multiple=True,
    type=click.IntRange(2),
    default=(250, 500, 1000, 2000, 4000),
    show_default=True,
)
@_peers
@_write
def time_compile(rounds: int, lengths: tuple[int, ...], peers: bool, to_file: bool) -> None:
    """A training step and chains of many operations, cold and from the cache."""
    _finish(compile_times.section(rounds, lengths, peers=peers), to_file)


@main.command("memory")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Processes per case.")
@_peers
@_write
def measure_memory(rounds: int, peers: bool, to_file: bool) -> None:
    """By how much first and later calls raise the memory of a process."""
    _finish(memory.section(rounds, peers=peers), to_file)


@main.command("gpu")
@click.option("--only", default="", help="Run the cases whose name holds this.")
@click.option("--peers", default="torch,compile,jax", show_default=True, help="Whom to time too.")
@_write
def time_gpu(only: str, peers: str, to_file: bool) -> None:
    """The same on a GPU: products, rows, attention and training steps, and how near they come to what the card does."""
    flags = ["--write"] if to_file else []
    raise SystemExit(launch_on_gpu(["--only", only, "--peers", peers, *flags]))


@main.command("cpu")
@click.option("--only", default="", help="Run the cases whose name holds this.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Cores and threads to use.")
@click.option("--peers", default="torch,compile,jax", show_default=True, help="Whom to time too.")
@click.option("--quick", is_flag=True, help="A few samples per case.")
@_write
def time_cpu(only: str, threads: int, peers: str, quick: bool, to_file: bool) -> None:
    """Kernels, programs and training steps, and how near they come to what the machine can do."""
    flags = [*(["--quick"] if quick else []), *(["--write"] if to_file else [])]
    raise SystemExit(launch(threads, ["--only", only, "--peers", peers, *flags]))


@main.command("modules")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Cores and threads to use.")
@click.option("--quick", is_flag=True, help="A few samples per case.")
@_write
def time_modules(threads: int, quick: bool, to_file: bool) -> None:
    """Training steps written with modules and optimisers, eager and compiled."""
    flags = [*(["--quick"] if quick else []), *(["--write"] if to_file else [])]
    raise SystemExit(launch(threads, flags, "benchmarks.cpu.modules"))


main()
