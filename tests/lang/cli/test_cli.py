"""The `tenfold` command: what each request writes, and the one line that each bad request gets."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import tenfold as tn
from tenfold.cli.main import cli
from tenfold_rt.cpu import machine

CC = shutil.which("cc")
TENFOLD = (sys.executable, "-c", "from tenfold.cli import main; main()")

MODEL = """\
import tenfold as tn


@tn.compile
def twice(x: tn.f32[3]):
    \"\"\"Twice x.\"\"\"
    return x * 2


@tn.compile
def scale(x, factor: tn.f32[()]):
    return x * factor


@tn.compile
def add(a: tn.i32[2], b: tn.i32[2]):
    return a + b


def distance(a, b):
    return tn.sqrt(tn.sum((a - b) ** 2))


again = twice
number = 3
"""

TWO = """\
module {
  func.func public @negate(%x: tensor<3xf32>) -> tensor<3xf32> {
    %0 = stablehlo.negate %x : tensor<3xf32>
    return %0 : tensor<3xf32>
  }
  func.func public @both(%a: tensor<2xi32> {tenfold.name = "a"}, %b: tensor<2xi32> {tenfold.name = "b"})
      -> (tensor<2xi32> {tenfold.name = "file"}, tensor<2xi32> {tenfold.name = "difference"}) {
    %0 = stablehlo.add %a, %b : tensor<2xi32>
    %1 = stablehlo.subtract %a, %b : tensor<2xi32>
    return %0, %1 : tensor<2xi32>, tensor<2xi32>
  }
}
"""

A, B = np.array([1, 2], np.int32), np.array([10, 20], np.int32)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a Python file and a StableHLO file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "two.mlir").write_text(TWO)
    return tmp_path


def tenfold(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def succeed(*words: str) -> Result:
    result = tenfold(*words)
    assert result.exit_code == 0, result.stderr
    return result


def refused(*words: str) -> str:
    """The one line that a bad request gets; nothing else is printed or written."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if "__pycache__" not in path.parts}
    result = tenfold(*words)
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if "__pycache__" not in path.parts}
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert before == after
    (line,) = result.stderr.splitlines()
    assert line.startswith("tenfold: ")
    return line.removeprefix("tenfold: ")


def called(path: Path, name: str, *arrays: np.ndarray) -> None:
    """Call the C function `name` of a library on the memory of `arrays`."""
    function = ctypes.CDLL(str(path.absolute()))[name]
    assert function(*(ctypes.c_void_p(array.ctypes.data) for array in arrays)) == 0


def test_every_function_with_specs_is_compiled() -> None:
    result = succeed("compile", "model.py")
    assert re.fullmatch(r"wrote libmodel\.so \(\d+ KiB: twice, add\) and model\.h\n", result.stdout)
    assert result.stderr == "tenfold: left out scale, which lacks specs\n"
    assert "int32_t twice(" in Path("model.h").read_text()
    sums = np.empty(2, np.int32)
    called(Path("libmodel.so"), "add", A, B, sums)
    np.testing.assert_array_equal(sums, [11, 22])


def test_a_function_is_compiled_alone_with_the_types_that_are_given() -> None:
    arguments = ("--arg", "a=f64[3]", "--arg", "b=f64[3]", "-o", "libdistance.so")
    result = succeed("compile", "model.py:distance", *arguments)
    assert re.fullmatch(r"wrote libdistance\.so \(\d+ KiB: distance\) and distance\.h\n", result.stdout)
    assert result.stderr == ""
    distance = np.empty(())
    called(Path("libdistance.so"), "distance", np.zeros(3), np.array([1.0, 2.0, 2.0]), distance)
    assert distance == 3


def test_a_given_type_goes_with_annotated_ones() -> None:
    succeed("compile", "model.py:scale", "--arg", "x=f32[2]", "-o", "libscale.so")
    np.testing.assert_array_equal(tn.load("libscale.so").scale(np.ones(2, np.float32), 3), [3, 3])


