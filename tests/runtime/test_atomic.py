"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenfold_rt.atomic import written_beside


def test_file_holds_the_parts_and_can_be_renamed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with written_beside(path, (b"one", b"two"), 0o500) as temporary:
        assert not path.exists()
        temporary.replace(path)
    assert path.read_bytes() == b"onetwo"
    assert path.stat().st_mode & 0o777 == 0o500
    assert list(tmp_path.iterdir()) == [path]


def test_error_before_the_rename_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), written_beside(tmp_path / "file", (b"half",), 0o644):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
