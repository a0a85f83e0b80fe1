"""Real SLURM clusters for the tests in this folder, each a set of daemons out of one temporary folder.

`cluster` is the one to use: 4 nodes with 8 CPUs, 16000 MB and 4 fake GPUs each, with slurmdbd, shared by the whole
session and put in order before each test. `new_cluster` makes others; they are up inside a `with` only:

>>> with new_cluster(accounting=False, nodes=1, extra_conf={"MaxArraySize": 5}) as cluster:  # doctest: +SKIP
...     cluster.run("sinfo")

What takes long but waits most of the time is a story: a function of (new_cluster, folder) that goes on in the
background while other tests run. A test with `@pytest.mark.background(story=...)` gets what it returned as `told`.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from slurm.testcluster import Cluster, install_command, missing_packages
from tests.slurm import slow as slowly
from tests.slurm.bench import Bench

_HERE = Path(__file__).parent
_REQUIRE = "ORCH_REQUIRE_SLURM"
_NOT_RUN = pytest.StashKey[str]()

NewCluster = Callable[..., Cluster]
Story = Callable[[NewCluster, Path], Any]
MOST_STORIES_AT_ONCE = 2
SLOW = {"test_away.py", "test_crash_points.py", "test_preemption.py", "test_time_limit.py"}
LAST = {"test_chaos.py", "test_table2.py"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "background(story): a test of what a story in the background came to")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without SLURM skip this folder's tests and say so once, or refuse to run where ORCH_REQUIRE_SLURM=1."""
    ours = [item for item in items if _HERE in item.path.parents]
    items.sort(key=_turn)  # stable: stories have time to go on, and what makes the host busy comes when they are over
    missing = missing_packages() if ours else []
    if not missing:
        return
    reason = f"{len(ours)} tests on a real SLURM were NOT RUN: install it by `{install_command(missing)}`."
    if os.environ.get(_REQUIRE) == "1":
        raise pytest.UsageError(f"{_REQUIRE}=1, but {reason}")
    config.stash[_NOT_RUN] = reason
    for item in ours:
        item.add_marker(pytest.mark.skip(reason=reason))


def _turn(item: pytest.Item) -> int:
    if item.path.name in LAST:
        return 2
    return int(item.path.name in SLOW or item.get_closest_marker("background") is not None)


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


@pytest.fixture
def bench(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """With a hostile environment: formats and filters of the user's own, and a surrounding allocation."""
    monkeypatch.setenv("SLURM_CONF", cluster.env()["SLURM_CONF"])
    for name, value in {
        "SQUEUE_FORMAT": "%i",
        "SACCT_FORMAT": "JobID",
        "SLURM_BITSTR_LEN": "8",
        "SBATCH_PARTITION": "none",
        "SLURM_JOB_ID": "999999",
        "SLURM_ARRAY_TASK_ID": "7",
        "SLURM_MEM_PER_CPU": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return Bench(tmp_path / ".orch")


@pytest.fixture(scope="session")
def slow(new_cluster: NewCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[slowly.Slow]:
    """Time limits, preemptions and dead supervisors on a cluster of their own; it goes on while other tests run."""
    with slowly.slow(new_cluster(nodes=12, cpus=2), tmp_path_factory.mktemp("slow")) as begun:
        yield begun


@pytest.fixture(scope="session")
def stories(
    request: pytest.FixtureRequest, new_cluster: NewCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Story, Future[Any]]]:
    """The stories of all tests of this session, begun in their order."""
    marks = [mark for item in request.session.items if (mark := item.get_closest_marker("background"))]
    executor = ThreadPoolExecutor(MOST_STORIES_AT_ONCE)
    begun: dict[Story, Future[Any]] = {}
    for story in dict.fromkeys(mark.kwargs["story"] for mark in marks):
        begun[story] = executor.submit(story, new_cluster, tmp_path_factory.mktemp(story.__name__))
    yield begun
    executor.shutdown(wait=False, cancel_futures=True)


@pytest.fixture
def told(request: pytest.FixtureRequest, stories: dict[Story, Future[Any]]) -> Any:
    """What the story of this test came to; its failure is this test's."""
    return stories[request.node.get_closest_marker("background").kwargs["story"]].result()


@pytest.fixture(scope="session", autouse=True)
def begin_early(request: pytest.FixtureRequest) -> None:
    """Before the first test begin what others will only look at."""
    if missing_packages():
        return
    if any(item.path.name in SLOW for item in request.session.items):
        request.getfixturevalue("slow")
    if any(item.get_closest_marker("background") for item in request.session.items):
        request.getfixturevalue("stories")
