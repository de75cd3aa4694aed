"""The linker's shared objects: what they export and need, and that every tool and loader takes them."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from artifact_support import AARCH64, FLAGS, compile_text

from tenfold_rt.errors import ArtifactError
from tenfoldc.artifact import elf
from tenfoldc.artifact.elf_format import Machine
from tenfoldc.artifact.elf_relocate import call_stub

needs_binutils = pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf and nm")
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")

ANSWER = """
define i32 @answer() nounwind { ret i32 42 }
define i32 @hidden_from_all() nounwind { ret i32 1 }
"""
LIBC_USER = """
declare ptr @malloc(i64) CALLING
declare void @free(ptr) CALLING
declare double @cbrt(double) CALLING
define double @use(double %x) nounwind {
  %p = call ptr @malloc(i64 8)
  store volatile double %x, ptr %p
  %y = load volatile double, ptr %p
  call void @free(ptr %p)
  %z = call double @cbrt(double %y)
  ret double %z
}
"""
CONSTRUCTED = """
@table = internal global [2 x ptr] [ptr @one, ptr @two]
@counter = internal global i32 0
@zeroes = internal global [5000 x i32] zeroinitializer
@start = hidden constant ptr @construct, section ".init_array"
define internal i32 @one() nounwind { ret i32 1 }
define internal i32 @two() nounwind { ret i32 2 }
define internal void @construct() nounwind {
  store volatile i32 7, ptr @counter
  ret void
}
define i32 @count() nounwind {
  %c = load volatile i32, ptr @counter
  %slot = getelementptr ptr, ptr @table, i64 1
  %f = load volatile ptr, ptr %slot
  %two = call i32 %f()
  %p = getelementptr i32, ptr @zeroes, i64 4999
  %z = load volatile i32, ptr %p
  store volatile i32 1, ptr %p
  %s = add i32 %c, %two
  %t = add i32 %s, %z
  ret i32 %t
}
"""
BLOB_USER = """
@weights = external hidden constant [1000 x i8]
define ptr @get() nounwind { ret ptr @weights }
define i8 @last() nounwind {
  %p = getelementptr i8, ptr @weights, i64 999
  %b = load i8, ptr %p
  ret i8 %b
}
"""


def write(directory: Path, content: bytes) -> Path:
    path = directory / "libtest.so"
    path.write_bytes(content)
    return path


def tool(*command: object) -> str:
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


@needs_binutils
def test_only_the_exports_are_visible(tmp_path: Path) -> None:
    path = write(tmp_path, elf.link(compile_text(ANSWER), soname="libtest.so", exports={"answer"}))
    assert [line.split()[1:] for line in tool("nm", "-D", path).splitlines()] == [["T", "answer"]]
    assert "t hidden_from_all" in tool("nm", path)
    assert ctypes.CDLL(str(path)).answer() == 42


def test_missing_export_is_named() -> None:
    with pytest.raises(ArtifactError, match="nothing_such"):
        elf.link(compile_text(ANSWER), soname="libtest.so", exports={"nothing_such"})


def test_undefined_symbol_off_the_list_is_named() -> None:
    text = "declare i32 @__truncsfhf2(float)\ndefine i32 @f() { %v = call i32 @__truncsfhf2(float 1.0)\nret i32 %v }"
    with pytest.raises(ArtifactError, match="__truncsfhf2"):
        elf.link(compile_text(text), soname="libtest.so", exports={"f"})


@needs_binutils
@pytest.mark.parametrize(("calling", "flags"), [("nonlazybind", FLAGS), ("", "")], ids=["slots", "stubs"])
def test_calls_reach_libc_through_slots_or_stubs(tmp_path: Path, calling: str, flags: str) -> None:
    text = LIBC_USER.replace("CALLING", calling)
    path = write(tmp_path, elf.link(compile_text(text, flags=flags), soname="libtest.so", exports={"use"}))
    dynamic = tool("readelf", "-dW", path)
    assert "[libc.so.6]" in dynamic
    assert "[libm.so.6]" in dynamic
    use = ctypes.CDLL(str(path)).use
    use.restype, use.argtypes = ctypes.c_double, [ctypes.c_double]
    assert use(27.0) == pytest.approx(3.0)
    assert (".plt" in tool("readelf", "-SW", path)) == (not calling)


@needs_binutils
def test_no_library_is_needed_that_is_not_used(tmp_path: Path) -> None:
    path = write(tmp_path, elf.link(compile_text(ANSWER), soname="libtest.so", exports={"answer"}))
    assert "NEEDED" not in tool("readelf", "-dW", path)


def test_constructors_pointers_and_zeroed_data(tmp_path: Path) -> None:
    path = write(tmp_path, elf.link(compile_text(CONSTRUCTED), soname="libtest.so", exports={"count"}))
    assert path.stat().st_size < 8192
    library = ctypes.CDLL(str(path))
    assert [library.count(), library.count()] == [9, 10]


def test_constants_are_placed_by_the_linker(tmp_path: Path) -> None:
    data = {"weights": bytes(i % 251 for i in range(1000))}
    object_code = compile_text(BLOB_USER)
    path = write(tmp_path, elf.link(object_code, soname="libtest.so", exports={"get", "last"}, data=data))
    library = ctypes.CDLL(str(path))
    library.get.restype = ctypes.c_void_p
    assert library.get() % 64 == 0
    assert ctypes.string_at(library.get(), 1000) == data["weights"]
    assert library.last() & 0xFF == 999 % 251


@needs_binutils
def test_file_is_hardened_and_named(tmp_path: Path) -> None:
    path = write(tmp_path, elf.link(compile_text(CONSTRUCTED), soname="libtest.so.1", exports={"count"}))
    headers = tool("readelf", "-lW", path)
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert " RW " in stack
    assert "GNU_RELRO" in headers
    assert "RWE" not in headers
    dynamic = tool("readelf", "-dW", path)
    assert "BIND_NOW" in dynamic
    assert "[libtest.so.1]" in dynamic
    result = subprocess.run(["readelf", "-aW", path], capture_output=True, text=True, check=True)
    assert "arning" not in result.stderr + result.stdout
    assert "rror" not in result.stderr


def test_relro_is_read_only_at_run_time(tmp_path: Path) -> None:
    text = CONSTRUCTED.replace("internal global [2 x ptr]", "constant [2 x ptr]")
    path = write(tmp_path, elf.link(compile_text(text), soname="libtest.so", exports={"table", "count"}))
    program = (
        f"import ctypes; l = ctypes.CDLL({str(path)!r}); assert l.count() == 9;"
        "ctypes.memset(ctypes.addressof(ctypes.c_void_p.in_dll(l, 'table')), 0, 8)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -11


@needs_cc
def test_c_programs_link_against_it(tmp_path: Path) -> None:
    text = LIBC_USER.replace("CALLING", "")
    write(tmp_path, elf.link(compile_text(text), soname="libtest.so", exports={"use"}))
    source = tmp_path / "main.c"
    source.write_text("double use(double); int main(void) { return use(64.0) > 3.999 ? 4 : 0; }")
    program = tmp_path / "main"
    options = f"-Wl,-rpath,{tmp_path},--no-undefined,--fatal-warnings"
    tool("cc", source, f"-L{tmp_path}", "-ltest", options, "-o", program)
    assert subprocess.run([program], check=False).returncode == 4


@needs_binutils
def test_aarch64_objects_link(tmp_path: Path) -> None:
    text = LIBC_USER.replace("CALLING", "") + CONSTRUCTED + BLOB_USER
    object_code = compile_text(text, AARCH64, flags="")
    exports = {"use", "count", "get", "last"}
    content = elf.link(object_code, soname="libtest.so", exports=exports, data={"weights": bytes(1000)})
    path = write(tmp_path, content)
    report = subprocess.run(["readelf", "-aW", path], capture_output=True, text=True, check=True)
    assert "AArch64" in report.stdout
    assert "R_AARCH64_GLOB_DAT" in report.stdout
    assert "arning" not in report.stderr
    loads = [line.split() for line in report.stdout.splitlines() if line.strip().startswith("LOAD")]
    pages = [range(int(row[2], 16) >> 16, (int(row[2], 16) + int(row[5], 16) - 1 >> 16) + 1) for row in loads]
    assert all(before[-1] < after[0] for before, after in itertools.pairwise(pages))


def test_aarch64_stub_jumps_to_its_slot() -> None:
    stub, slot = 0x1234560, 0x3FE9ABC8
    adrp, load, jump, _ = struct.unpack("<IIII", call_stub(Machine.AARCH64, stub, slot))
    pages = (adrp >> 5 & 0x7FFFF) << 2 | adrp >> 29 & 3
    assert ((stub >> 12) + pages << 12) + ((load >> 10 & 0xFFF) << 3) == slot
    assert (adrp & 31, load >> 5 & 31, load & 31, jump) == (16, 16, 16, 0xD61F0200)


@pytest.mark.parametrize("content", [b"", b"MZ", b"\x7fELF\x02\x01" + bytes(100), b"\x7fELF\x01\x01" + bytes(100)])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError):
        elf.link(content, soname="libtest.so", exports=())


def test_cut_object_is_refused() -> None:
    with pytest.raises(ArtifactError):
        elf.link(compile_text(ANSWER)[:-100], soname="libtest.so", exports={"answer"})


def test_thread_local_variables_are_refused() -> None:
    text = "@x = thread_local global i32 1\ndefine i32 @f() { %v = load i32, ptr @x\nret i32 %v }"
    with pytest.raises(ArtifactError, match="thread-local"):
        elf.link(compile_text(text), soname="libtest.so", exports={"f"})


@pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
def test_debuggers_see_internal_functions(tmp_path: Path) -> None:
    path = write(tmp_path, elf.link(compile_text(ANSWER), soname="libtest.so", exports={"answer"}))
    assert "mov" in tool("gdb", "-batch", "-nx", "-ex", "disassemble hidden_from_all", path)
