"""Targets by name, and this machine's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tenfold_rt import cpu
from tenfold_rt.errors import RequestError
from tenfoldc.target import host, named


def test_levels_have_their_vectors() -> None:
    widths = {level: named(level).vector_bytes for level in cpu.X86_64_LEVELS}
    assert widths == {"x86-64": 16, "x86-64-v2": 16, "x86-64-v3": 32, "x86-64-v4": 64}
    assert [named(level).has_fma for level in ("x86-64-v2", "x86-64-v3")] == [False, True]


def test_native_is_the_host() -> None:
    assert named("native") is host()
    assert set(host().features) == cpu.features()
    assert list(host().features) == sorted(host().features)


def test_unknown_target_lists_those_there_are() -> None:
    with pytest.raises(RequestError, match=r"pentium.*native.*x86-64-v3"):
        named("pentium")


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("sys.platform", "darwin", "libraries are made for Linux, and this is darwin; to ship, choose a level"),
        ("platform.machine", lambda: "riscv64", "no code is generated for riscv64 processors; x86-64 and aarch64"),
    ],
)
def test_a_machine_that_no_code_is_made_for_is_named(
    monkeypatch: pytest.MonkeyPatch, attribute: str, value: object, message: str
) -> None:
    monkeypatch.setattr(attribute, value)
    with pytest.raises(RequestError, match=message):
        host.__wrapped__()
    assert named("x86-64-v3").cpu == "x86-64-v3"


def test_importing_is_cheap() -> None:
    program = (
        "import sys, tenfoldc.target; tenfoldc.target.host();"
        "assert not {'llvmlite', 'numpy', 'ctypes'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})
