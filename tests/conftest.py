"""What all tests share: a disk cache of their own, and one random seed per run.

The seed is printed in the header and given again with `--seed`.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of the random data, as an earlier run printed it")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--seed") is None:
        config.option.seed = secrets.randbelow(2**31)


def pytest_report_header(config: pytest.Config) -> str:
    return f"random seed: {config.getoption('--seed')}"


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One disk cache for the session, away from the user's."""
    directory = tmp_path_factory.getbasetemp() / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENFOLD_CACHE_DIR", str(directory))
        yield directory


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that depend on the seed and on the test's name alone; a failure shows the seed."""
    seed = request.config.getoption("--seed")
    print(f"random seed: {seed}")
    return np.random.default_rng([seed, zlib.crc32(request.node.nodeid.encode())])
