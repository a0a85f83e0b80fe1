"""What `orch doctor` looks at besides the store: software, data sets, GPUs and SLURM."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jobs.training import datasets
from orchestrator.settings import Settings
from orchestrator.supervision.machines import enter_lab, lab_of, slurm_is_here
from orchestrator.upkeep.findings import Finding, failure, ok, warning
from orchestrator.views.words import listed, plural
from slurm.cluster.probe import Findings, probe
from slurm.lab.controllers import trouble
from slurm.local import gpus
from slurm.local.gpulocks import GpuLocks


def software() -> list[Finding]:
    """Versions of what orch stands on."""
    names = ("orch", "torch", "submitit", "sqlalchemy")
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return [failure("software", f"{name} is not installed", f"pip install {name}")]
    return [ok("software", f"Python {'.'.join(map(str, sys.version_info[:3]))}, {', '.join(found)}")]


def data_sets(settings: Settings, needed: Collection[str]) -> list[Finding]:
    """Where each data set is; `needed` are those that jobs still want."""
    folder = Path(settings.data_dir) if settings.data_dir else None
    found = []
    for name in datasets.names():
        place = datasets.find(datasets.named(name), folder)
        if place is not None:
            found.append(ok("data set", f"{name} in {place}"))
        elif name in needed:
            where = ", ".join(map(str, datasets.places(folder)))
            mend = "let orch fetch it (orch submit does, where there is internet) or name its folder with --data-dir"
            found.append(failure("data set", f"{name} is needed by jobs, and it is not in {where}", mend))
        else:
            found.append(ok("data set", f"{name} is not here; it is fetched when a job needs it"))
    return found


def gpu_preflight(settings: Settings) -> list[Finding]:
    """Whether the GPUs that local jobs would get answer, and who uses them."""
    variable = (
        ",".join(settings.local.gpus) if settings.local.gpus is not None else os.environ.get("CUDA_VISIBLE_DEVICES")
    )
    try:
        driver = gpus.open_driver()
        visible = gpus.visible(variable, driver)
    except gpus.DriverSilent as error:
        mend = "see what 'nvidia-smi' says; often a new driver needs a reboot"
        return [failure("GPUs", f"the NVIDIA driver does not answer: {error}", mend)]
    if driver is None:
        return [ok("GPUs", "no NVIDIA driver: local jobs run on the CPU")]
    if not visible:
        text = f"the driver has {plural(len(driver.devices()), 'GPU')}, and CUDA_VISIBLE_DEVICES={variable} shows none"
        return [warning("GPUs", text, "unset CUDA_VISIBLE_DEVICES, or name GPUs that are there")]
    found = []
    locks = GpuLocks()
    for gpu in visible:
        for tenant in locks.tenants(gpu.key):
            found.append(ok("GPU", f"{gpu.name}: a share of 1/{tenant.share.parts} is held by {tenant.who}"))
        try:
            use = driver.use(gpu.key)
        except gpus.DriverSilent as error:
            found.append(failure("GPU", f"{gpu.name} does not answer: {error}", "see 'nvidia-smi' and 'dmesg' (Xid)"))
            continue
        others = gpus.describe(use.processes) if use.processes else "unused"
        found.append(ok("GPU", f"{gpu.name}: {use.free_mb:.0f} of {use.total_mb:.0f} MB free, {others}"))
    found += [warning("GPU locks", text, "remove it, or ask its owner to") for text in locks.oddities.values()]
    if version("torch").endswith("+cpu"):
        mend = "install the CUDA build of torch (see pytorch.org)"
        found.append(failure("torch", "there are GPUs, but this torch was built without CUDA", mend))
    return found


def lab(root: Path, settings: Settings) -> list[Finding]:
    """The store's own lab; SLURM's commands mean it from here on. Raises ClusterError."""
    enter_lab(root, settings)
    found = lab_of(root, settings)
    if found is None:
        return []
    if wrong := trouble(found):
        return [failure("lab", wrong, "'orch lab doctor' looks at each host")]
    hosts = listed([one.name for one in found.members], 6)
    return [ok("lab", f"{hosts}; 'orch lab doctor' looks at each host")]


def cluster() -> list[Finding]:
    """SLURM as this host sees it."""
    if not slurm_is_here():
        return [ok("SLURM", "this host is no client of a cluster (no sbatch, or no slurm.conf): jobs run on its slots")]
    return slurm(probe())


def slurm(found: Findings) -> list[Finding]:
    """What SLURM's answers mean. Pure."""
    if not found.installed:
        return [failure("SLURM", found.errors["clients"], "install SLURM's client commands, or unset SLURM_CONF")]
    answers: list[Finding] = []
    if found.controller is None:
        why = found.errors.get("controller", "it did not answer")
        answers.append(
            failure("SLURM", f"the controller is silent: {why}", "see 'scontrol ping'; jobs go on meanwhile")
        )
        return answers
    answers.append(ok("SLURM", f"controller {found.controller}, clients {found.client or 'unknown'}"))
    if found.client and found.client.split(".")[:2] != found.controller.split(".")[:2]:
        text = f"clients {found.client} and controller {found.controller} are of different releases"
        answers.append(warning("SLURM", text, "use the clients of the cluster's own release"))
    answers += _accounting(found)
    answers += _partitions(found)
    if found.requeue is False:
        answers.append(ok("requeue", "JobRequeue is off: orch asks for --requeue with every job, and resubmits itself"))
    limits = [f"{n} {name}" for name, n in found.limits.items()]
    numbers = [*([f"arrays below {found.max_array}"] if found.max_array else []), *limits]
    if numbers:
        enforced = "" if found.limits_enforced is not False else " (not enforced)"
        answers.append(ok("limits", f"{listed(numbers, 6)}{enforced}; orch chunks and waits under them"))
    told = ("clients", "controller", "partitions", "accounting")
    answers += [
        warning(name, f"no answer: {why}", "orch does without it")
        for name, why in found.errors.items()
        if name not in told
    ]
    return answers


def _accounting(found: Findings) -> list[Finding]:
    if found.accounting:
        return [ok("accounting", "sacct answers")]
    age = f"{found.min_job_age_s} s" if found.min_job_age_s else "a while"
    why = found.errors.get("accounting")
    text = f"sacct does not answer ({why})" if why else "accounting is off"
    mend = (
        f"orch then relies on outcome files and on squeue, which forgets ended jobs after {age}: keep a supervisor on"
    )
    return [warning("accounting", text, mend)]


def _partitions(found: Findings) -> list[Finding]:
    if not found.partitions:
        return [failure("partitions", found.errors.get("partitions", "sinfo shows none"), "see 'sinfo'")]
    shown = [
        f"{one.name}{'*' if one.default else ''} ({one.usable} of {one.nodes} nodes up, {one.gpus} GPUs, "
        f"limit {one.time_limit})"
        for one in found.partitions
    ]
    if not any(one.usable for one in found.partitions):
        return [failure("partitions", f"no node is up: {listed(shown, 3)}", "see 'sinfo -R' for the reasons")]
    answers = [ok("partitions", listed(shown, 6))]
    if not any(one.gpus for one in found.partitions):
        mend = "preset report needs GPUs: check GresTypes and gres.conf, or use --preset demo"
        answers.append(warning("partitions", "no partition has GPUs", mend))
    return answers
