"""Calls from Python: what is taken as it stands, what is declined, what comes back, and that nothing leaks."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from artifact_support import add_entry, buffer, build, build_and_load, elementwise, manifest

from tenfold_rt import dtypes
from tenfold_rt.errors import ArtifactError, SpecError
from tenfold_rt.load import Library, load
from tenfold_rt.manifest import Entry

ADD = "fadd float %e0, %e1"
COPY = """
define internal i32 @"{name}.impl"(ptr %team, ptr %w, ptr %x, ptr %r) nounwind {{
  %v = load {type}, ptr %x
  store {type} %v, ptr %r
  ret i32 0
}}
"""
SCALARS = {
    dtypes.bool_: "i8",
    dtypes.i8: "i8",
    dtypes.i32: "i32",
    dtypes.i64: "i64",
    dtypes.u8: "i8",
    dtypes.u64: "i64",
    dtypes.f32: "float",
    dtypes.f64: "double",
}
UPDATE = (
    elementwise("update", ADD, 8)
    .replace("ptr %r0)", "ptr %r0, ptr %r1)")
    .replace("  ret i32 0", "  store float 5.0, ptr %r1\n  ret i32 0")
)
NOTHING = 'define internal i32 @"nothing.impl"(ptr %team, ptr %w) nounwind { ret i32 0 }\n'
PAIR = 'define internal i32 @"{0}.impl"(ptr %team, ptr %w, ptr %x, ptr %r0, ptr %r1) nounwind {{ ret i32 {1} }}\n'


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """One library with an entry for each case."""
    eight = (buffer("x", dtypes.f32, 8), buffer("y", dtypes.f32, 8))
    entries = [
        add_entry("add", 2, 3, doc="x plus y"),
        add_entry("unlocked", 2, 3, releases_gil=True),
        add_entry("empty", 0, 3),
        Entry("update", eight, (buffer("x2", dtypes.f32, 8), buffer("loss")), donated=((0, 0),)),
        Entry("nothing", (), ()),
        Entry("pair", (buffer("x"),), (buffer("a", dtypes.f64, 2), buffer("b", dtypes.i32))),
        Entry("fail", (buffer("x"),), (buffer("a", dtypes.f64, 2), buffer("b", dtypes.i32))),
        *(Entry(f"copy_{d}", (buffer("x", d),), (buffer("r", d),)) for d in SCALARS),
    ]
    text = elementwise("add", ADD, 6) + elementwise("unlocked", ADD, 6) + elementwise("empty", ADD, 0)
    text += UPDATE + NOTHING + PAIR.format("pair", 0) + PAIR.format("fail", -5)
    text += "".join(COPY.format(name=f"copy_{d}", type=t) for d, t in SCALARS.items())
    return build_and_load(tmp_path_factory.mktemp("entry"), text, manifest(*entries, name="cases"))


def ones(*shape: int, dtype: str = "f4") -> np.ndarray[Any, Any]:
    return np.ones(shape, dtype)


def test_arrays_go_in_and_a_new_one_comes_out(library: Library) -> None:
    x = np.arange(6, dtype="f4").reshape(2, 3)
    result = library.entry("add")(x, ones(2, 3))
    assert type(result) is np.ndarray
    assert result.flags.owndata
    np.testing.assert_array_equal(result, x + 1, strict=True)


def test_name_and_documentation_are_the_entry_s(library: Library) -> None:
    assert library.entry("add").__name__ == "add"
    assert library.entry("add").__doc__ == "x plus y"


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (ones(2, 3),),
        (ones(2, 3),) * 3,
        (ones(2, 3), ones(3, 2)),
        (ones(2, 3), ones(6)),
        (ones(2, 3), ones(2, 3, dtype="f8")),
        (ones(2, 3), ones(2, 3, dtype="i4")),
        (ones(2, 3), ones(2, 3, dtype=">f4")),
        (ones(2, 3), ones(3, 2).T),
        (ones(2, 3), ones(2, 6)[:, ::2]),
        (ones(2, 3), np.frombuffer(bytes(25), "u1")[1:].view("f4").reshape(2, 3)),
        (ones(2, 3), ones(2, 3).view(Subclass)),
        (ones(2, 3), [[1.0] * 3] * 2),
        (ones(2, 3), 1.0),
        (ones(2, 3), None),
    ],
)
def test_what_does_not_fit_is_declined(library: Library, arguments: tuple[object, ...]) -> None:
    assert library.entry("add")(*arguments) is NotImplemented
    with pytest.raises(SpecError, match="add: "):
        library.call("add", arguments)


def test_equivalent_dtype_objects_are_taken(library: Library) -> None:
    x = ones(2, 3).view(np.dtype("f4", metadata={"unit": "m"}))
    np.testing.assert_array_equal(library.entry("add")(x, x), ones(2, 3) * 2)
    number = np.array(3, np.longlong)
    assert library.entry("copy_i64")(number) == 3


def test_read_only_inputs_are_taken(library: Library) -> None:
    x = ones(2, 3)
    x.flags.writeable = False
    np.testing.assert_array_equal(library.entry("add")(x, x), x + x)


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("f32", 0.1, np.float32(0.1)),
        ("f32", 3, 3.0),
        ("f32", -1, -1.0),
        ("f32", -1.0, -1.0),
        ("f64", 1e300, 1e300),
        ("f64", -1, -1.0),
        ("f64", 10**400, NotImplemented),
        ("f64", True, NotImplemented),
        ("f32", np.float32(2), NotImplemented),
        ("f32", "1", NotImplemented),
        ("i32", -1, -1),
        ("i32", 2**31 - 1, 2**31 - 1),
        ("i32", 2**31, NotImplemented),
        ("i32", 10**30, NotImplemented),
        ("i32", 1.0, NotImplemented),
        ("i32", True, NotImplemented),
        ("i8", -128, -128),
        ("i8", -129, NotImplemented),
        ("u8", 255, 255),
        ("u8", 256, NotImplemented),
        ("u8", -1, NotImplemented),
        ("i64", -(2**63), -(2**63)),
        ("u64", 2**64 - 1, 2**64 - 1),
        ("u64", 2**64, NotImplemented),
        ("u64", -1, NotImplemented),
        ("bool", True, True),
        ("bool", False, False),
        ("bool", 1, NotImplemented),
        ("f32", np.array(2.5, "f4"), 2.5),
        ("f32", np.array([2.5], "f4"), NotImplemented),
        ("f32", np.array(2.5), NotImplemented),
    ],
)
def test_numbers_for_rank_0(library: Library, name: str, argument: object, expected: object) -> None:
    result = library.entry(f"copy_{name}")(argument)
    if expected is NotImplemented:
        assert result is NotImplemented
    else:
        assert result.shape == ()
        assert result.dtype == dtypes.BY_NAME[name].numpy
        assert result == expected


def test_donated_argument_is_the_result(library: Library) -> None:
    x, y = ones(8), np.arange(8, dtype="f4")
    new, loss = library.entry("update")(x, y)
    assert new is x
    np.testing.assert_array_equal(x, y + 1)
    assert loss.shape == ()
    assert loss == 5


def test_donated_argument_must_be_writeable(library: Library) -> None:
    x = ones(8)
    x.flags.writeable = False
    assert library.entry("update")(x, ones(8)) is NotImplemented
    with pytest.raises(SpecError, match="read-only"):
        library.call("update", (x, ones(8)))


def test_donated_argument_that_overlaps_another_is_declined_untouched(library: Library) -> None:
    base = ones(12)
    for x, y in ((base[:8], base[:8]), (base[:8], base[4:])):
        assert library.entry("update")(x, y) is NotImplemented
    np.testing.assert_array_equal(base, ones(12))
    with pytest.raises(SpecError, match="shares memory"):
        library.call("update", (base[:8], base[4:]))


def test_several_results_and_none_come_as_a_tuple(library: Library) -> None:
    first, second = library.entry("pair")(1.0)
    assert (first.dtype, first.shape, second.dtype, second.shape) == ("f8", (2,), "i4", ())
    assert library.entry("nothing")() == ()
    assert library.call("nothing", ()) == ()


def test_empty_tensors(library: Library) -> None:
    assert library.entry("empty")(ones(0, 3), ones(0, 3)).shape == (0, 3)


def test_status_becomes_an_exception(library: Library) -> None:
    with pytest.raises(ArtifactError, match="out of memory"):
        library.entry("fail")(1.0)


def test_keywords_are_declined(library: Library) -> None:
    assert library.entry("add")(x=ones(2, 3), y=ones(2, 3)) is NotImplemented


def test_what_does_not_fit_is_handed_on_with_its_keywords(library: Library) -> None:
    entry = library.entry("add", lambda *args, **keywords: (args, keywords))
    assert entry(1, y=2) == ((1,), {"y": 2})
    assert entry(ones(2, 3), ones(2, 3))[0, 0] == 2


def test_no_reference_is_lost_or_kept(library: Library) -> None:
    x, y, wrong, donated, number = ones(2, 3), ones(2, 3), ones(3), ones(8), 12345.678
    objects = (x, y, wrong, donated, number, np.dtype("f4"), np.dtype("f8"), np.dtype("i4"), NotImplemented)

    def every_path() -> None:
        library.entry("add")(x, y)
        library.entry("unlocked")(x, y)
        library.entry("add")(x, wrong)
        library.entry("copy_f32")(number)
        library.entry("copy_f64")(10**400)
        library.entry("pair")(number)
        library.entry("update")(donated, ones(8))
        library.entry("update")(donated, donated)
        with pytest.raises(ArtifactError):
            library.entry("fail")(number)

    every_path()
    gc.collect()
    before = [sys.getrefcount(thing) for thing in objects]
    for _ in range(50):
        every_path()
    gc.collect()
    assert [sys.getrefcount(thing) for thing in objects] == before


def test_memory_does_not_grow(library: Library) -> None:
    program = f"""
