"""Every option of sbatch(1) (SLURM 22.05), and what orch does with it: passed on, or refused with the way to write it.

Pure, and without submitit: `orch submit` asks it before anything is written, the launch asks it again.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from jobs.errors import BadInput
from slurm.cluster import hostlist

SHORT = {
    "A": "account",
    "B": "extra_node_info",
    "C": "constraint",
    "D": "chdir",
    "F": "nodefile",
    "G": "gpus",
    "H": "hold",
    "J": "job_name",
    "L": "licenses",
    "M": "clusters",
    "N": "nodes",
    "O": "overcommit",
    "Q": "quiet",
    "S": "core_spec",
    "V": "version",
    "W": "wait",
    "a": "array",
    "b": "begin",
    "c": "cpus_per_task",
    "d": "dependency",
    "e": "error",
    "h": "help",
    "i": "input",
    "k": "no_kill",
    "m": "distribution",
    "n": "ntasks",
    "o": "output",
    "p": "partition",
    "q": "qos",
    "s": "oversubscribe",
    "t": "time",
    "v": "verbose",
    "w": "nodelist",
    "x": "exclude",
}

_FLAGS = "contiguous hold no_requeue overcommit oversubscribe reboot requeue spread_job use_min_nodes"
_FLAGS_OR_VALUES = "exclusive get_user_env nice no_kill propagate"
_VALUES = """
account acctg_freq batch bb bbf begin comment constraint container core_spec cores_per_socket cpu_freq cpus_per_gpu
cpus_per_task deadline delay_boot dependency distribution exclude export export_file extra_node_info gpu_bind gpu_freq
gpus gpus_per_node gpus_per_socket gpus_per_task gres gres_flags hint kill_on_invalid_dep licenses mail_type mail_user
mcs_label mem mem_bind mem_per_cpu mem_per_gpu mincpus network nodefile nodelist nodes ntasks ntasks_per_core
ntasks_per_gpu ntasks_per_node ntasks_per_socket partition power prefer priority profile qos reservation
sockets_per_node switches thread_spec threads_per_core time time_min tmp wait_all_nodes wckey
"""

FLAGS = frozenset(_FLAGS.split())
"""Given by their name alone."""

FLAGS_OR_VALUES = frozenset(_FLAGS_OR_VALUES.split())
"""Given by their name alone or with a value: `exclusive`, `exclusive=user`."""

VALUES = frozenset(_VALUES.split())
"""Given with a value."""

FILES = frozenset({"bbf", "export_file", "nodefile", "container"})
"""Read when sbatch is called, which is later and from another folder."""

_PRINTED = "what a job prints is in its run folder: see it with 'orch logs'"
_COMMAND_LINE = "it is for people who call sbatch by hand"
_CLUSTER = "orch watches one cluster: set SLURM_CONF to the other one's, with a store of its own"

REFUSED = {
    "array": "orch makes the arrays: use --seeds or --grid",
    "chdir": "a program runs in the folder that it was submitted from: call orch there",
    "cluster_constraint": _CLUSTER,
    "clusters": _CLUSTER,
    "error": _PRINTED,
    "gid": "orch watches the jobs of its own user: run it as the other one",
    "help": _COMMAND_LINE,
    "ignore_pbs": "orch's script has no #PBS lines",
    "input": "nothing of orch reads its standard input: name the file in the program's arguments",
    "job_name": "orch finds its jobs by their names: give a name to the study, with --study",
    "open_mode": _PRINTED,
    "output": _PRINTED,
    "parsable": _COMMAND_LINE,
    "quiet": _COMMAND_LINE,
    "signal": "orch sets the warning before the time limit: signal_delay_seconds under [slurm] of orch.toml",
    "test_only": "use --dry-run",
    "uid": "orch watches the jobs of its own user: run it as the other one",
    "usage": _COMMAND_LINE,
    "verbose": _COMMAND_LINE,
    "version": _COMMAND_LINE,
    "wait": "use orch's own --wait",
    "wrap": "the program comes after '--': orch submit command ... -- PROGRAM",
}
"""What orch sets itself, or what would have no effect: the way to get what was meant."""

KNOWN = FLAGS | FLAGS_OR_VALUES | VALUES | REFUSED.keys()

_SWITCHES = {"true": True, "yes": True, "false": False, "no": False}


def written(name: str) -> str:
    """As sbatch spells it: 'cpus-per-task'."""
    return name.replace("_", "-")


def name_of(word: str) -> str:
    """'--cpus-per-task', 'cpus_per_task', '-c' or 'c' → 'cpus_per_task'."""
    name = word.strip().lstrip("-").replace("-", "_")
    return SHORT.get(name, name)


def parsed(words: Iterable[str]) -> dict[str, str | bool]:
    """`--sbatch` words: NAME=VALUE, or the NAME of a flag. Raises BadInput."""
    found: dict[str, str | bool] = {}
    for word in words:
        key, sign, value = word.strip().partition("=")
        if not sign and len(parts := key.split(None, 1)) == 2:
            raise BadInput(f"--sbatch takes NAME=VALUE: write --sbatch '{parts[0].lstrip('-')}={parts[1]}'")
        name = name_of(key)
        if not name:
            raise BadInput(f"--sbatch takes NAME=VALUE, or a flag's NAME (got '{word}')")
        if name in found:
            raise BadInput(f"--sbatch sets '{written(name)}' twice: set it once")
        found[name] = value if sign else True
    return found


def checked(asked: Mapping[str, Any], more: Collection[str] | None = frozenset()) -> dict[str, Any]:
    """The parameters by their long names ('cpus_per_task'); a flag is True, and one that is off is left out.

    `more` are names that this site's sbatch knows besides (plugins, newer versions); None: any name is let through.
    Raises BadInput with the way to write it.
    """
    found: dict[str, Any] = {}
    for key, given in asked.items():
        name, value = name_of(str(key)), given
        spelt = written(name)
        _refuse_control_characters(spelt, value)
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        if name in REFUSED:
            raise BadInput(f"sbatch's '{spelt}' is set by orch itself or has no effect under it: {REFUSED[name]}")
        if name not in KNOWN and more is not None and name not in more:
            raise BadInput(_unknown(name, more))
        if value is None:
            continue
        if name not in VALUES and isinstance(value, str):
            value = _SWITCHES.get(value.strip().lower(), value)
        if name in VALUES:
            if isinstance(value, bool) or not str(value).strip():
                raise BadInput(f"sbatch's '{spelt}' needs a value: write --sbatch {spelt}=VALUE")
        elif name in FLAGS and not isinstance(value, bool):
            raise BadInput(f"sbatch's '{spelt}' takes no value (got '{value}'): write --sbatch {spelt}")
        elif value == "":
            raise BadInput(f"sbatch's '{spelt}' has an empty value: write --sbatch {spelt} or {spelt}=VALUE")
        if name in ("exclude", "nodelist") and "/" not in str(value):  # else a file of names
            _check_nodes(name, str(value))
        if name in FILES and not str(value).startswith("/"):
            raise BadInput(f"sbatch's '{spelt}' is read later and from another folder: give its full path")
        if value is False:
            if name == "requeue":
                found["no_requeue"] = True
            continue
        if name in found:
            raise BadInput(f"sbatch's '{spelt}' is set twice: set it once")
        found[name] = value
    if found.get("requeue") and found.get("no_requeue"):
        raise BadInput("sbatch's 'requeue' and 'no-requeue' exclude each other: give one of them")
    return found


def _refuse_control_characters(spelt: str, value: Any) -> None:
    """A line feed would begin a line of the script."""
    if not spelt.isprintable():
        raise BadInput(f"the name of a sbatch parameter holds a control character: {spelt!r}")
    parts = value if isinstance(value, list | tuple) else [value]
    if not all(str(part).isprintable() for part in parts):
        raise BadInput(f"the value of sbatch's '{spelt}' holds a line feed or another control character: leave it out")


def _check_nodes(name: str, text: str) -> None:
    """A list that cannot be read could not be merged with the nodes that orch keeps out."""
    try:
        if not hostlist.is_closed(text):
            raise ValueError(f"'{text}' has a bracket without its other one")
        hostlist.expand(text)
    except ValueError as error:
        raise BadInput(f"bad value for '{name}': {error}; give node names such as gpu[01-04],gpu07") from None


def _unknown(name: str, more: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted({*KNOWN, *more}), 1)
    hint = f"did you mean '{written(near[0])}'?" if near else "'man sbatch' lists them"
    return f"sbatch has no parameter '{written(name)}': {hint}"


def asks_gpus(asked: Mapping[str, Any]) -> bool:
    """Whether these parameters say anything of GPUs."""
    return bool(_GPU_NAMES & asked.keys()) or bool(_gpu_gres(asked))


def gpus_asked(asked: Mapping[str, Any]) -> int | None:
    """How many GPUs of a node these parameters ask for; None: they say nothing of GPUs. Raises BadInput."""
    for name in sorted(_GPU_NAMES & asked.keys()):
        return sum(_count(name, item) for item in str(asked[name]).split(","))
    items = _gpu_gres(asked)
    return sum(_count("gres", item.partition(":")[2] or "1") for item in items) if items else None


_GPU_NAMES = frozenset({"gpus", "gpus_per_node", "gpus_per_task", "gpus_per_socket"})


def _gpu_gres(asked: Mapping[str, Any]) -> list[str]:
    items = [item.strip().removeprefix("gres/").removeprefix("gres:") for item in str(asked.get("gres", "")).split(",")]
    return [item for item in items if item.split(":")[0] == "gpu"]


def _count(name: str, text: str) -> int:
    """'2', 'a100:2' or 'a100'."""
    last = text.strip().rpartition(":")[2].partition("(")[0]
    if last.isdecimal():
        return int(last)
    if not last or not last[0].isalpha() or ":" in text:
        raise BadInput(f"'{written(name)}' takes a number of GPUs, or TYPE:NUMBER such as a100:1 (got '{text}')")
    return 1
