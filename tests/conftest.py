"""What all tests share: a disk cache of their own, one random seed per run, and which slow sweeps run.

The seed is printed in the header and given again with `--seed`.  Tests marked `slow` run where `--slow=SHARE` draws
them by the seed: 1 is all, 0 (the default) none.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of the random data, as an earlier run printed it")
    parser.addoption("--slow", type=float, default=0.0, metavar="SHARE", help="share of the slow tests to run, 0 to 1")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.option.seed = config.workerinput["seed"]
    elif config.getoption("--seed") is None:
        config.option.seed = secrets.randbelow(2**31)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker of pytest-xdist the seed of the run."""
    node.workerinput["seed"] = node.config.getoption("--seed")


def pytest_report_header(config: pytest.Config) -> str:
    return f"random seed: {config.getoption('--seed')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share = config.getoption("--slow")
    chosen = [item for item in items if "slow" not in item.keywords or _draw(config, item.nodeid).random() < share]
    if len(chosen) < len(items):
        kept = set(chosen)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = chosen


def _draw(config: pytest.Config, name: str) -> np.random.Generator:
    """Random numbers that depend on the seed and on `name` alone."""
    return np.random.default_rng([config.getoption("--seed"), zlib.crc32(name.encode())])


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
    print(f"random seed: {request.config.getoption('--seed')}")
    return _draw(request.config, request.node.nodeid)
