"""The environment of a user's program: kept at the submit, changed by the node's setup, decided by the slot.

Pure. orch's own worker never gets the kept environment. The order: the node's own system variables, kept at the submit,
then what `setup` changed on the node, then what the slot decides, then `--env`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

KEPT = (
    "PATH", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_*", "MAMBA_*", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH",
    "CPATH", "PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONOPTIMIZE", "PYTHONWARNINGS",
    "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONNOUSERSITE", "PYTHONUSERBASE", "LANG", "LANGUAGE", "LC_*", "TZ", "OMP_*",
    "MKL_*", "KMP_*", "OPENBLAS_*", "NUMEXPR_*", "BLIS_*", "VECLIB_*", "NCCL_*", "TORCH_*", "PYTORCH_*",
    "TORCHINDUCTOR_*", "TF_*", "XLA_*", "JAX_*", "CUBLAS_*", "CUDNN_*", "CUDA_*", "NVIDIA_TF32_OVERRIDE",
    "TOKENIZERS_PARALLELISM",
)  # fmt: skip
"""Kept at a submit and given to the job wherever it starts; removed there where the submitter had none."""
NODES_OWN = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK",
    "GPU_DEVICE_ORDINAL", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "SLURM*", "SRUN_*", "PMI*", "TMPDIR",
    "TMP", "TEMP", "ORCH_*",
)  # fmt: skip
"""What the node or the slot decides: never kept at a submit."""
SYSTEM = (
    *NODES_OWN, "HOME", "USER", "LOGNAME", "SHELL", "HOSTNAME", "MAIL", "XDG_*", "TERM", "COLORTERM", "KRB5CCNAME",
    "SSH_AUTH_SOCK", "MODULE*", "LMOD_*", "_LM*", "LOADEDMODULES", "BASH_FUNC_*", "BASH_ENV", "ENV", "http_proxy",
    "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "MANPATH",
    "SINGULARITY_*", "APPTAINER_*", "MUNGE_*", "DBUS_*",
)  # fmt: skip
"""What a program gets of the node's own environment; the rest is the shell's that happened to start the supervisor."""
BEFORE_SETUP = "ORCH_BEFORE_SETUP"
"""The node's environment before the user's setup lines: `env -0`, in base64."""
SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
NO_SECRET = ("TOKENIZERS_*", "KEYBOARD*")


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a variable's name fits one of the shell patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def looks_secret(name: str) -> bool:
    """Whether a variable of that name may hold a secret, whose value is then never written down."""
    return any(word in name.upper() for word in SECRET) and not matches(name.upper(), NO_SECRET)


def holds_secret(value: str) -> bool:
    """Whether a value holds a password of a URL, as in 'https://me:word@host'."""
    return _PASSWORD.search(value) is not None


def keep(environ: Mapping[str, str], passed: Iterable[str] = ()) -> tuple[dict[str, str], tuple[str, ...]]:
    """What a submit keeps of its environment, and the names of secrets that the job is to get where it starts.

    `passed`: shell patterns of more names (`[env] pass`).
    """
    more = tuple(passed)
    found, secrets = {}, []
    for name in sorted(environ):
        if matches(name, NODES_OWN) or not (matches(name, KEPT) or matches(name, more)):
            continue
        if looks_secret(name) or holds_secret(environ[name]):
            secrets.append(name)
        elif "\0" not in environ[name] and not _undecodable(environ[name]):
            found[name] = environ[name]
    return found, tuple(secrets)


def _undecodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def compose(
    here: Mapping[str, str],
    kept: Mapping[str, str] | None,
    before_setup: Mapping[str, str] | None,
    given: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, str]:
    """The environment of the user's program on this node.

    `here` is the worker's own; `kept` what the submit kept (None: a job of an earlier version, which gets all of
    `here`); `before_setup` what the node had before the setup lines (None: no setup ran); `given` is `--env`; `secrets`
    are name → value of what is never written down.
    """
    if kept is None:
        return {**here, **secrets, **given}
    found = {name: value for name, value in here.items() if matches(name, SYSTEM)}
    found |= secrets
    found |= {name: value for name, value in here.items() if looks_secret(name)}
    found |= kept
    if before_setup is not None:
        for name in before_setup.keys() | here.keys():
            old, new = before_setup.get(name), here.get(name)
            if old == new or matches(name, NODES_OWN):
                continue
            if new is None:
                found.pop(name, None)
            else:
                found[name] = _added(old, new, found.get(name))
    decided = {name: value for name, value in here.items() if matches(name, NODES_OWN)}
    # A local slot's share of the CPUs. SLURM decides none: there it is what the supervisor's shell happened to have.
    if "OMP_NUM_THREADS" in here and here.get("SUBMITIT_EXECUTOR") != "slurm":
        decided |= {name: here[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in here}
    return {**found, **decided, **given}


def _added(old: str | None, new: str, kept: str | None) -> str:
    """A list such as PATH to which setup added keeps what was kept at the submit, with the same additions."""
    if old and kept is not None and new != old:
        if new.endswith(old):
            return new[: -len(old)] + kept
        if new.startswith(old):
            return kept + new[len(old) :]
    return new


def prepend(value: str | None, paths: Iterable[str]) -> str:
    """A search path with `paths` before it."""
    return os.pathsep.join([*paths, *([value] if value else [])])
