"""What was submitted is what runs: identity, code and environment as they were, told where they differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import old
from tests.helpers.cli import Orch

WRITE = """
import json, os, sys
print("ran", os.getcwd())
json.dump({"value": VALUE + float(sys.argv[1])}, open(os.environ["ORCH_RESULT"], "w"))
"""


def script(orch: Orch, value: float, name: str = "train.py", where: Path | None = None) -> Path:
    path = (where or orch.folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(WRITE.replace("VALUE", str(value)))
    return path


def submit(orch: Orch, *more: str, argv: tuple[str, ...] = ("train.py", "{seed}"), **options: Any) -> str:
    return orch("submit", "command", *more, "--", sys.executable, *argv, **options)


def values(orch: Orch) -> dict[int, float]:
    jobs = orch.json("status")["jobs"]
    return {job["id"]: job["metrics"].get("value") for job in jobs}


def table(orch: Orch, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = orch.json("table", "--by", "kind", "--metric", "value", *more)
    return found


def test_the_same_command_line_from_another_folder_is_another_job(orch: Orch) -> None:
    """'8 existed already', and another program's results."""
    for number, name in enumerate(("a", "b")):
        script(orch, 10.0 * number, where=orch.folder / name)
        submit(orch, "--wait", "--store", str(orch.layout.root), cwd=orch.folder / name)
    assert values(orch) == {1: 0.0, 2: 10.0}
    assert orch.json("show", "1")["config"]["folder"] == "a"


def test_seeds_that_wait_run_the_code_that_was_submitted(orch: Orch) -> None:
    """Seeds of one cell ran two versions of a script that was edited while they waited."""
    script(orch, 0.0)
    submit(orch, "--seeds", "2", "--no-start")
    script(orch, 100.0)
    said = submit(orch, "--seeds", "2", "--no-start")
    assert "they wait or run; 'orch cancel 1-2', then 'orch retry 1-2' runs them anew" in said
    orch("supervise", "--until-idle")
    assert values(orch) == {1: 0.0, 2: 1.0}
    said = submit(orch, "--seeds", "3", "--wait")
    assert "2 of those that existed already have other code (train.py, 1 line)" in said
    assert "'orch retry --succeeded 1-2' runs them anew, 'orch diff 1 now' shows it" in said
    assert values(orch)[3] == 102.0
    (note,) = [text for text in table(orch)["notes"] if "several codes" in text]
    assert "jobs 1–2: " in note and "job 3: " in note and "--by code" in note
    split = orch.json("table", "--by", "code", "--metric", "value")
    assert sorted(group["n"] for group in split["rows"]) == [1, 2]
    assert not [text for text in split["notes"] if "several codes" in text]
    shown = orch.json("diff", "1", "3")
    assert shown["differences"]["code"] == {"train.py": [None, "1 line"]}
    assert shown["differences"]["metrics"] == {"value": ["0.0", "102.0"]}
    assert '-json.dump({"value": 0.0' in orch("diff", "1", "3", "--code")
    assert "nothing differs" in orch("diff", "3", "3")


def test_code_is_kept_in_each_way_that_python_finds_it(orch: Orch) -> None:
    """A neighbour of the script, PYTHONPATH, an editable install of a src layout, the script's own absolute path."""
    for name in ("neighbour.py", "lib/onpath.py", "src/pkg/__init__.py"):
        path = orch.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("VALUE = 'old'\n")
    site = orch.folder / "env/lib/python" / "site-packages"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(orch.folder / "env")], check=True)
    (site,) = (orch.folder / "env/lib").glob("python*/site-packages")
    (site / "pkg.pth").write_text(f"{orch.folder / 'src'}\n")
    main = orch.folder / "main.py"
    main.write_text(
        "import json, os, neighbour, onpath, pkg\n"
        "found = [neighbour.VALUE, onpath.VALUE, pkg.VALUE, MINE := 'old']\n"
        "json.dump({'old': found.count('old')}, open(os.environ['ORCH_RESULT'], 'w'))\n"
    )
    environment = {**orch.environment, "PYTHONPATH": f"{orch.environment['PYTHONPATH']}:{orch.folder / 'lib'}"}
    python = str(orch.folder / "env/bin/python")
    orch("submit", "command", "--no-start", "--", python, str(main), env=environment)
    for path in (*orch.folder.glob("*.py"), *orch.folder.glob("lib/*.py"), *orch.folder.glob("src/pkg/*.py")):
        path.write_text(path.read_text().replace("'old'", "'new'", 1 if path != main else -1))
    orch("supervise", "--until-idle")
    assert orch.job(1).state == "succeeded", orch("logs", "1")
    assert orch.json("show", "1")["result"]["metrics"] == {"old": 4.0}