def test_every_public_function_of_stablehlo_is_compiled() -> None:
    assert "negate, both" in succeed("compile", "two.mlir").stdout
    library = tn.load("libtwo.so")
    np.testing.assert_array_equal(library.negate(np.ones(3, np.float32)), [-1, -1, -1])
    np.testing.assert_array_equal(library.both(b=B, a=A), [[11, 22], [-9, -18]])


def test_a_file_runs_with_its_directory_on_the_path() -> None:
    Path("sub").mkdir()
    Path("sub/layers_of_test_cli.py").write_text("def twice(x):\n    return x + x\n")
    Path("sub/random.py").write_text(
        "from layers_of_test_cli import twice\nimport tenfold as tn\n"
        "@tn.compile\ndef f(x: tn.f32[2]):\n    return twice(x)\n"
    )
    succeed("compile", "sub/random.py", "-o", "librandom.so")
    np.testing.assert_array_equal(tn.load("librandom.so").f(np.ones(2, np.float32)), [2, 2])


@pytest.mark.skipif(CC is None, reason="needs a C compiler")
def test_an_object_links_into_a_program() -> None:
    assert "wrote libmodel.o" in succeed("compile", "model.py:twice", "--emit", "object").stdout
    Path("main.c").write_text(
        '#include <stdio.h>\n#include "model.h"\nint main(void) {\n  float x[3] = {1, 2, 3}, y[3];\n'
        '  int32_t status = twice(x, y);\n  printf("%d %g %g %g", (int)status, y[0], y[1], y[2]);\n  return 0;\n}\n'
    )
    subprocess.run([CC, "-std=c11", "main.c", "libmodel.o", "-o", "program"], check=True)
    assert subprocess.run(["./program"], capture_output=True, text=True, check=True).stdout == "0 2 4 6"


@pytest.mark.parametrize(
    ("stage", "holds"),
    [("stablehlo", "stablehlo.multiply"), ("loops", "kernel"), ("llvm", "@twice("), ("asm", "twice:")],
)
def test_the_text_of_a_stage_is_printed_or_written(stage: str, holds: str) -> None:
    printed = succeed("compile", "model.py:twice", "--emit", stage).stdout
    assert holds in printed
    assert succeed("compile", "model.py:twice", "--emit", stage, "-o", "text").stdout == ""
    assert Path("text").read_text() == printed.removesuffix("\n")


def test_text_of_stablehlo_compiles_again() -> None:
    succeed("compile", "model.py", "--emit", "stablehlo", "-o", "again.mlir")
    succeed("compile", "again.mlir")
    np.testing.assert_array_equal(tn.load("libagain.so").add(A, B), [11, 22])


@pytest.mark.parametrize(("emit", "count"), [("so", 10), ("asm", 8), ("loops", 6)])
def test_verbose_shows_each_stage_and_its_time(emit: str, count: int) -> None:
    lines = succeed("compile", "model.py:twice", "-v", "--emit", emit).stderr.splitlines()
    stages = [re.fullmatch(r" *\d+\.\d ms  (\w+) +\w+", line)[1] for line in lines]
    known = ["widen", "simplify", "fuse", "lower", "schedule", "allocate", "emit"]
    known += ["divide", "optimise", "link"] if emit == "so" else ["optimise"]
    assert stages == known[:count]


@pytest.mark.skipif(machine() != "x86_64", reason="needs an x86-64 processor")
def test_inspect_tells_the_memory_of_each_function() -> None:
    head, *rows = succeed("inspect", "model.py").stdout.splitlines()
    assert head.split()[:3] == ["entry", "parameters", "results"]
    assert [row.split()[:5] for row in rows] == [["twice", "12", "B", "12", "B"], ["add", "16", "B", "8", "B"]]


