"""The disk cache: many processes at once, killed writers, damaged files, and disks that refuse."""

from __future__ import annotations

import errno
import grp
import hashlib
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from artifact_support import add_entry, build, elementwise, manifest

from tenfold_rt.cache import Cache, default_directory
from tenfold_rt.errors import ArtifactError
from tenfold_rt.load import load

KEY = hashlib.sha256(b"key").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "deep" / "cache")


def library() -> bytes:
    return build(elementwise("add", "fadd float %e0, %e1", 4), manifest(add_entry("add", 4)))


def python(program: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env={"PYTHONPATH": ":".join(sys.path)}, stdout=subprocess.PIPE)


def test_what_is_put_is_got(cache: Cache) -> None:
    assert cache.get(KEY) is None
    path = cache.put(KEY, b"content")
    assert cache.get(KEY) == path
    assert path.read_bytes().startswith(b"content")
    assert Cache(cache.directory).get(KEY) == path
    assert cache.get(OTHER) is None


def test_a_stored_library_loads(cache: Cache) -> None:
    assert load(cache.put(KEY, library())).entry("add")


def test_only_the_user_can_look_inside(cache: Cache) -> None:
    path = cache.put(KEY, b"content")
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent, cache.directory)] == [0o500, 0o700, 0o700]


def test_entries_size_and_clear(cache: Cache) -> None:
    assert (cache.entries(), cache.size(), cache.clear()) == (0, 0, 0)
    cache.put(KEY, bytes(100))
    cache.put(OTHER, bytes(50))
    assert (cache.entries(), cache.size()) == (2, 150 + 2 * 32)
    assert cache.clear() == 2
    assert (cache.entries(), cache.get(KEY)) == (0, None)


def test_object_code_is_kept_beside_the_libraries(cache: Cache) -> None:
    cache.put(KEY, b"library")
    assert cache.read(KEY) is None
    cache.write(KEY, b"object")
    assert (cache.read(KEY), cache.entries(), cache.size()) == (b"object", 1, 7 + 6 + 2 * 32)
    assert cache.clear() == 1
    assert cache.read(KEY) is None


def test_what_was_not_used_for_longest_makes_room(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenfold_rt.cache.SHARD_BYTES", 2 * (1000 + 32))
    first, second, third = (KEY[:60] + end for end in ("aaaa", "bbbb", "cccc"))
    for age, key in ((200, first), (100, second)):
        path = cache.put(key, bytes(1000))
        os.utime(path, (time.time() - age,) * 2)
    assert cache.get(first) is not None
    cache.put(third, bytes(1000))
    assert [cache.get(key) is not None for key in (first, second, third)] == [True, False, True]
    assert cache.get(cache.put(second, bytes(5000)).stem) is not None


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: b"X" + c[1:], lambda c: b"", lambda c: c[:10]])
def test_a_damaged_entry_is_removed(cache: Cache, damage: object) -> None:
    assert callable(damage)
    path = cache.put(KEY, b"content")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(damage(content))
    assert cache.get(KEY) is None
    assert not path.exists()
    assert cache.get(cache.put(KEY, b"content").stem) == path


def test_a_file_is_replaced_and_never_rewritten(cache: Cache) -> None:
    path = cache.put(KEY, b"content")
    with path.open("rb") as mapped:
        cache.put(KEY, b"another")
        assert mapped.read().startswith(b"content")


@pytest.mark.parametrize("key", ["", "short", "../../etc/passwd", KEY.upper(), KEY[:-1] + "/"])
def test_a_key_is_a_digest(cache: Cache, key: str) -> None:
    with pytest.raises(ArtifactError, match="hex digest"):
        cache.put(key, b"content")


RACE = """
import sys, hashlib
from pathlib import Path
from tenfold_rt.cache import Cache
cache, keys = Cache(Path(sys.argv[1])), [hashlib.sha256(bytes([i])).hexdigest() for i in range(20)]
for turn in range(30):
    for key in keys:
        found = cache.get(key)
        if found is None or turn % 7 == int(sys.argv[2]):
            found = cache.put(key, key.encode() * 1000)
        assert found.read_bytes()[:-32] == key.encode() * 1000
print("done")
"""


def test_many_processes_share_it(cache: Cache) -> None:
    processes = [python(RACE, cache.directory, number) for number in range(4)]
    assert [process.communicate()[0].strip() for process in processes] == [b"done"] * 4
    assert cache.entries() == 20
    assert list(cache.directory.glob("??/*.tmp")) == []


KILLED = """
import os, sys, hashlib
from pathlib import Path
from tenfold_rt.cache import Cache
os.replace = lambda *_: (print("ready", flush=True), __import__("time").sleep(60))
Cache(Path(sys.argv[1])).put(sys.argv[2], b"half")
"""


