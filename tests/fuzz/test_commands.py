"""Odd command lines: exit 0, 1 or 2 with a sentence, never 70, never a traceback, and the store is sound afterwards.

ORCH_FUZZ_COMMANDS says how many (a few in `make test`, 1,000 in `make chaos`), ORCH_FUZZ_SEED where to begin. Left out
are only options that wait for a supervisor (--wait, -f, --watch) and the runs of a rehearsal; supervisors are not
started.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import click
import pytest

from db import audit, checks
from db.store import Store
from jobs.errors import BadInput
from orchestrator.cli.main import command as root
from orchestrator.supervision import starting
from orchestrator.upkeep.rebuilding import rebuild_all
from tests.fuzz import runs
from tests.simulation.patches import memory_folder

COMMANDS = int(os.environ.get("ORCH_FUZZ_COMMANDS", "60"))
SEED = int(os.environ.get("ORCH_FUZZ_SEED", "1"))
SECONDS = 60
LEFT_OUT = frozenset({"--wait", "-f", "--follow", "--watch", "--help", "-h"})
WORDS: tuple[str, ...] = (
    "", " ", "0", "1", "2", "-1", "99999999999999999999", "1e999", "nan", "inf", "1.5", "0x10", "1_000", "٣", "²",
    "é",
    "日本語", "🤖", "\x1b[31mred\x1b[0m", "\x07", "a\nb", "a\tb", "\u202e", "\udcff", "a b", "a/b", "../../etc/passwd",
    "/proc/self/mem", "/dev/null", "~", "$HOME", "`id`", "; rm -rf x", "'", '"', "\\", "%s", "%j", "{seed}", "{",
    "}", "{0}",
    "=", "a=", "=b", "a=b", "a=b=c", "a=1,1", "seed=3", "epochs=0", "epochs=-1", "epochs=1e9", "epochs=nan", "lr=nan",
    "lr=-inf", "lr=" + "9" * 400, "width=0", "argv=x", "name=" + "n" * 3000, "x" * 5000, ",", ",,", "1,2,", "0-3",
    "3-0",
    "1-99999999", "default", "fuzz", "command", "search", "acc", "loss", "test_accuracy", "auto", "slurm",
    "local", "cpu",
    "cuda", "report", "demo", "SIGKILL", "TERM", "1G", "-5G", "0M", "99999999T", "1:2:3:4", "00:00:00", "-1:00",
    "kind", "kind,seed", "seed,seed", "acc,acc", "last", "best", "--", "-", "--nope", "--seeds", "-x", "1 2",
    "[1]", "null",
)  # fmt: skip


class TooSlow(Exception):
    """A command that does not end."""


@contextmanager
def limited(words: tuple[str, ...]) -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise TooSlow(f"orch {words} took over {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def all_commands() -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command, with its subcommands' names before it."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    todo: list[tuple[tuple[str, ...], click.Command]] = [((), root)]
    while todo:
        names, one = todo.pop()
        if isinstance(one, click.Group):
            context = click.Context(one)
            for name in one.list_commands(context):
                inner = one.get_command(context, name)
                assert inner is not None
                todo.append(((*names, name), inner))
        else:
            found.append((names, one))
    return sorted(found, key=lambda item: item[0])


SOUND = {
    "study": "default", "metric": "acc", "by": "kind", "backend": "local", "device": "cpu", "seeds": "2",
    "seed_list": "0,1", "grid": "a=1,2", "sets": "name=x", "mem": "1G", "time": "10", "out": "out.md", "preset": "demo",
    "epoch": "1", "data_dir": ".", "sbatch": "comment=x", "gpu_mem": "1G",
}  # fmt: skip


def value_of(option: click.Parameter, random: Random) -> str:
    """A sound value in half of the cases, so that the odd one beside it is reached."""
    if random.random() < 0.5:
        return random.choice(WORDS)
    if isinstance(option.type, click.Choice):
        return str(random.choice(list(option.type.choices)))
    if option.name in SOUND:
        return SOUND[option.name]
    return random.choice(("1", "2", "3")) if "int" in option.type.name or "float" in option.type.name else "x"


def draw(random: Random, choices: list[tuple[tuple[str, ...], click.Command]]) -> tuple[str, ...]:
    """A command line: a command, some of its options with sound or odd values, some arguments."""
    names, chosen = random.choice(choices)
    words = list(names)
    options = [one for one in chosen.params if isinstance(one, click.Option) and not LEFT_OUT & set(one.opts)]
    for option in random.sample(options, min(len(options), random.choice((0, 1, 1, 2, 3, 6)))):
        words.append(random.choice([*option.opts, *option.secondary_opts]))
        if not option.is_flag and random.random() < 0.95:
            words.append(value_of(option, random))
    arguments = [one for one in chosen.params if isinstance(one, click.Argument)]
    for one in arguments if random.random() < 0.8 else (*arguments, *arguments, None):
        if one is None or random.random() < 0.95:
            words.append(random.choice(WORDS) if one is None or one.name == "argv" else value_of(one, random))
    if names[0] == "submit":
        words[2:2] = [random.choice(("--no-start", "--dry-run"))]
        if names[1] == "command" and random.random() < 0.8:
            words += ["--", random.choice(("true", "true", random.choice(WORDS)))]
    if names[0] == "supervise":
        words.append("--until-idle")
    return tuple(word.replace("\0", "") for word in words)


def not_here(rehearsal: object) -> None:
    raise BadInput("a rehearsal's runs are left out")


@pytest.mark.timeout(120 + 5 * COMMANDS)
def test_odd_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ORCH_", "SLURM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ORCH_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ORCH_PRESET", "demo")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(starting, "ensure_supervisor", lambda store: None)
    monkeypatch.setattr("orchestrator.supervision.process.run", lambda *given, **options: None)
    monkeypatch.setattr("orchestrator.rehearsal.running.Rehearsal.run", not_here)
    choices = all_commands()
    assert len(choices) > 15
    codes: dict[int, int] = {}
    with tempfile.TemporaryDirectory(dir=memory_folder()) as place:
        here = Path(place)
        runs.template(here / "original")
        for seed in range(SEED, SEED + COMMANDS):
            random = Random(f"commands {seed}")
            if (seed - SEED) % 20 == 0:
                shutil.rmtree(here / "work", ignore_errors=True)
                (here / "work").mkdir()
                shutil.copytree(here / "original", here / "work" / ".orch")
                monkeypatch.chdir(here / "work")
            words = draw(random, choices)
            try:
                with runs.quiet(), limited(words):
                    said = runs.call(*words)
                assert said.code == 0 or said.err.strip() or said.out.strip(), "it ended without a word"
            except BaseException as error:
                raise runs.Found(
                    f"seed {seed}: orch {words!r}: {error}\n"
                    f"  replay: ORCH_FUZZ_SEED={seed} ORCH_FUZZ_COMMANDS=1 pytest tests/fuzz/test_commands.py"
                ) from error
            codes[said.code] = codes.get(said.code, 0) + 1
            if (seed - SEED) % 20 == 19:
                sound(here / "work" / ".orch", seed)
    print(f"{COMMANDS} command lines, seeds {SEED} to {SEED + COMMANDS - 1}, exit codes {dict(sorted(codes.items()))}")


def sound(place: Path, seed: int) -> None:
    """After twenty of them: the database and the journal are whole, and agree."""
    store = Store(place)
    with store.read() as connection:
        wrong = [*checks.integrity(connection), *checks.miscounted(connection)]
    assert not wrong and not audit.audit(store).faults, f"by seed {seed}: {wrong} {audit.audit(store)}"
    before = runs.essence(store)
    with runs.quiet():
        rebuild_all(place, lambda done, total: None)
    assert runs.essence(Store(place)) == before, f"by seed {seed}: the rebuilt store differs"