@pytest.mark.parametrize(("cpu", "feature"), [("x86-64-v4", "avx512f"), ("sapphirerapids", "amx-tile")])
def test_a_library_is_compiled_for_the_processor_that_is_asked_for(cpu: str, feature: str) -> None:
    succeed("compile", "model.py:twice", "--cpu", cpu, "--emit", "llvm", "-o", "text")
    assert feature in Path("text").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model.py:nope", "model.py has no function nope; it has twice, scale, add"),
        ("model.py:number", "number in model.py is 3, not a function"),
        ("model.py:scale", "scale: parameter x has no spec; give --arg x=f32[32,784], or annotate it"),
        ("model.py:scale --arg x=f32[2] --arg x=f32[3]", "--arg gives x twice; give it one type"),
        ("model.py:scale --arg y=f32[2]", "scale has no parameter y; its parameters are x, factor"),
        ("model.py:scale --arg x=f33[2]", "--arg x=f33[2]: there is no element type f33; choose one of bool, i8,"),
        ("model.py:scale --arg x=f32[2", "--arg x=f32[2 is not NAME=DTYPE[SIZE,...]; write it as in --arg x="),
        ("model.py:scale --arg x", "--arg x is not NAME=DTYPE[SIZE,...]"),
        ("model.py:scale --arg x=f32[-1]", "--arg x=f32[-1] is not NAME=DTYPE[SIZE,...]"),
        ("model.py:scale --arg x=f32[n]", "scale: argument `x` is f32[n], and open sizes are not compiled; give"),
        ("model.py --arg x=f32[2]", "--arg needs to know whose argument it is; name the function, as in model.py:"),
        ("two.mlir --arg x=f32[2]", "--arg gives types to Python functions; two.mlir has its types in its text"),
        ("two.mlir:nope", "two.mlir has no function nope; it has negate, both"),
        ("gone.py", "there is no file gone.py"),
        ("model.py -o out.txt", "out.txt does not end in .so; call it out.so"),
        ("model.py --emit object -o x.so", "x.so does not end in .o; call it x.o"),
        ("model.py -o gone/x.so", "cannot write gone/x.so: there is no directory gone"),
        ("model.py --emit asm -o gone/x.s", "cannot write gone/x.s: there is no directory gone"),
        ("model.py -o /proc/libx.so", "cannot write /proc/libx.so"),
    ],
)
def test_a_bad_compile_request_gets_one_line(words: str, message: str) -> None:
    assert message in refused("compile", *words.split())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1 / 0", "running the file failed with ZeroDivisionError: division by zero, at bad.py:2"),
        (
            "import not_there",
            "running the file failed with ModuleNotFoundError: No module named .*, at bad.py:2",
        ),
        ("def f(:", r"running the file failed with SyntaxError: invalid syntax, at .*bad.py:2"),
        ("raise SystemExit(3)", "running the file failed with SystemExit: 3, at bad.py:2"),
        ("x = 1", "bad.py has no function under @tn.compile; name one, as in bad.py:predict"),
        ("@tn.compile\ndef f(x): return x", "f: argument `x` has no spec; annotate it"),
        ("@tn.compile\ndef f(x: tn.f32[2]):\n  return x + y", "tracing f failed with NameError: .*, at bad.py:4"),
        (
            "@tn.compile\ndef f(x: tn.f32[2]):\n  return x * bool(x[0] > 0)",
            "needs the value of .*bad.py:4; use tn.cond",
        ),
        ("@tn.compile\ndef f(x: tn.f32[2], y: tn.f32[3]):\n  return x + y", "add: shapes .*, at .*bad.py:4; reshape"),
        ("x = tn.zeros(2) @ tn.zeros(3)", "matmul: contracting sizes differ, 2 .* and 3 .*, at .*bad.py:2"),
    ],
)
def test_a_failure_in_a_file_names_its_line(source: str, message: str) -> None:
    Path("bad.py").write_text(f"import tenfold as tn\n{source}\n")
    assert re.search(message, refused("compile", "bad.py"))


