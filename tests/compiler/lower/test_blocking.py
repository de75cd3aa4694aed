"""How products are cut into register tiles."""

import pytest

from tenfold_rt import dtypes
from tenfoldc.lower.products.blocking import blocking
from tenfoldc.target import named

V3 = named("x86-64-v3")


@pytest.mark.parametrize("rows", range(1, 70))
def test_rows_are_cut_such_that_few_tiles_are_too_low_to_keep_the_units_busy(rows):
    height = blocking(V3, rows, 512, 256, dtypes.f32).mr
    assert height <= 6
    full, rest = divmod(rows, height)
    multiplied = full * max(height, 4) + (max(rest, 4) if rest else 0)  # a tile of two vectors a row has work for four
    assert multiplied <= max(rows, 4) * (1.34 if rows < 8 else 1.12)


@pytest.mark.parametrize(("rows", "height"), [(24, 6), (32, 4), (38, 5), (64, 6), (128, 6), (1000, 6)])
def test_the_highest_tile_is_taken_where_it_fits_well(rows, height):
    assert blocking(V3, rows, 512, 256, dtypes.f32).mr == height


def test_blocks_of_rows_are_whole_tiles():
    for rows in (7, 32, 100, 1000):
        blocks = blocking(V3, rows, 512, 2000, dtypes.f32)
        assert blocks.mc % blocks.mr == 0


def last_to_end(rows: int, block: int, threads: int) -> int:
    """The rows of the thread that has the most, where one that is free takes the next block."""
    done = [0] * threads
    for first in range(0, rows, block):
        done[done.index(min(done))] += min(block, rows - first)
    return max(done)


@pytest.mark.parametrize("rows", [384, 400, 512, 640, 1000, 1024, 1500, 2048, 3000, 4096, 5000])
@pytest.mark.parametrize("threads", [2, 4, 8])
def test_threads_share_blocks_of_rows_evenly(rows, threads):
    blocks = blocking(V3, rows, 512, 2000, dtypes.f32)
    assert last_to_end(rows, blocks.mc, threads) <= 1.081 * rows / threads
    assert blocks.mc >= 8 * blocks.mr


def test_few_rows_are_one_block():
    for rows in (1, 64, 128, 192):
        assert blocking(V3, rows, 512, 2000, dtypes.f32).mc >= rows