def test_a_killed_writer_leaves_nothing_to_find(cache: Cache) -> None:
    with python(KILLED, cache.directory, KEY) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    assert cache.get(KEY) is None
    (left,) = cache.directory.glob("??/*.tmp")
    cache.put(KEY, b"content")
    assert left.exists(), "another writer may be alive"
    os.utime(left, (time.time() - 7200,) * 2)
    cache.put(KEY, b"content")
    assert not left.exists()


def test_a_place_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file" / "cache")
    assert cache.get(KEY) is None
    with pytest.warns(RuntimeWarning, match="TENFOLD_CACHE_DIR") as caught:
        path, _ = cache.put(KEY, library()), cache.put(OTHER, b"other")
    assert len(caught) == 1
    assert cache.get(KEY) == path
    assert load(path).entry("add")
    assert (cache.entries(), cache.size(), cache.clear()) == (0, 0, 0)


def test_a_read_only_directory_falls_back(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        directory = Path("/proc/tenfold")  # root may write to any real directory
    else:
        directory = tmp_path / "cache"
        directory.mkdir(mode=0o500)
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        assert load(Cache(directory).put(KEY, library())).entry("add")


def test_a_full_disk_falls_back_to_memory(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        first, second = cache.put(KEY, library()), cache.put(OTHER, library())
    assert first != second
    assert load(first).entry("add")
    assert cache.get(KEY) == first


def test_a_write_that_fails_leaves_nothing(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put(OTHER, b"other")
    shard = cache.directory / KEY[:2]

    def fail(source: str, target: Path) -> None:
        if str(cache.directory) in str(target):
            raise OSError(errno.EIO, "broken")
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.warns(RuntimeWarning, match="broken"):
        cache.put(KEY, b"content")
    assert list(shard.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_directory_that_others_can_write_to_is_not_trusted(cache: Cache, mode: int) -> None:
    path = cache.put(KEY, b"content")
    cache.directory.chmod(mode)
    assert cache.get(KEY) is None
    with pytest.warns(RuntimeWarning, match=r"other users can write to it, whose code would be run; chmod go-w it"):
        assert cache.put(KEY, b"content") != path
    assert cache.obstacle() == "other users can write to it, whose code would be run; chmod go-w it"


def group_is(monkeypatch: pytest.MonkeyPatch, cache: Cache, *, number: int, name: str) -> None:
    """Let the cache belong to user 1000, called ann, and to the group `number`, called `name`."""
    status = cache.directory.stat()
    fields = [*status[:4], 1000, number, *status[6:10]]
    monkeypatch.setattr(Path, "stat", lambda path: os.stat_result(fields) if path == cache.directory else os.stat(path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="ann"))
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name=name))


@pytest.mark.parametrize(("number", "name"), [(1000, "staff"), (2000, "ann"), (0, "root")])
def test_a_group_of_the_user_alone_may_write(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    path = cache.put(KEY, b"content")
    cache.directory.chmod(0o775)
    group_is(monkeypatch, cache, number=number, name=name)
    assert cache.get(KEY) == path


def test_a_directory_that_a_group_of_several_can_write_to_is_not_trusted(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(KEY, b"content")
    cache.directory.chmod(0o775)
    group_is(monkeypatch, cache, number=100, name="users")
    assert cache.get(KEY) is None
    with pytest.warns(RuntimeWarning, match=r"other users of its group can write to it, .*; chmod g-w it"):
        cache.put(OTHER, b"content")


def test_a_directory_of_another_user_is_not_trusted(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put(KEY, b"content")
    group_is(monkeypatch, cache, number=1000, name="ann")
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    assert cache.get(KEY) is None
    assert cache.obstacle() == "it belongs to another user, whose code would be run; name one of your own"


def test_directory_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENFOLD_CACHE_DIR", str(tmp_path))
    assert default_directory() == tmp_path
    assert Cache().directory == tmp_path
    monkeypatch.delenv("TENFOLD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_directory() == tmp_path / "xdg" / "tenfold"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_directory() == tmp_path / "home" / ".cache" / "tenfold"


def test_libraries_that_cannot_be_kept_leave_no_files(tmp_path: Path) -> None:
    program = (
        "import sys, warnings; warnings.simplefilter('ignore'); from pathlib import Path\n"
        "from tenfold_rt.cache import Cache; print(Cache(Path('/proc/none')).put(sys.argv[1], b'x').read_bytes())"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", program, KEY]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    assert output == "b'x'\n"
    assert list(tmp_path.iterdir()) == []
