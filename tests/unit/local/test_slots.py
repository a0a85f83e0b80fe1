"""Slot planning: shares never add up to more than a device, and priority is kept."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.resources import Resources
from slurm.backend import QueuedJob
from slurm.local.slots import CPU, Device, Machine, Share, parse_slot, plan, slot_gpus, slot_name


def job(number: int, gpus: int = 1, cpus: int = 1, device: str = "auto", avoid: tuple[str, ...] = (), **options: int):
    resources = Resources(cpus=cpus, gpus=gpus)
    return QueuedJob(job=number, resources=resources, device=device, avoid=frozenset(avoid), options=options)


def machine(gpus: tuple[Device, ...] = (), cores: int = 4, cpu: Device | None = None, **settings: int) -> Machine:
    return Machine(cores=cores, cpu=cpu or Device(name=CPU), gpus=gpus, **settings)


def gpu(name: str, *tenants: Share, busy: str = "", free: float = 1.0) -> Device:
    return Device(name=name, tenants=tenants, busy=busy, free_memory=free)


def names(planned: dict[int, tuple[Share, ...]]) -> dict[int, str]:
    return {number: slot_name(shares) for number, shares in planned.items()}


def test_slot_names_are_read_back():
    for slot in ("cpu:0", "cpu:1/4", "gpu:2:0", "gpu:GPU-1f2a:1/3", "gpu:MIG-GPU-1f/3/0:0", "gpu:2:0,gpu:3:1/2"):
        assert slot_name(parse_slot(slot)) == slot
    assert slot_gpus("gpu:2:0,gpu:3:1/2") == ("2", "3")
    assert slot_gpus("cpu:1/4") == ()
    for bad in ("", "gpu:2", "cpu:x", "gpu:2:0/0", "gpu:2:0,"):
        with pytest.raises(ValueError, match="is no slot"):
            parse_slot(bad)


def test_each_gpu_takes_one_job_by_default_and_several_where_asked():
    two = machine((gpu("2"), gpu("3")))
    assert names(plan([job(1), job(2), job(3)], two, frozenset()).placed) == {1: "gpu:2:0", 2: "gpu:3:0"}
    shared = machine((gpu("2"), gpu("3")), jobs_per_gpu=2)
    placed = names(plan([job(n) for n in range(5)], shared, frozenset()).placed)
    assert placed == {0: "gpu:2:0/2", 1: "gpu:3:0/2", 2: "gpu:2:1/2", 3: "gpu:3:1/2"}


def test_a_jobs_own_wish_to_share_counts_and_never_crowds_one_that_wants_a_gpu_whole():
    whole = machine((gpu("0", Share("0", 0)),), jobs_per_gpu=2)
    assert plan([job(1)], whole, frozenset()).placed == {}
    half = machine((gpu("0", Share("0", 0, 2)),))
    assert plan([job(1)], half, frozenset()).placed == {}
    assert names(plan([job(1, jobs_per_gpu=2)], half, frozenset()).placed) == {1: "gpu:0:1/2"}


def test_cores_are_divided_by_what_jobs_ask():
    planned = plan([job(n, gpus=0, cpus=2) for n in range(4)], machine(cores=5), frozenset())
    assert names(planned.placed) == {0: "cpu:0/2", 1: "cpu:1/2"}
    assert planned.waiting[2] == "waits for a CPU slot: CPU: taken by 2 job(s)"
    assert names(plan([job(1, gpus=0, cpus=64)], machine(cores=4), frozenset()).placed) == {1: "cpu:0"}
    fixed = plan([job(n, gpus=0) for n in range(4)], machine(cores=8, cpu_slots=3), frozenset())
    assert len(fixed.placed) == 3


def test_each_process_of_a_job_takes_a_slot():
    def ranks(number: int, **more: int):
        return job(number, launcher="torchrun", **more)  # type: ignore[arg-type]

    two = [ranks(n, gpus=0, ranks_per_node=2) for n in range(3)]
    assert names(plan(two, machine(cpu_slots=4), frozenset()).placed) == {0: "cpu:0/2", 1: "cpu:1/2"}
    assert names(plan(two, machine(cpu_slots=2), frozenset()).placed) == {0: "cpu:0"}
    assert names(plan([ranks(1, gpus=2)], machine(cpu_slots=2), frozenset()).placed) == {1: "cpu:0"}
    pair = machine((gpu("2"), gpu("3")), cpu_slots=2)
    assert names(plan([ranks(1, gpus=2)], pair, frozenset()).placed) == {1: "gpu:2:0,gpu:3:0"}


def test_without_gpus_auto_goes_to_the_cpu_and_cuda_never_does():
    none = machine()
    planned = plan([job(1), job(2, device="cuda")], none, frozenset())
    assert names(planned.placed) == {1: "cpu:0/4"}
    assert planned.waiting[2] == "asks for 1 GPU(s) and this host offers 0: ask for fewer"
    silent = machine(gpu_problem="NVML says 'GPU is lost'")
    assert "GPU is lost" in plan([job(1)], silent, frozenset()).waiting[1]


def test_busy_full_and_struck_out_gpus_take_no_job_and_say_so():
    devices = (gpu("0", busy="used by alice (pid 7: python)"), gpu("1", free=0.1), gpu("2"), gpu("3"))
    planned = plan([job(1), job(2)], machine(devices), frozenset({"2"}))
    assert names(planned.placed) == {1: "gpu:3:0"}
    assert "GPU 0: used by alice (pid 7: python)" in planned.waiting[2]
    assert "GPU 1: only 10% of its memory is free" in planned.waiting[2]
    struck = plan([job(1, avoid=("3",))], machine((gpu("2"), gpu("3"))), frozenset({"2"}))
    assert struck.waiting[1] == "waits until GPUs that failed are tried again: 2, 3 (see orch nodes)"
    assert names(plan([job(1, gpus=0)], machine(devices), frozenset({CPU})).placed) == {1: "cpu:0/4"}


def test_a_job_of_two_gpus_is_not_starved_by_later_small_ones():
    devices = (gpu("0", Share("0", 0)), gpu("1"))
    planned = plan([job(1, gpus=2), job(2), job(3, gpus=0)], machine(devices), frozenset())
    assert names(planned.placed) == {3: "cpu:0/4"}
    assert "kept for a job of higher priority" in planned.waiting[2]
    impossible = plan([job(1, gpus=3), job(2)], machine(devices), frozenset())
    assert names(impossible.placed) == {2: "gpu:1:0"}
    avoiding = plan([job(1, avoid=("1",)), job(2)], machine(devices), frozenset())
    assert names(avoiding.placed) == {2: "gpu:1:0"}


gpu_names = st.sampled_from(["0", "1", "2", "GPU-aa", "MIG-bb"])
queues = st.lists(
    st.builds(
        lambda gpus, cpus, device, avoid, parts: (gpus, cpus, device, tuple(avoid), parts),
        st.integers(0, 3),
        st.integers(1, 6),
        st.sampled_from(["auto", "cpu", "cuda"]),
        st.sets(gpu_names, max_size=2),
        st.integers(1, 4),
    ),
    max_size=12,
)


@given(
    queue=queues,
    present=st.lists(gpu_names, unique=True, max_size=4),
    busy=st.sets(gpu_names, max_size=2),
    exclude=st.sets(gpu_names, max_size=2),
    cores=st.integers(1, 9),
    cpu_slots=st.none() | st.integers(1, 5),
)
def test_never_more_workers_than_slots(queue, present, busy, exclude, cores, cpu_slots):
    devices = tuple(gpu(name, busy="x" if name in busy else "") for name in present)
    host = machine(devices, cores=cores, cpu_slots=cpu_slots)
    tenants: dict[str, list[Share]] = defaultdict(list)
    jobs = [
        job(number, gpus, cpus, device, avoid, jobs_per_gpu=parts)
        for number, (gpus, cpus, device, avoid, parts) in enumerate(queue)
    ]
    for _ in range(2):  # the second round meets the tenants of the first
        host = machine(
            tuple(gpu(d.name, *tenants[d.name], busy=d.busy) for d in devices),
            cores=cores,
            cpu=Device(name=CPU, tenants=tuple(tenants[CPU])),
            cpu_slots=cpu_slots,
        )
        planned = plan(jobs, host, frozenset(exclude))
        assert planned.placed.keys() | planned.waiting.keys() == {one.job for one in jobs}
        assert not planned.placed.keys() & planned.waiting.keys()
        for one in jobs:
            shares = planned.placed.get(one.job, ())
            used = [share.device for share in shares]
            assert len(set(used)) == len(used)
            if shares and used != [CPU]:
                assert len(used) == one.resources.gpus
                assert one.device != "cpu"
                assert not set(used) & (exclude | one.avoid | busy)
            for share in shares:
                tenants[share.device].append(share)
        for taken in tenants.values():
            assert sum((share.size for share in taken), Fraction(0)) <= 1
            assert len({share.index for share in taken}) == len(taken)
            for parts in {share.parts for share in taken}:
                assert sum(share.parts == parts for share in taken) <= parts
        jobs = [one for one in jobs if one.job in planned.waiting]


@given(queue=queues, present=st.lists(gpu_names, unique=True, max_size=4))
def test_a_later_job_never_takes_what_an_earlier_waiting_one_could_use(queue, present):
    jobs = [
        job(number, gpus, cpus, device, avoid, jobs_per_gpu=parts)
        for number, (gpus, cpus, device, avoid, parts) in enumerate(queue)
    ]
    planned = plan(jobs, machine(tuple(gpu(name) for name in present)), frozenset())
    for waiting in jobs:
        could = set(present) - waiting.avoid
        if waiting.job not in planned.waiting or waiting.device == "cpu" or len(could) < waiting.resources.gpus:
            continue
        if waiting.resources.gpus > 0:
            later = [share.device for n, shares in planned.placed.items() if n > waiting.job for share in shares]
            assert not could & set(later)


def test_fewer_jobs_share_a_gpu_whose_memory_would_not_hold_them():
    def needs(number: int, memory: int, parts: int = 4) -> QueuedJob:
        resources = Resources(gpus=1, gpu_memory_mb=memory)
        return QueuedJob(job=number, resources=resources, device="auto", options={"jobs_per_gpu": parts})

    def sized(memory: float | None) -> Machine:
        return machine((Device(name="0", memory_mb=memory),))

    jobs = [needs(number, 5000) for number in range(4)]
    planned = plan(jobs, sized(11_000), frozenset())
    assert names(planned.placed) == {0: "gpu:0:0/2", 1: "gpu:0:1/2"}
    assert "memory holds 2 of 5000 MB (--gpu-mem)" in planned.waiting[2]
    assert len(plan(jobs, sized(80_000), frozenset()).placed) == 4
    assert len(plan(jobs, sized(None), frozenset()).placed) == 4, "no driver tells: as asked"
    assert names(plan([needs(1, 90_000)], sized(11_000), frozenset()).placed) == {1: "gpu:0:0"}, "alone, by an estimate"
    assert len(plan([needs(n, 0) for n in range(4)], sized(11_000), frozenset()).placed) == 4, "nothing is known"
