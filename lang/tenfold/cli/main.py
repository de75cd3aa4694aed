"""The `tenfold` command: parses what is asked, and turns every refusal into one line and exit status 2."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from tenfold.cli import compiling, inspecting, machine, running, tuning
from tenfold_rt.cache import Cache
from tenfold_rt.errors import TenfoldError
from tenfold_rt.version import __version__

BAD_REQUEST = 2


class _Group(click.Group):
    """Commands whose `TenfoldError`s, and what the system refuses, are messages for the user, not tracebacks."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TenfoldError as error:
            click.echo(f"tenfold: {error}", err=True)
        except BrokenPipeError:  # whoever read what is printed has seen enough
            raise
        except OSError as error:
            place = "" if error.filename is None else f"{error.filename}: "
            click.echo(f"tenfold: {place}{error.strerror or error}", err=True)
            _forget_unwritten_text()
        return ctx.exit(BAD_REQUEST)


def _forget_unwritten_text() -> None:
    """Let the end of the process not try again to write what standard output did not take."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tenfold")
def cli() -> None:
    """Compile tensor programs ahead of time: Python or StableHLO in, one shared library and its C header out."""


@cli.command("compile")
@click.argument("source", metavar="FILE[:NAME]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write; text goes to standard output.")
@click.option(
    "--arg",
    "arguments",
    metavar="NAME=SPEC",
    multiple=True,
    help="The type of a parameter that has no annotation, as in x=f32[32,784].  Repeatable; needs FILE:NAME.",
)
@click.option(
    "--emit",
    type=click.Choice(compiling.KINDS),
    default="so",
    show_default=True,
    help="so: library and header; object: for a linker, and header; the rest: text of that stage.",
)
@click.option(
    "--cpu",
    type=click.Choice(compiling.CPUS),
    default="native",
    show_default=True,
    help="The processor to compile for: this machine's, or any that has the level.",
)
@click.option(
    "--target",
    metavar="cpu|cuda[:ARCH]",
    default="cpu",
    show_default=True,
    help="cuda: for GPUs of NVIDIA's, sm_80 and later; cuda:sm_90a and the like: for one architecture.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show each stage and the time it took.")
def compile_command(
    source: str, output: Path | None, arguments: tuple[str, ...], emit: str, cpu: str, target: str, verbose: bool
) -> None:
    """Compile the functions of FILE into one library and one C header.

    FILE.py: every function under @tn.compile whose parameters all have specs, or NAME alone.  FILE.mlir: every
    public function.  The library for FILE is libFILE.so, unless -o says otherwise.

    \b
    tenfold compile model.py -o libmodel.so
    tenfold compile model.py:predict --arg x=f32[32,784]
    tenfold compile model.mlir --emit llvm
    tenfold compile model.py --target cuda:sm_90a
    """
    compiling.compile_file(source, output, arguments, emit=emit, cpu=cpu, target=target, verbose=verbose)


@cli.command("run")
@click.argument("source", metavar="FILE.mlir[:NAME]")
@click.option("--inputs", type=click.Path(path_type=Path), help="An .npz file with an array for each parameter.")
@click.option("--outputs", type=click.Path(path_type=Path), help="Where to write the results, as an .npz file.")
def run_command(source: str, inputs: Path | None, outputs: Path | None) -> None:
    """Compile a StableHLO function and run it once.

    Arrays are matched to parameters by name if all names match, else by their order in the file.  Without
    --outputs the results are printed.
    """
    running.run_file(source, inputs, outputs)


@cli.command("inspect")
@click.argument("source", metavar="FILE[:NAME]|LIBRARY.so")
@click.option("--arg", "arguments", metavar="NAME=SPEC", multiple=True, help="As in `tenfold compile`.")
@click.option("--target", metavar="cpu|cuda[:ARCH]", default="cpu", show_default=True, help="As in `tenfold compile`.")
def inspect_command(source: str, arguments: tuple[str, ...], target: str) -> None:
    """Say how much memory each function of FILE takes when it is called, or what a compiled LIBRARY.so holds.

    `live` is the most of the workspace that holds something at one moment; no placement could need less.  `peak` is
    all that a call on one thread has in memory; `thread` is what each further thread adds.  With `--target cuda` the
    table is of the GPU's memory, and of what NVIDIA's assembler, where it is at hand, says that each kernel takes.
    """
    for line in inspecting.findings(source, arguments, target):
        click.echo(line)


@cli.command("tune")
@click.argument("source", metavar="FILE[:NAME]")
@click.option("--arg", "arguments", metavar="NAME=SPEC", multiple=True, help="As in `tenfold compile`.")
def tune_command(source: str, arguments: tuple[str, ...]) -> None:
    """Measure on this machine what decides how fast the kernels of FILE are, and keep the answers.

    Programs that have such kernels are compiled accordingly from then on; results may round otherwise.  `tenfold cache
    clear` forgets the answers.
    """
    tuning.tune_file(source, arguments)


@cli.command("profile")
@click.argument("source", metavar="FILE.py|FILE.mlir[:NAME]")
@click.argument("arguments", metavar="[-- ARGUMENTS...]", nargs=-1)
@click.option("--top", type=click.IntRange(min=1), help="Show so many kernels, those that took longest.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON; what the script prints goes to standard error.")
@click.option("--inputs", type=click.Path(path_type=Path), help="An .npz file, as for `tenfold run` [default: random].")
@click.option("--calls", type=click.IntRange(min=1), help="How often to call a function of FILE.mlir  [default: 20].")
def profile_command(
    source: str, arguments: tuple[str, ...], top: int | None, as_json: bool, inputs: Path | None, calls: int | None
) -> None:
    """Run FILE and tell which kernels its time went to, and how near each is to the limits of this machine.

    FILE.py is run as a script, with the ARGUMENTS; every compiled function that it calls is in the table.

    \b
    tenfold profile train.py --top 10
    tenfold profile train.py -- --epochs 3
    tenfold profile model.mlir:predict --inputs inputs.npz
    """
    profiler = importlib.import_module("tenfold.cli.profiling")  # it imports LLVM, which no other command must
    profiler.profile(source, arguments, inputs=inputs, calls=calls, top=top, as_json=as_json)


@cli.group("cache", invoke_without_command=True)
@click.pass_context
def cache_command(ctx: click.Context) -> None:
    """Where compiled code is kept, how much there is of it, and clearing it."""
    if ctx.invoked_subcommand is None:
        cache = Cache()
        click.echo(f"{cache.directory}: {_amount(cache)}")


@cache_command.command("where")
def cache_where() -> None:
    """Print the directory that compiled code is kept in (set TENFOLD_CACHE_DIR to move it)."""
    click.echo(Cache().directory)


@cache_command.command("size")
def cache_size() -> None:
    """Print how many libraries are kept, and how large they are together."""
    click.echo(_amount(Cache()))


@cache_command.command("clear")
def cache_clear() -> None:
    """Delete all kept libraries, and what tuning has found; programs that run keep what they have loaded."""
    cache = Cache()
    amount = _amount(cache)
    cache.clear()
    click.echo(f"cleared {amount}")


def _amount(cache: Cache) -> str:
    count = cache.entries()
    return f"{count} librar{'y' if count == 1 else 'ies'}, {cache.size() / 1024:.0f} KiB"


@cli.command("doctor")
def doctor_command() -> None:
    """Say what was found on this machine: processor, packages, C compiler, cache, GPU."""
    for line in machine.findings():
        click.echo(line)


def main() -> None:
    """The entry point of the `tenfold` command."""
    sys.exit(cli.main(prog_name="tenfold", standalone_mode=True))
