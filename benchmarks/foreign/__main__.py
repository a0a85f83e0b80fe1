"""`make foreign`: programs that nobody here wrote, unmodified, over seeds and a grid; one worker of each is killed.

Nothing of theirs is kept in this repository. `--from FOLDER` names a folder with a checkout of each (docs/foreign.md);
without it they are cloned into a cache. `--python` is the Python that has what they import.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.foreign.programs import PROGRAMS, Program

ORCH = str(Path(sys.executable).parent / "orch")
PATIENCE = 1800
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "orch-foreign"


class Lacking(Exception):
    """What is not there, in a sentence."""


def checkout(program: Program, given: Path | None) -> Path | None:
    """The folder of the program as its authors left it. Raises Lacking."""
    if not program.source:
        return None
    url, _, inner = program.source.partition("#")
    if given is not None:
        folder = given / program.name
        if not folder.is_dir():
            raise Lacking(f"{folder} is not there: it is to be a copy of {program.source}")
        return folder
    folder = CACHE / url.rsplit("/", 1)[1]
    if not folder.is_dir():
        done = subprocess.run(["git", "clone", "--depth", "1", "--quiet", url, str(folder)], check=False)
        if done.returncode:
            raise Lacking(f"{url} cannot be cloned: give a folder with --from")
    return folder / inner if inner else folder


def lay(program: Program, given: Path | None, into: Path, python: str) -> Path:
    """A folder with the program, its data and our study file. Raises Lacking."""
    if program.binary and shutil.which(program.binary) is None:
        raise Lacking(f"{program.binary} is not installed")
    for module in program.modules:
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            raise Lacking(f"{python} has no module {module}: install it, or name another with --python")
    source, folder = checkout(program, given), into / program.name
    shutil.rmtree(folder, ignore_errors=True)
    if source is not None:
        shutil.copytree(source, folder, symlinks=True)
    program.give(folder)
    shutil.copy(Path(__file__).parent / f"{program.name}.toml", folder / "study.toml")
    return folder


def kill_one(folder: Path, submit: subprocess.Popen[bytes]) -> str:
    """kill -9 to the worker of the first job whose program runs: `job 3`; empty where all were faster."""
    while submit.poll() is None:
        for file in sorted(folder.glob(".orch/runs/*/*/1/e0-*/started.json")):
            execution = file.parent
            if not (execution / "program.json").exists() or (execution / "outcome.json").exists():
                continue
            time.sleep(0.5)  # it is in the midst of something
            if not (execution / "outcome.json").exists():
                os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)
                return f"job {execution.parent.parent.name}"
        time.sleep(0.02)
    return ""


def run(program: Program, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Submit, kill once, wait, table and figure. Raises AssertionError where a number is missing."""

    def orch(*words: str) -> str:
        done = subprocess.run([ORCH, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"orch {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    began = time.monotonic()
    with (folder / "submit.log").open("wb") as log:
        submit = subprocess.Popen(
            [ORCH, "submit", "study.toml", "--wait"], cwd=folder, env=environment, stdout=log, stderr=log
        )
        killed = kill_one(folder, submit)
        submit.wait(timeout=PATIENCE)
    wall = time.monotonic() - began
    assert submit.returncode == 0, (folder / "submit.log").read_text()[-2000:]
    jobs = json.loads(orch("status", "--json"))["jobs"]
    attempts = sum(job["attempts"] for job in jobs)
    assert killed and attempts == len(jobs) + 1, f"{killed or 'none'} killed, {len(jobs)} jobs, {attempts} attempts"
    for job in jobs:
        assert job["state"] == "succeeded", job
    found = json.loads(orch("table", "--json", *[word for word in program.table if word != "--stats"]))
    rows = [row for row in found["rows"] if (row["metrics"].get(program.metric) or {}).get("mean") is not None]
    seeds = {row["metrics"][program.metric]["n"] for row in rows}
    assert rows and all(row["n"] == row["expected"] for row in found["rows"]) and len(seeds) == 1, found
    for name in ("table.tex", "table.md", "table.csv"):
        orch("table", *program.table, "--out", name)
    for name in ("figure.pdf", "figure.png"):
        orch("plot", *program.figure, "--out", name)
    assert (folder / "figure.pdf").read_bytes().startswith(b"%PDF")
    return {
        "program": program.name,
        "what": program.kind,
        "jobs": len(jobs),
        "cells": len(rows),
        "seeds": seeds.pop(),
        "killed": killed,
        "attempts": attempts,
        "wall_s": round(wall),
    }


@click.command()
@click.argument("names", nargs=-1)
@click.option("--from", "given", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where they lie.")
@click.option("--into", type=click.Path(path_type=Path), default=CACHE / "runs", help="Where they run.")
@click.option("--python", default=sys.executable, help="The Python that has what they import.")
def main(names: tuple[str, ...], given: Path | None, into: Path, python: str) -> None:
    """Run the programs (all of them, or those that are named) and say what came of each."""
    path = f"{Path(python).absolute().parent}:{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ORCH_", "SLURM_"))}
    environment = {**inherited, "PATH": path, "ORCH_BACKEND": "local"}
    lacking = 0
    for program in PROGRAMS:
        if names and program.name not in names:
            continue
        try:
            folder = lay(program, given, into.absolute(), python)
        except Lacking as error:
            lacking += 1
            click.echo(f"{program.name}: NOT RUN: {error}")
            continue
        row = run(program, folder, environment)
        click.echo(
            "{program} ({what}): {jobs} jobs, {cells} cells of {seeds} seeds, {killed} killed, {attempts} attempts, "
            "{wall_s} s".format(**row)
        )
        click.echo((folder / "table.md").read_text())
        click.echo(f"{folder}/table.tex, {folder}/figure.pdf\n")
    sys.exit(1 if lacking else 0)


if __name__ == "__main__":
    main()