import resource, sys
import numpy as np
from tenfold_rt.load import load
from tenfold_rt.errors import ArtifactError
library = load({str(library.path)!r})
add, update, pair, fail = map(library.entry, ("add", "update", "pair", "fail"))
x, w = np.ones((2, 3), "f4"), np.ones(8, "f4")
def spin(n):
    for _ in range(n):
        add(x, x); update(w, w); update(w, w.copy()); pair(1.0)
        try: fail(1.0)
        except ArtifactError: pass
spin(2000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
spin(40000)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})


WORKSPACE = """
define internal i32 @"slow.impl"(ptr %team, ptr %w, ptr %x, ptr %y, ptr %r) nounwind {
entry:
  br label %fill
fill:
  %i = phi i64 [0, %entry], [%i1, %fill]
  %x.at = getelementptr float, ptr %x, i64 %i
  %v = load float, ptr %x.at
  %w.at = getelementptr float, ptr %w, i64 %i
  store volatile float %v, ptr %w.at
  %i1 = add i64 %i, 1
  %c = icmp ult i64 %i1, 10000
  br i1 %c, label %fill, label %read
read:
  %j = phi i64 [0, %fill], [%j1, %read]
  %w.back = getelementptr float, ptr %w, i64 %j
  %u = load volatile float, ptr %w.back
  %r.at = getelementptr float, ptr %r, i64 %j
  store float %u, ptr %r.at
  %j1 = add i64 %j, 1
  %d = icmp ult i64 %j1, 10000
  br i1 %d, label %read, label %done
done:
  ret i32 0
}
"""


