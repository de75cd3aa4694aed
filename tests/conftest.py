"""What all tests share: one random seed per run, printed in the header and given again with `--seed`."""

from __future__ import annotations

import secrets
import zlib

import numpy as np
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of the random data, as an earlier run printed it")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--seed") is None:
        config.option.seed = secrets.randbelow(2**31)


def pytest_report_header(config: pytest.Config) -> str:
    return f"random seed: {config.getoption('--seed')}"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that depend on the seed and on the test's name alone; a failure shows the seed."""
    seed = request.config.getoption("--seed")
    print(f"random seed: {seed}")
    return np.random.default_rng([seed, zlib.crc32(request.node.nodeid.encode())])
