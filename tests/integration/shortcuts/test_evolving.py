"""The evolution as a graph of jobs: run one after the other as ingestion would enqueue them, on one slot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from db import creation, jobs
from db.store import Store
from jobs import architectures
from jobs.errors import OrchError
from jobs.files import now
from jobs.kind import kind_named
from jobs.node.context import Interrupted
from jobs.records import Outcome, Spawn
from jobs.resources import Asked
from jobs.shortcuts.evolution import WORST, Evolution
from jobs.words import Cause
from orchestrator.submitting.planning import Launch, Order, templates_and_wanted
from orchestrator.supervision import spawning
from tests.helpers.context import MemoryContext

TINY = {"width": 1 / 32, "train_images": 140, "population": 3, "generations": 3, "most_edges": 6}


class Graph:
    """Runs jobs in the order of their needs; what is spawned twice is one job. `broken` names jobs that fail."""

    def __init__(self, folder: Path, broken: frozenset[int] = frozenset()) -> None:
        self.folder = folder
        self.broken = broken
        self.jobs: dict[str, int] = {}
        self.spawns: dict[int, Spawn] = {}
        self.needs: dict[int, tuple[int, ...]] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.ended: set[int] = set()

    def enqueue(self, spawned: list[Spawn]) -> list[int]:
        ids: list[int] = []
        for spawn in spawned:
            kind = kind_named(spawn.kind)
            config = msgspec.convert(spawn.config, kind.config)
            assert msgspec.json.encode(config) == msgspec.json.encode(spawn.config)  # canonical: so its key finds it
            [key] = kind.keys(config, [spawn.seed])
            job = self.jobs.setdefault(key, len(self.jobs) + 1)
            self.spawns[job] = spawn
            self.needs[job] = tuple(ids[int(n[1:])] if n.startswith("#") else int(n) for n in spawn.needs)
            ids.append(job)
        return ids

    def run(self) -> None:
        while left := [job for job in self.spawns if job not in self.ended]:
            job = next(job for job in left if all(need in self.ended for need in self.needs[job]))
            self.run_one(job)

    def run_one(self, job: int) -> None:
        spawn = self.spawns[job]
        kind = kind_named(spawn.kind)
        inputs = {need: self.outcomes[need] for need in self.needs[job] if need in self.outcomes}
        assert len(inputs) == len(self.needs[job]) or spawn.tolerate_failure
        self.ended.add(job)
        if job in self.broken:
            return
        context = MemoryContext(
            msgspec.convert(spawn.config, kind.config), self.folder / str(job), spawn.seed, job=job, inputs=inputs
        )
        result: dict[str, float | None] = dict(kind.function()(context))
        outcome = Outcome(
            ending="success",
            cause=Cause.SUCCESS,
            result=result,
            architecture=context.architecture,
            state=context.state,
            spawn=tuple(context.spawned),
            at=now(),
        )
        self.outcomes[job] = msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome)
        self.enqueue(list(self.outcomes[job].spawn))


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def evolved(folder: Path, seed: int = 0, broken: frozenset[int] = frozenset(), **values: Any) -> Graph:
    graph = Graph(folder, broken)
    config = kind_named("evolve").configure({**TINY, **values}, "demo")
    graph.enqueue([Spawn(kind="evolve", seed=seed, config=msgspec.to_builtins(config))])
    graph.run()
    return graph


def kinds_of(graph: Graph) -> list[str]:
    return [graph.spawns[job].kind for job in sorted(graph.spawns)]


def test_generations_follow_each_other_until_the_last(tmp_path: Path) -> None:
    graph = evolved(tmp_path)
    assert kinds_of(graph)[:5] == ["evolve", *["individual"] * 3, "evolve-step"]
    steps = [job for job in graph.spawns if graph.spawns[job].kind == "evolve-step"]
    assert [graph.outcomes[job].result["generation"] for job in steps] == [1, 2, 3]
    assert graph.outcomes[steps[-1]].spawn == ()
    individuals = [job for job in graph.spawns if graph.spawns[job].kind == "individual"]
    last = graph.outcomes[steps[-1]]
    state = msgspec.convert(last.state, Evolution)
    assert len(state.fitness) == len(individuals) == last.result["evaluated"]
    best = max(graph.outcomes[job].result["val_accuracy"] or 0.0 for job in individuals)
    assert last.result["val_accuracy"] == best
    assert last.architecture is not None
    assert last.result["params"] == architectures.parameters(last.architecture.edges, 1 / 32)
    for job in individuals:
        result = graph.outcomes[job].result
        assert "test_accuracy" not in result  # selection never sees the test set
        architecture = graph.outcomes[job].architecture
        assert architecture is not None
        assert [list(edge) for edge in architecture.edges] == [
            list(e) for e in graph.spawns[job].config.get("edges", ())
        ]


def test_the_same_seed_asks_for_the_same_jobs_and_another_for_others(tmp_path: Path) -> None:
    one, two = evolved(tmp_path / "1"), evolved(tmp_path / "2")
    assert one.jobs == two.jobs
    other = evolved(tmp_path / "3", seed=1, generations=1)
    assert not one.jobs.keys() & other.jobs.keys()


def test_a_failed_individual_gets_the_worst_fitness_and_the_evolution_goes_on(tmp_path: Path) -> None:
    graph = evolved(tmp_path, broken=frozenset({3}))
    last = graph.outcomes[max(job for job in graph.spawns if graph.spawns[job].kind == "evolve-step")]
    state = msgspec.convert(last.state, Evolution)
    assert last.result["generation"] == 3
    assert last.result["failed"] == 1
    assert state.fitness[state.failed[0]] == WORST


def test_a_generation_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OrchError, match="all 3 evaluations of generation 0 failed"):
        evolved(tmp_path, broken=frozenset({2, 3, 4}))


def test_a_step_without_its_predecessor_says_so(tmp_path: Path) -> None:
    config = kind_named("evolve-step").configure(TINY, "demo")
    with pytest.raises(OrchError, match="the state of the step before is missing"):
        kind_named("evolve-step").function()(MemoryContext(config, tmp_path))


def test_an_individual_resumes(tmp_path: Path) -> None:
    kind = kind_named("individual")
    config = kind.configure({"width": 1 / 32, "train_images": 140, "edges": ((0, 2), (3, 7)), "epochs": 2}, "demo")
    whole = kind.function()(MemoryContext(config, tmp_path / "whole"))
    first = MemoryContext(config, tmp_path / "a", stop=lambda: True)
    with pytest.raises(Interrupted):
        kind.function()(first)
    second = MemoryContext(config, tmp_path / "b", earlier=(first.folder / "checkpoints",))
    resumed = kind.function()(second)
    assert resumed["val_accuracy"] == whole["val_accuracy"]
    assert resumed["train_loss"] == whole["train_loss"]


def test_an_individual_of_foreign_edges_is_refused() -> None:
    with pytest.raises(OrchError, match="shortcut '4-5' is not in the space"):
        kind_named("individual").configure({"edges": ((4, 5),)})
    with pytest.raises(OrchError, match="edges must be sorted and each once"):
        kind_named("individual").configure({"edges": ((3, 7), (0, 2))})


def test_what_evolution_asks_for_runs_as_its_command_asked(tmp_path: Path) -> None:
    """Memory, time and device hold for individuals and steps; what was not asked for is each kind's own."""
    store = Store(tmp_path / ".orch", create=True)
    evolve = kind_named("evolve")
    config = evolve.configure({})
    launch = Launch(backend="slurm", device="cpu", asked=Asked(memory_mb=3000, minutes=5))
    templates, wanted = templates_and_wanted([Order(kind=evolve, config=config, seeds=[0])], launch)
    individual = Spawn(kind="individual", config=to_canonical("individual"), seed=0)
    step = Spawn(kind="evolve-step", config=to_canonical("evolve-step"), seed=0)
    with store.write() as writer:
        [parent] = creation.ensure(writer, "default", templates, wanted, now()).ids
        [between] = spawning.spawn(writer, jobs.get(writer.connection, parent), [step], now())
        [child] = spawning.spawn(writer, jobs.get(writer.connection, between), [individual], now())
        found = [jobs.get(writer.connection, job).launching for job in (between, child)]
    assert [(one.resources.memory_mb, one.resources.minutes) for one in found] == [(3000, 5)] * 2
    assert [(one.resources.cpus, one.resources.gpus, one.device) for one in found] == [(1, 0, "cpu"), (2, 0, "cpu")]


def to_canonical(kind: str) -> dict[str, Any]:
    canonical: dict[str, Any] = msgspec.to_builtins(kind_named(kind).configure({}))
    return canonical
