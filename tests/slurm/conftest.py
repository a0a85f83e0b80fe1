"""Real SLURM clusters for the tests in this folder, each a set of daemons out of one temporary folder.

`cluster` is the one to use: 4 nodes with 8 CPUs, 16000 MB and 4 fake GPUs each, with slurmdbd, shared by the whole
session and put in order before each test. `new_cluster` makes others; they are up inside a `with` only:

>>> with new_cluster(accounting=False, nodes=1, extra_conf={"MaxArraySize": 5}) as cluster:  # doctest: +SKIP
...     cluster.run("sinfo")
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slurm.testcluster import Cluster, install_command, missing_packages
from tests.slurm import slow as slowly

_HERE = Path(__file__).parent
_REQUIRE = "ORCH_REQUIRE_SLURM"
_NOT_RUN = pytest.StashKey[str]()

NewCluster = Callable[..., Cluster]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without SLURM skip this folder's tests and say so once, or refuse to run where ORCH_REQUIRE_SLURM=1."""
    ours = [item for item in items if _HERE in item.path.parents]
    missing = missing_packages() if ours else []
    if not missing:
        return
    reason = f"{len(ours)} tests on a real SLURM were NOT RUN: install it by `{install_command(missing)}`."
    if os.environ.get(_REQUIRE) == "1":
        raise pytest.UsageError(f"{_REQUIRE}=1, but {reason}")
    config.stash[_NOT_RUN] = reason
    for item in ours:
        item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The one loud line about tests that were not run."""
    if reason := config.stash.get(_NOT_RUN, None):
        terminalreporter.write_line(reason, red=True, bold=True)


@pytest.fixture(scope="session")
def new_cluster() -> Iterator[NewCluster]:
    """Makes a Cluster (not up yet) from its keyword arguments, in a folder of its own that ends with the session."""
    made: list[Cluster] = []

    def make(**settings: object) -> Cluster:
        # Not pytest's tmp_path: with a long name of a user or a test it is too long for a Unix socket.
        cluster = Cluster(Path(tempfile.mkdtemp(prefix="orch-slurm-", dir="/tmp")), **settings)  # type: ignore[arg-type]
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.remove()
        # One that was never up has an empty folder, which no Cluster takes for its own to delete.
        shutil.rmtree(cluster.base, ignore_errors=True)


@pytest.fixture(scope="session")
def session_cluster(new_cluster: NewCluster) -> Iterator[Cluster]:
    """The shared cluster as the last test left it; tests take `cluster` instead."""
    with new_cluster(nodes=4) as cluster:
        yield cluster


@pytest.fixture
def cluster(session_cluster: Cluster) -> Cluster:
    """The shared cluster: everything runs, no job is queued, every node is idle."""
    session_cluster.reset()
    return session_cluster


SLOW = {"test_away.py", "test_crash_points.py", "test_preemption.py", "test_time_limit.py"}


@pytest.fixture(scope="session")
def slow(new_cluster: NewCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[slowly.Slow]:
    """Time limits, preemptions and dead supervisors on a cluster of their own; it goes on while other tests run."""
    with slowly.slow(new_cluster(nodes=12, cpus=2), tmp_path_factory.mktemp("slow")) as begun:
        yield begun


@pytest.fixture(scope="session", autouse=True)
def begin_what_is_slow(request: pytest.FixtureRequest) -> None:
    """Where tests of such jobs are to run, begin the jobs before any other test."""
    if any(item.path.name in SLOW for item in request.session.items) and not missing_packages():
        request.getfixturevalue("slow")
