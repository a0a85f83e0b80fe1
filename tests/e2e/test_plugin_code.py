"""Kinds of other packages: what was submitted is what runs, where their code is a source tree."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

from tests.helpers.cli import ORCH, Orch

KIND = """
import os
from pathlib import Path
import msgspec
from jobs.kind import Config, JobKind, Metric
from jobs.resources import Resources

class MineConfig(Config, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    "Nothing but a factor."
    factor: float = 1.0

def run(context):
    from mine.inner import VALUE
    Path("left.txt").write_text("x")
    here = Path(__file__).parts[-4:-1]
    print("MINE", here, os.environ.get("ORCH_GIT_DIRTY"), Path.cwd().name, Path("data/d").read_text())
    if context.config.factor == 0:
        raise ValueError("a slip")
    return {"value": VALUE * context.config.factor + context.seed}

KIND = JobKind(name="mine", version=1, help="Mine.", config=MineConfig, run="mine.kind:run",
    resources=lambda config: Resources(cpus=1, memory_mb=100, minutes=5),
    metrics=(Metric(name="value", label="value"),),
    checkpoints=False, needs_data=False)
"""


def package(orch: Orch, where: Path) -> None:
    """A package with a kind, as an editable install of a src layout puts it on the path."""
    inner = where / "mine"
    inner.mkdir(parents=True)
    (inner / "__init__.py").write_text("")
    (inner / "inner.py").write_text("VALUE = 10\n")
    (inner / "kind.py").write_text(KIND)
    info = orch.folder / "site" / "mine-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[orch.jobs]\nmine = mine.kind:KIND\n")
    paths = [str(where), str(info.parent), orch.environment["PYTHONPATH"]]
    orch.environment["PYTHONPATH"] = os.pathsep.join(paths)


def values(orch: Orch) -> list[float | None]:
    return [job["metrics"].get("value") for job in orch.json("status")["jobs"]]


def test_a_source_tree_is_kept_and_a_wheel_is_named_with_its_version(orch: Orch) -> None:
    tree = orch.folder / "tree"
    package(orch, tree / "src")
    (tree / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    (tree / ".gitignore").write_text("data/\n")
    (tree / "data").mkdir()
    (tree / "data/d").write_text("big")
    torch = orch.folder / "site" / "torch.py"  # a stub: the note is of whatever the kind has loaded
    torch.write_text("__version__ = '9.1.0'\n")
    (tree / "src/mine/inner.py").write_text("import torch\nVALUE = 10\n")
    git = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    there = ("--store", str(orch.layout.root))
    orch("submit", "mine", "--seeds", "2", "--no-start", *there, cwd=tree)
    orch("submit", "mine", "--factor", "2", "--code", "live", "--no-start", *there, cwd=tree)
    (tree / "src/mine/inner.py").write_text("import torch\nVALUE = 1000\n")
    (tree / "src/mine/kind.py").write_text(KIND.replace("MINE", "EDITED"))
    orch("supervise", "--until-idle")
    assert values(orch) == [10.0, 11.0, 2000.0], orch("logs", "1")
    assert "MINE ('work', 'src', 'mine') 0 work big" in orch("logs", "1")
    assert "EDITED ('tree', 'src', 'mine') None tree big" in orch("logs", "3")
    assert not (orch.layout.job(1) / "left.txt").exists() and (tree / "left.txt").exists()
    shown = orch("show", "1")
    assert "snapshot " in shown and "work/left.txt" in shown and "commit " in shown and "packages" in shown
    assert "live: the folder as it is" in orch("show", "3")
    again = orch("submit", "mine", "--seeds", "2", "--no-start", *there, cwd=tree)
    assert "2 of those that existed already have other code" in again and "'orch diff 1 now'" in again
    changed = orch.json("diff", "1", "now")["differences"]["code"]
    assert {"src/mine/inner.py", "src/mine/kind.py", "left.txt", "git commit"} == set(changed)
    done = subprocess.run(
        [*ORCH, "run", "1"], cwd=tree, env=orch.environment, capture_output=True, text=True, timeout=90
    )
    assert (
        done.returncode == 0 and "MINE ('work', 'src', 'mine')" in done.stdout and "its result: value=10" in done.stderr
    )
    assert orch.rows("SELECT DISTINCT torch FROM execution") == [("9.1.0",)]
    torch.write_text("__version__ = '9.20.0'\n")
    orch("retry", "--succeeded", "2", "--no-start")
    orch("retry", "--succeeded", "1", "--same-code", "--no-start")
    orch("supervise", "--until-idle")
    assert values(orch) == [10.0, 1001.0, 2000.0]
    (note,) = [
        text for text in orch.json("table", "--by", "kind,factor", "--metric", "value")["notes"] if "codes" in text
    ]
    assert "job 1: " in note and "job 2: " in note
    assert note.count("torch 9.20.0") == 2, "of each execution, as it ran"
    assert orch.rows("SELECT e.job_id, e.torch FROM execution e JOIN result r ON r.execution_id = e.id ORDER BY 1") == [
        (1, "9.20.0"), (2, "9.20.0"), (3, "9.1.0")
    ]  # fmt: skip


def test_the_code_of_an_installed_package_is_not_kept_and_that_is_said(orch: Orch) -> None:
    version = Path(sysconfig.get_path("purelib", vars={"base": str(orch.folder / "user")})).name
    home = {"PYTHONUSERBASE": str(orch.folder / "user")}
    orch.environment |= home
    where = Path(sysconfig.get_path("purelib", scheme="posix_user", vars={"userbase": str(orch.folder / "user")}))
    assert where.name == version
    package(orch, where)
    (orch.folder / "data").mkdir()
    (orch.folder / "data/d").write_text("big")
    said = orch("submit", "mine", "--no-start")
    assert "the code of this kind is not kept, since mine 1.2 is installed as a package: its version is" in said
    orch("supervise", "--until-idle")
    assert values(orch) == [10.0]
    assert "mine 1.2, as it is installed" in orch("show", "1")
    (row,) = orch.json("table", "--by", "code", "--metric", "value")["rows"]
    assert row["by"]["code"].endswith(" mine 1.2")
    assert not [path for path in orch.layout.code.iterdir() if path.is_dir() and path.name != "software"]