def test_a_file_that_python_cannot_read_is_named() -> None:
    Path("bad.py").write_bytes(b"x = 1\0")
    assert refused("compile", "bad.py").endswith("source code string cannot contain null bytes, at bad.py")


def test_a_file_of_another_kind_is_refused() -> None:
    Path("model.txt").write_text(MODEL)
    assert refused("compile", "model.txt") == "model.txt is neither Python (.py) nor StableHLO (.mlir)"


def test_functions_of_one_name_are_refused() -> None:
    Path("model.py").write_text(f"{MODEL}\nfirst = add\n{MODEL}")
    assert refused("compile", "model.py").startswith("two functions are called add; rename one")


def test_text_without_a_public_function_is_refused() -> None:
    Path("none.mlir").write_text("module {\n}\n")
    assert refused("compile", "none.mlir") == "none.mlir has no public function"


def test_text_that_is_not_stablehlo_shows_the_place() -> None:
    Path("bad.mlir").write_text(TWO.replace("negate %x", "negate %y"))
    result = tenfold("compile", "bad.mlir")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "tenfold: %y is not defined here, at bad.mlir:3:27",
        "        %0 = stablehlo.negate %y : tensor<3xf32>",
        "                              ^",
    ]


@pytest.mark.parametrize("words", [("--cpu", "z80"), ("--emit", "wasm"), ("--frob",)])
def test_an_option_that_there_is_not_is_refused(words: tuple[str, ...]) -> None:
    result = tenfold("compile", "model.py", *words)
    assert result.exit_code == 2
    assert words[-1] in result.stderr.splitlines()[-1]


def test_a_header_that_cannot_be_written_leaves_no_library() -> None:
    Path("model.h").mkdir()
    assert refused("compile", "model.py") == "cannot write model.h: it is a directory"


def test_a_full_disk_leaves_nothing(directory: Path) -> None:
    """A limit on the size of files stands for a full disk: what is written stops half-way."""
    command = ["prlimit", "--fsize=4096", *TENFOLD, "compile", "model.py", "--cpu", "native"]
    before = sorted(directory.iterdir())
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tenfold: cannot write libmodel.so and model.h: File too large\n"
    assert sorted(directory.iterdir()) == before


def write_inputs(**arrays: np.ndarray) -> None:
    np.savez("inputs.npz", **arrays)


def outputs() -> dict[str, list[int]]:
    with np.load("outputs.npz") as archive:
        return {name: archive[name].tolist() for name in archive.files}


@pytest.mark.parametrize("arrays", [{"b": B, "a": A}, {"x": A, "y": B}], ids=["by name", "by order"])
def test_run_calls_a_function_on_arrays(arrays: dict[str, np.ndarray]) -> None:
    write_inputs(**arrays)
    result = succeed("run", "two.mlir:both", "--inputs", "inputs.npz", "--outputs", "outputs.npz")
    assert result.output == ""
    assert outputs() == {"file": [11, 22], "difference": [-9, -18]}


