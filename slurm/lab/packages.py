"""Which programs a SLURM of one's own needs, where they are, and how to get the missing ones."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slurm.lab.errors import ClusterError

# Debian and Ubuntu keep the daemons here, and leave the folder out of an ordinary user's PATH.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")

PROGRAMS_BY_PACKAGE: Mapping[str, tuple[str, ...]] = {
    "slurm-wlm": (
        "slurmctld",
        "slurmd",
        "slurmstepd",
        "sbatch",
        "srun",
        "squeue",
        "sinfo",
        "scontrol",
        "sacct",
        "sacctmgr",
    ),
    "munge": ("munged",),
    "slurmdbd": ("slurmdbd",),
    "mariadb-server": ("mariadbd", "mariadb-install-db"),
}
ACCOUNTING_PACKAGES = frozenset({"slurmdbd", "mariadb-server"})


def search_path(path: str | None = None) -> str:
    """`path` (default: this process's PATH) with the folders of the daemons added at its end."""
    folders = [folder for folder in (os.environ.get("PATH", "") if path is None else path).split(os.pathsep) if folder]
    return os.pathsep.join(folders + [folder for folder in SYSTEM_FOLDERS if folder not in folders])


def missing_packages(accounting: bool = True, path: str | None = None) -> list[str]:
    """The Debian packages of which a program is missing on this machine, in the order to install them.

    `accounting` adds those of slurmdbd and its database. `path` is searched in place of PATH and the system's folders.
    """
    where = search_path() if path is None else path
    return [
        package
        for package, programs in PROGRAMS_BY_PACKAGE.items()
        if (accounting or package not in ACCOUNTING_PACKAGES)
        and any(shutil.which(program, path=where) is None for program in programs)
    ]


def install_command(packages: list[str]) -> str:
    """The command line that installs `packages` on Debian or Ubuntu."""
    return "apt-get install -y --no-install-recommends " + " ".join(packages)


def require_packages(accounting: bool = True, path: str | None = None) -> None:
    """Raise ClusterError, naming the command that helps, where a program is missing."""
    if missing := missing_packages(accounting, path):
        raise ClusterError(f"The test cluster needs {', '.join(missing)}: run `{install_command(missing)}` as root.")


def program(name: str) -> str:
    """The full path of the program `name`; ClusterError where it is not installed."""
    found = shutil.which(name, path=search_path())
    if found is None:
        package = next((package for package, names in PROGRAMS_BY_PACKAGE.items() if name in names), name)
        raise ClusterError(f"The program {name} is missing: run `{install_command([package])}` as root.")
    return found


@dataclass(frozen=True)
class Programs:
    """SLURM's programs on this host: installed, or unpacked below `root`."""

    root: Path | None = None

    def path(self, name: str) -> str:
        """The full path of the program `name`. Raises ClusterError where it is nowhere."""
        return self.own(name) or program(name)

    def own(self, name: str) -> str | None:
        """Its path below `root`; None where it is not there."""
        return None if self.root is None else shutil.which(name, path=os.pathsep.join(self._folders()))

    def env(self) -> dict[str, str]:
        """Variables with which unpacked programs find each other and their libraries."""
        if self.root is None:
            return {}
        return {
            "PATH": os.pathsep.join([*self._folders(), search_path()]),
            "LD_LIBRARY_PATH": os.pathsep.join(str(folder) for folder in libraries(self.root)),
        }

    def plugins(self) -> Path:
        """The folder of SLURM's plugins. Raises ClusterError where it is nowhere."""
        base = Path("/") if self.root is None else self.root
        for folder in _library_folders(base):
            if (folder / "slurm-wlm" / "auth_munge.so").exists():
                return folder / "slurm-wlm"
            if (folder / "slurm" / "auth_munge.so").exists():
                return folder / "slurm"
        raise ClusterError(f"SLURM's plugins are not below {base}usr/lib: install slurm-wlm-basic-plugins there.")

    def _folders(self) -> list[str]:
        assert self.root is not None
        return [str(self.root / folder) for folder in ("usr/sbin", "usr/bin")]


def libraries(root: Path) -> list[Path]:
    """The folders below `root` that hold shared libraries of unpacked packages."""
    own = [folder for folder in _library_folders(root) if folder.is_dir()]
    return [*own, *(folder / "slurm-wlm" for folder in own if (folder / "slurm-wlm").is_dir())]


def _library_folders(base: Path) -> list[Path]:
    machine = os.uname().machine
    places = (f"usr/lib/{machine}-linux-gnu", "usr/lib64", "usr/lib", f"lib/{machine}-linux-gnu", "usr/local/lib")
    return [base / place for place in places]
