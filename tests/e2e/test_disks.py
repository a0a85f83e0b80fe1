"""A full disk and a read-only one, really: jobs that it failed come back, and looking works (tmpfs, unshare(1))."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.smalldisk import run_on_small_disk

FULL = """
import json, os, sys, time
from tests.helpers.cli import Orch, until
orch = Orch(FOLDER)
(FOLDER / "fills.py").write_text('''
import json, os, pathlib, sys, time
here = pathlib.Path(os.environ["ORCH_STUDY_CWD"])
if (here / "full").exists():
    while os.statvfs(here).f_bfree:
        time.sleep(0.01)
    with open(here / f"mine{sys.argv[1]}", "wb") as mine:
        mine.write(b"x" * 1000000)
json.dump({"ok": 1}, open(os.environ["ORCH_RESULT"], "w"))
''')
(FOLDER / "full").touch()
wait = orch.popen("submit", "command", "--seeds", "3", "--wait", "--", sys.executable, "fills.py", "{seed}")
until(lambda: len(list((FOLDER / ".orch/runs/0").glob("*/1/e*/progress.json"))) == 2, "two programs")
with open(FOLDER / "hog", "wb", buffering=0) as hog:
    try:
        while True:
            hog.write(b"x" * 65536)
    except OSError:
        pass
    try:
        while True:
            hog.write(b"x")
    except OSError:
        pass
looks = (["status"], ["show", "1"], ["explain", "1"], ["logs", "1"], ["table"])
for command in looks:
    orch(*command)
time.sleep(1)
(FOLDER / "full").unlink()
(FOLDER / "hog").unlink()
for left in FOLDER.glob("mine*"):
    left.unlink()
out, err = wait.communicate(timeout=120)
assert wait.returncode == 0, out + err + orch.log()
print(json.dumps([[str(a.cause) for a in orch.attempts(job)] for job in (1, 2, 3)]))
print([a.decision for a in orch.attempts(1)][0])
print(" ".join(orch.attempts(1)[0].evidence))
orch.check()
"""


def test_jobs_that_a_full_disk_failed_come_back(tmp_path: Path) -> None:
    """And status, show, explain and logs work meanwhile."""
    causes, decision, evidence = run_on_small_disk(tmp_path, FULL).splitlines()
    assert causes == '[["node_failure", "success"], ["node_failure", "success"], ["success"]]'
    assert decision == "node_failure: resubmitted (1 of 8 since the last checkpoint)"
    assert "the disk of the run folder" in evidence and str(tmp_path) in evidence


ARCHIVED = """
import os, sqlite3, subprocess, sys
from tests.helpers.cli import Orch
orch = Orch(FOLDER)
database = FOLDER / ".orch" / "orch.db"
program = "import json, os; print('said'); json.dump({'acc': 93}, open(os.environ['ORCH_RESULT'], 'w'))"
orch("submit", "command", "--seeds", "2", "--wait", "--", sys.executable, "-c", program)
orch.rest()
orch.environment["TMPDIR"] = "/tmp"  # else no Python ran without it


def mount(how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(FOLDER)], check=True)


def looks():
    table = ["table", "--by", "kind", "--metric", "acc"]
    return [orch(*command) for command in (["status"], ["show", "1"], ["explain", "1"], ["logs", "1"], table)]


def changed_by_one_that_died():
    child = os.fork()
    if child == 0:
        writer = sqlite3.connect(database)
        writer.execute("UPDATE lease SET number = number + 1000")
        writer.commit()
        os._exit(0)
    os.waitpid(child, 0)
    assert database.with_name("orch.db-wal").stat().st_size > 0


wanted = looks()
assert "93" in wanted[-1] and "said" in wanted[3]
mount("ro")
assert looks() == wanted
done = orch.call("submit", "command", "--", "true")
assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
mount("rw")
changed_by_one_that_died()
mount("ro")
assert looks() == wanted
mount("rw")
database.with_name("orch.db-shm").unlink()
mount("ro")
assert looks() == wanted
from db.store import Store
with Store(FOLDER / ".orch", looking=True).read() as connection:
    assert connection.exec_driver_sql("SELECT number FROM lease").scalar_one() > 1000, "the log was not read"
mount("rw")
print("as before")
"""


def test_an_archived_store_still_gives_its_table(tmp_path: Path) -> None:
    """On a read-only disk, also where a process died and left SQLite's log behind."""
    assert run_on_small_disk(tmp_path, ARCHIVED) == "as before\n"


OLDER = """
import subprocess
from tests.helpers import old
from tests.helpers.cli import Orch
here = old.unpack(FOLDER)
orch = Orch(here, {"TMPDIR": "/tmp"})
before = (here / ".orch" / "orch.db").read_bytes()
subprocess.run(["mount", "-o", "remount,ro", str(FOLDER)], check=True)
orch("status")
print(orch("table", "--by", "kind", "--metric", "test_accuracy"), end="")
assert (here / ".orch" / "orch.db").read_bytes() == before
"""


def test_an_archived_store_of_an_earlier_orch_gives_its_table(tmp_path: Path) -> None:
    """Its schema is brought up to date in a copy, since it cannot be where it lies."""
    assert "94.5" in run_on_small_disk(tmp_path, OLDER)