def test_run_prints_results() -> None:
    write_inputs(x=np.arange(3, dtype=np.float32))
    assert succeed("run", "two.mlir", "--inputs", "inputs.npz").stdout == "result0 = [-0. -1. -2.]\n"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": A}, "both takes 2 arrays, but inputs.npz gives 1"),
        ({"a": A, "b": B, "c": B}, "both takes 2 arrays, but inputs.npz gives 3"),
        ({"a": A, "b": B[:1]}, "both: b must be i32[2], but the array is int32[1]"),
        ({"a": A.astype(float), "b": B}, "both: a must be i32[2], but the array is float64[2]"),
        ({"a": np.array([None]), "b": B}, "cannot read inputs.npz: Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, np.ndarray], message: str) -> None:
    write_inputs(**arrays)
    assert message in refused("run", "two.mlir:both", "--inputs", "inputs.npz", "--outputs", "outputs.npz")


def test_files_that_are_no_arrays_are_refused() -> None:
    write_inputs(a=A, b=B)
    whole = Path("inputs.npz").read_bytes()
    np.save("one.npy", A)
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    Path("changed.npz").write_bytes(whole.replace(A.tobytes(), B.tobytes()))
    Path("empty.npz").write_bytes(b"")
    for name, message in {
        "gone.npz": "cannot read gone.npz: No such file or directory",
        "cut.npz": "cannot read cut.npz: File is not a zip file",
        "changed.npz": "cannot read changed.npz: Bad CRC-32",
        "empty.npz": "cannot read empty.npz: No data left in file",
        "one.npy": "one.npy holds one array without a name",
    }.items():
        assert refused("run", "two.mlir:both", "--inputs", name).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model.py", "there is no StableHLO file model.py; give a file that ends in .mlir"),
        ("gone.mlir", "there is no StableHLO file gone.mlir"),
        ("two.mlir:nope", "two.mlir has no function nope"),
        ("two.mlir:both", "both takes 2 arrays, but no --inputs gives 0"),
        (
            "two.mlir:both --inputs inputs.npz --outputs gone/o.npz",
            "cannot write gone/o.npz: there is no directory gone",
        ),
    ],
)
def test_a_bad_run_request_gets_one_line(words: str, message: str) -> None:
    write_inputs(a=A, b=B)
    assert refused("run", *words.split()).startswith(message)


def test_the_cache_is_shown_and_cleared(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENFOLD_CACHE_DIR", str(directory / "kept"))
    assert succeed("cache", "where").stdout == f"{directory / 'kept'}\n"
    assert succeed("cache", "size").stdout == "0 libraries, 0 KiB\n"
    write_inputs(a=A, b=B)
    succeed("run", "two.mlir:both", "--inputs", "inputs.npz")
    assert re.fullmatch(r"1 library, [1-9]\d* KiB\n", succeed("cache", "size").stdout)
    assert succeed("cache").stdout.startswith(f"{directory / 'kept'}: 1 library, ")
    assert succeed("cache", "clear").stdout.startswith("cleared 1 library, ")
    assert succeed("cache").stdout == f"{directory / 'kept'}: 0 libraries, 0 KiB\n"
    assert not list((directory / "kept").rglob("*.so"))


def test_doctor_tells_what_was_found(own_cache: Path) -> None:
    printed = succeed("doctor").stdout
    assert f"tenfold   {tn.__version__}, Python " in printed
    assert f"cache     {own_cache}" in printed
    for finding in ("processor ", "packages  numpy ", "linker    built in", "C  ", "CUDA "):
        assert f"\n{finding}" in printed
    assert printed.count("cuda-python") == 1


def test_doctor_tells_why_nothing_can_be_kept(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "file").touch()
    monkeypatch.setenv("TENFOLD_CACHE_DIR", str(directory / "file"))
    assert (
        f"cache     {directory / 'file'} cannot keep anything (File exists); name another" in succeed("doctor").stdout
    )


def test_text_that_standard_output_does_not_take_is_refused_in_one_line(directory: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [*TENFOLD, "compile", "model.py", "--emit", "asm"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "tenfold: No space left on device\n")


def test_the_version_is_the_packages() -> None:
    assert succeed("--version").stdout.split()[-1] == tn.__version__


def test_help_describes_every_option() -> None:
    pages = [("",), *((name,) for name in cli.commands), *(("cache", name) for name in cli.commands["cache"].commands)]
    for page in pages:
        words = [word for word in page if word]
        command: click.Command = cli
        for word in words:
            command = command.commands[word]
        text = succeed(*words, "-h").stdout
        assert text == succeed(*words, "--help").stdout
        assert command.help
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help


def test_the_command_runs_in_a_process_of_its_own() -> None:
    done = subprocess.run([*TENFOLD, "compile", "gone.py"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "tenfold: there is no file gone.py\n")


def test_the_package_is_the_command_too():
    done = subprocess.run([sys.executable, "-m", "tenfold", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"tenfold, version {tn.__version__}\n"