def test_threads_never_share_a_workspace(tmp_path: Path) -> None:
    described = manifest(add_entry("slow", 10000, releases_gil=True), name="threads")
    slow = build_and_load(tmp_path, WORKSPACE, described, {"slow": 40000}).entry("slow")
    wrong: list[int] = []

    def work(number: int) -> None:
        x = np.full(10000, number, "f4")
        for _ in range(300):
            if not (slow(x, x) == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_many_parameters_and_results(tmp_path: Path) -> None:
    count = 60
    buffers = tuple(buffer(f"w{i}", dtypes.f32, 2) for i in range(count))
    pointers = ", ".join(f"ptr %a{i}" for i in range(2 * count))
    stores = "".join(f"  store float {float(i)}, ptr %a{count + i}\n" for i in range(count))
    text = f'define internal i32 @"many.impl"(ptr %team, ptr %w, {pointers}) nounwind {{\n{stores}  ret i32 0\n}}\n'
    entry = Entry("many", buffers, buffers, donated=tuple((i, i) for i in range(count)))
    many = build_and_load(tmp_path, text, manifest(entry, name="many")).entry("many")
    arguments = [ones(2) for _ in range(count)]
    results = many(*arguments)
    assert all(a is r for a, r in zip(arguments, results, strict=True))
    assert [r[0] for r in results] == list(range(count))


def test_odd_names_have_their_entries(tmp_path: Path) -> None:
    odd = ["<lambda>", 'quote"d\\', "exp", "class", "add", "add_ctx", "größe"]
    entries = [add_entry(name, 1) for name in odd]
    text = "".join(elementwise(name, ADD, 1) for name in odd[2:6])
    for name, quoted in ((odd[0], odd[0]), (odd[1], "quote\\22d\\5C"), (odd[6], "gr\\C3\\B6\\C3\\9Fe")):
        assert name
        text += elementwise(quoted, ADD, 1)
    library = build_and_load(tmp_path, text, manifest(*entries, name="odd names"))
    for name, value in zip(odd, itertools.count(), strict=False):
        assert library.entry(name)(ones(1) * value, ones(1))[0] == value + 1


def test_the_same_bytes_are_made_twice() -> None:
    text, described = elementwise("add", ADD, 6), manifest(add_entry("add", 6))
    assert build(text, described) == build(text, described)


def test_two_libraries_with_the_same_names_stay_apart(tmp_path: Path) -> None:
    described = manifest(add_entry("f", 4))
    loaded: list[Library] = []
    for index, operation in enumerate((ADD, "fsub float %e0, %e1")):
        path = tmp_path / f"{index}.so"
        path.write_bytes(build(elementwise("f", operation, 4), described))
        loaded.append(load(path))
    assert [library.entry("f")(ones(4), ones(4))[0] for library in loaded] == [2, 0]
