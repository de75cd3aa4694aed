"""A concatenation of many parts is a loop per part, which no element's place is asked in."""

from __future__ import annotations

from typing import Any

import numpy as np

import tenfold as tn


def test_parts_are_moved_one_after_the_other() -> None:
    parts = [np.arange(6, dtype=np.float32).reshape(2, 3) + number for number in range(4)]

    @tn.compile
    def join(*xs: Any) -> Any:
        return tn.cat([x * 2 for x in xs], dim=1)

    text = join.lower(*parts).text("loops")
    assert "select" not in text
    assert text.count("kernel ") == 1
    np.testing.assert_array_equal(join(*parts), np.concatenate([2 * part for part in parts], axis=1))