def test_two_seeds_do_not_meet_in_the_working_folder(orch: Orch) -> None:
    program = "import sys; open('model.pt', 'w').write(sys.argv[1]); open('log.txt', 'a').write('x')"
    (orch.folder / "train.py").write_text(program)
    (orch.folder / "log.txt").write_text("start\n")
    submit(orch, "--seeds", "2", "--wait")
    assert (orch.folder / "log.txt").read_text() == "start\n" and not (orch.folder / "model.pt").exists()
    for seed in range(2):
        wrote = orch.json("show", str(seed + 1))["program"]["wrote"]
        assert wrote == ["work/log.txt", "work/model.pt"]
        (work,) = orch.layout.job(seed + 1).glob("1/*/work")
        assert (work / "model.pt").read_text() == str(seed) and (work / "log.txt").read_text() == "start\nx"


def test_live_code_is_an_option_and_is_said(orch: Orch) -> None:
    script(orch, 0.0)
    submit(orch, "--no-start", "--code", "live")
    script(orch, 100.0)
    orch("supervise", "--until-idle")
    assert values(orch) == {1: 100.0}
    assert "live: the folder as it is when the job starts" in orch("show", "1")


def test_the_environment_is_the_submitters_and_secrets_are_never_written(orch: Orch) -> None:
    """A job got the environment of whichever shell had started the supervisor."""
    (orch.folder / "orch.toml").write_text('[env]\npass = ["WANDB_*"]\n')
    (orch.folder / "say.py").write_text(
        "import json, os\nnames = ['LANG', 'WANDB_PROJECT', 'WANDB_API_KEY', 'PYTHONHASHSEED', 'GIVEN', 'STRAY', "
        "'ORCH_PARAM_LR']\n"
        "print(json.dumps({name: os.environ.get(name) for name in names}))\n"
    )
    mine = {
        **orch.environment, "LANG": "C.UTF-8", "WANDB_PROJECT": "mine", "WANDB_API_KEY": "s3cret", "STRAY": "x",
        "WANDB_BASE_URL": "https://me:s3cret@host",
        "PYTHONHASHSEED": "5",
    }  # fmt: skip
    others = {
        **orch.environment,
        "LANG": "C",
        "WANDB_PROJECT": "theirs",
        "STRAY": "y",
        "PYTHONPATH": orch.environment["PYTHONPATH"],
    }
    words = ("--grid", "lr=0.10", "--env", "GIVEN=1", "--no-start", "--", sys.executable, "say.py", "{lr}")
    orch("submit", "command", *words, env=mine)
    orch("supervise", "--until-idle", env=others)
    (line,) = [line for line in orch("logs", "1").splitlines() if line.startswith("{")]
    assert json.loads(line) == {
        "LANG": "C.UTF-8", "WANDB_PROJECT": "mine", "WANDB_API_KEY": None, "PYTHONHASHSEED": "5", "GIVEN": "1",
        "STRAY": None, "ORCH_PARAM_LR": "0.10",
    }  # fmt: skip
    for command in ("show", "explain"):
        assert "WANDB_API_KEY, WANDB_BASE_URL (never written down" in orch(command, "1")
    stored = [path for path in orch.layout.root.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert stored == []
    for given in ("MY_TOKEN=abc", "URL=https://me:abc@host"):
        refused = orch.call("submit", "command", "--env", given, "--", "true")
        name = given.partition("=")[0]
        assert refused.returncode == 2 and f"--env {name} looks like a secret" in refused.stderr


def test_secrets_come_from_a_file_that_only_the_user_can_read(orch: Orch) -> None:
    secrets = orch.folder / "home" / "secrets"
    secrets.parent.mkdir(exist_ok=True)
    secrets.write_text("# mine\nexport WANDB_API_KEY='s3 cret'\n")
    (orch.folder / "orch.toml").write_text(f'[env]\nfile = "{secrets}"\n')
    argv = ("-c", "import os; print('KEY', os.environ['WANDB_API_KEY'])")
    secrets.chmod(0o644)
    submit(orch, "--wait", argv=argv, code=1)
    assert "chmod 600" in orch.json("status")["jobs"][0]["error"]
    secrets.chmod(0o600)
    orch("retry", "1", "--wait")
    assert "KEY s3 cret" in orch("logs", "1")


def test_values_that_are_one_value_are_one_job(orch: Orch) -> None:
    script(orch, 0.0)
    submit(orch, "--grid", "lr=0.10,1e-2", "--wait", argv=("train.py", "{lr}"))
    assert "0 jobs" in submit(orch, "--grid", "lr=0.1,0.01", argv=("train.py", "{lr}"))
    assert orch.json("show", "1")["program"]["command"].endswith("train.py 0.10")
    refused = orch.call("submit", "command", "--grid", "lr=1.1,1.10", "--", "true", "{lr}")
    assert refused.returncode == 2 and "1.1 and 1.10 are one number: quote them if they are names" in refused.stderr
    assert "2 jobs" in submit(orch, "--grid", 'lr="1.1","1.10"', "--dry-run", argv=("train.py", "{lr}"))
    refused = orch.call("submit", "command", "--grid", "lr=1,2", "--", "true")
    assert refused.returncode == 2 and "the command never uses {lr}" in refused.stderr
    assert "0 jobs" in submit(orch, "--name", "label", "--mem", "3G", "--grid", "lr=0.1", argv=("train.py", "{lr}"))


def test_a_dry_run_prints_the_commands_and_seeds_that_nothing_tells_apart_are_said(orch: Orch) -> None:
    script(orch, 0.0)
    said = submit(orch, "--dry-run", "--seeds", "7", "--grid", "lr=0.10", argv=("train.py", "{lr}", "{{lr}}", "{out}"))
    assert "train.py 0.10 '{lr}' '$ORCH_OUT'" in said and "… and 2 more" in said
    assert "7 seeds of one command line: only ORCH_SEED tells the runs apart" in said
    for program, where in (("no-such", "not on your PATH"), ("./no-such", f"no program in {orch.folder}")):
        assert f"'{program}' is {where}" in orch("submit", "command", "--dry-run", "--", program)
    assert not orch.layout.root.exists()


def test_a_moved_project_goes_on(orch: Orch, tmp_path_factory: pytest.TempPathFactory) -> None:
    project = orch.folder / "project"
    script(orch, 0.0, where=project)
    submit(orch, "--no-start", cwd=project)
    moved = orch.folder / "elsewhere"
    project.rename(moved)
    assert "0 jobs" in submit(orch, "--no-start", cwd=moved)
    orch("supervise", "--until-idle", cwd=moved)
    (job,) = orch.json("status", cwd=moved)["jobs"]
    assert job["metrics"] == {"value": 0.0}


def test_jobs_of_version_1_answer_for_what_they_are(tmp_path: Path) -> None:
    """The labels, spellings and terms of a repeated submit are no part of what they are; none is rewritten."""
    here = old.unpack(tmp_path)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    orch = Orch(here, {"PATH": path, "TMPDIR": "/tmp"})
    try:
        before = orch.json("show", "1")
        words = ("--seeds", "2", "--no-start", "--name", "label", "--grid", "lr=0.10,5e-1", "--", "python", "train.py")
        found = orch.json("submit", "command", *words, "{seed}", "{lr}")
        assert found["created"] == [] and len(found["existing"]) == 4
        assert orch.json("show", "1")["key"] == before["key"] and orch.json("show", "1")["kind_version"] == 1
        found = orch.json("submit", "command", "--seeds", "3", "--no-start", *words[3:], "{seed}", "{lr}")
        assert len(found["created"]) == 2
    finally:
        orch.kill_everything()


def test_retry_takes_the_code_as_it_is_now(orch: Orch) -> None:
    (orch.folder / "train.py").write_text("raise SystemExit('a slip')")
    submit(orch, "--wait", code=1)
    script(orch, 7.0)
    orch("retry", "1", "--same-code", "--wait", code=1)
    assert "a slip" in orch.json("status")["jobs"][0]["error"]
    orch("retry", "1", "--wait")
    assert values(orch) == {1: 7.0}


def test_a_finished_job_runs_anew_and_its_old_number_is_in_no_table(orch: Orch) -> None:
    script(orch, 1.0)
    submit(orch, "--seeds", "2", "--wait")
    refused = orch.call("retry", "1")
    assert refused.returncode == 2 and "'orch retry --succeeded' runs a finished job anew" in refused.stderr
    script(orch, 5.0)
    orch("retry", "--succeeded", "1")
    orch("supervise", "--until-idle")
    assert values(orch) == {1: 5.0, 2: 2.0}
    assert table(orch)["rows"][0]["n"] == 2
    before = orch.json("show", "1")
    orch.rebuild()
    assert orch.json("show", "1")["result"] == before["result"] and orch.json("show", "1")["generation"] == 2
    (orch.folder / "train.py").write_text("raise SystemExit(3)")
    orch("retry", "--succeeded", "2", "--wait", code=1)
    assert [job["state"] for job in orch.json("status")["jobs"]] == ["succeeded", "failed"]
    found = table(orch)
    assert "ran again and failed, the earlier number of each is in no table: job 2" in found["notes"]
    assert found["rows"][0]["n"] == 1


def test_a_dropped_result_is_in_no_table_and_still_counts_as_a_seed(orch: Orch) -> None:
    script(orch, 1.0)
    submit(orch, "--seeds", "3", "--wait", "--name", "mine")
    orch("drop", "2", "--because", "diverged")
    found = table(orch)
    assert found["rows"][0]["n"] == found["rows"][0]["expected"] == 2
    assert found["rows"][0]["metrics"]["value"]["mean"] == 2.0
    assert "1 of 3 dropped by hand: diverged (job 2, seed 1)" in found["notes"]
    assert "dropped: diverged" in orch("status") and "diverged" in orch("show", "2")
    said = orch.call("export", "--out", "results.csv")
    assert "wrote 2 results to" in said.stderr and "left out 1 job dropped by hand" in said.stderr
    orch("import", "results.csv", "--study", "copy")
    for study in ("default", "copy"):
        (cell,) = orch.json("table", "--study", study, "--by", "name", "--metric", "value")["rows"]
        assert (cell["by"]["name"], cell["n"], cell["metrics"]["value"]["mean"]) == ("mine", 2, 2.0)
    for command in ("show", "explain", "logs"):
        assert orch(command, "1-3").count("job ") > orch(command, "--filter", "seed=1").count("job ") > 0
        assert [orch.call(command, *words).returncode for words in (["3-1"], [], ["9"])] == [2, 2, 2]
    assert [one["seed"] for one in orch.json("show", "1,3")] == [0, 2] and orch.json("show", "3")["seed"] == 2
    assert [one["job"] for one in orch.json("explain", "--filter", "seed>0")] == [2, 3]
    assert "0 jobs" in submit(orch, "--seeds", "3", "--no-start")
    orch.call("supervise", "--stop")
    orch.rebuild()
    assert table(orch)["rows"][0]["n"] == 2
    orch("keep", "1-3", code=2)
    assert orch.json("keep", "--filter", "seed=1")["kept"] == [2]
    assert table(orch)["rows"][0]["n"] == 3 and not [text for text in table(orch)["notes"] if "dropped" in text]
    for words in (
        ["drop", "2"],
        ["drop", "2", "--because", " "],
        ["drop", "9", "--because", "x"],
        ["drop", "x-1", "--because", "x"],
    ):
        assert orch.call(*words).returncode == 2


def test_terms_change_until_a_job_is_finished(orch: Orch) -> None:
    script(orch, 1.0)
    submit(orch, "--seeds", "3", "--no-start")
    assert orch.json("set", "1-2", "--mem", "3G", "--priority", "5", "--no-start")["set"] == [1, 2]
    assert "memory_mb 3072, priority 5 [a person]" in orch("show", "2", "--story")
    shown = orch.json("show", "2")
    assert shown["launching"]["resources"]["memory_mb"] == 3072 and shown["priority"] == 5
    orch("supervise", "--until-idle")
    refused = orch.call("set", "1", "--mem", "4G")
    assert refused.returncode == 2 and "'orch retry --succeeded' takes the same options" in refused.stderr
    assert orch.call("set", "1").returncode == 2


def test_priority_orders_what_is_sent(orch: Orch) -> None:
    script(orch, 1.0)
    submit(orch, "--seeds", "2", "--no-start")
    submit(orch, "--seed-list", "2", "--priority", "1", "--no-start")
    assert [orch.json("show", str(job))["priority"] for job in (1, 2, 3)] == [0, 0, 1]
    orch("set", "--filter", "seed=2", "--priority", "2", "--no-start")
    orch("supervise", "--until-idle", env={**orch.environment, "ORCH_CPU_SLOTS": "1"})
    started = [orch.json("show", str(job))["executions"][0]["started_at"] for job in (1, 2, 3)]
    assert started[2] < started[0] < started[1]


def test_clean_removes_code_that_nothing_needs(orch: Orch) -> None:
    script(orch, 1.0)
    submit(orch, "--wait")
    script(orch, 2.0)
    submit(orch)  # keeps the present code, which no job names
    kept = {path.stem for path in orch.layout.code.glob("*.json")}
    assert len(kept) == 2
    orch("clean", "--yes")
    left = {path.stem for path in orch.layout.code.glob("*.json")}
    assert all((orch.layout.code / name).is_dir() == (name in left) for name in kept)
    assert left == {orch.json("show", "1")["program"]["snapshot"]} and left < kept


def test_what_git_the_lock_file_and_the_interpreter_say_is_kept_with_each_submit(orch: Orch) -> None:
    """The same content may be of two commits and of two folders: each submit keeps its own."""
    say = "import os; print('GIT', os.environ['ORCH_GIT_COMMIT'][:40], os.environ['ORCH_GIT_DIRTY'], os.getcwd())\n"
    commits = {}
    for name in ("one", "two"):
        folder = script(orch, 0.0, where=orch.folder / name).parent
        (folder / "train.py").write_text("# before\n")
        (folder / "uv.lock").write_text("version = 1\n")
        git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder))
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", name, "--date", f"2020-01-0{1 + len(commits)}T00:00:00"], check=True)
        commits[name] = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
        (folder / "train.py").write_text(say)
        submit(orch, "--no-start", "--store", str(orch.layout.root), argv=("train.py",), cwd=folder)
    subprocess.run([*git, "commit", "-qam", "after"], check=True)
    submit(
        orch,
        "--no-start",
        "--store",
        str(orch.layout.root),
        "--grid",
        "x=1",
        "--unused-ok",
        argv=("train.py",),
        cwd=folder,
    )
    after = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    orch("supervise", "--until-idle")
    told = [orch.json("show", str(job))["program"] for job in (1, 2, 3)]
    assert len({one["snapshot"] for one in told}) == 1
    assert [one["commit"] for one in told] == [commits["one"].strip(), commits["two"].strip(), after]
    assert [one["dirty"] for one in told] == [True, True, False] and told[2]["patch"] is None
    patch = (orch.layout.root / told[0]["patch"]).read_text()
    assert "-# before" in patch and "+import os" in patch
    for job, one in enumerate(told, start=1):
        assert f"GIT {one['commit']} {int(one['dirty'])} " in orch("logs", str(job))
    software = json.loads((orch.layout.root / told[0]["software"]).read_text())
    assert software["python"].startswith("CPython 3.") and any("msgspec==" in line for line in software["packages"])
    assert (orch.layout.code / "software" / f"{software['lock']}.uv.lock").read_text() == "version = 1\n"
    shown = orch("show", "1")
    assert f"commit {told[0]['commit']} with changes" in shown and "uv.lock " in shown and told[0]["software"] in shown
    changed = orch.json("diff", "2", "3")["differences"]["code"]
    assert changed == {"git commit": [f"{told[1]['commit']} with changes", after]}
    (folder / "uv.lock").write_text("version = 2\n")
    assert "uv.lock" in orch.json("diff", "3", "now")["differences"]["installed"]
    orch("clean", "--yes")
    assert (orch.layout.root / told[0]["patch"]).exists() and (orch.layout.root / told[0]["software"]).exists()
