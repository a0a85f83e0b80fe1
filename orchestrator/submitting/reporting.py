"""Where a program's numbers are and what they are called, as a person says it: checked before anything is enqueued."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from db.changes import Change
from db.jobs import StoredJob
from jobs.errors import BadInput
from jobs.metrics import PLACE
from jobs.numbers import events
from jobs.reported import MOST_DIGITS, Declared, Reported, title
from jobs.templates import used
from orchestrator import text
from orchestrator.submitting.parameters import FILLED
from orchestrator.tables.keys import ALIASES, ATTRIBUTES, DERIVED

COMMAND = "command"
LONGEST_NAME = 100
PREFIXES = ("config.", "metrics.")
ABOUT = ("label", "unit", "digits", "better")
_ABOUT = re.compile(rf"(?:^|,)\s*({'|'.join(ABOUT)})\s*=")
RESULT_FILE, METRIC, DECLARE, TENSORBOARD = "--result-file", "--metric", "--declare", "--tensorboard"


def of_words(files: Sequence[str], metrics: Sequence[str], declared: Sequence[str], folders: Sequence[str]) -> Reported:
    """What the options of a command line say. Raises BadInput."""
    found: dict[str, Declared] = {}
    for word in metrics:
        name, sign, pattern = word.partition("=")
        name = name.strip()
        if not sign or not name or not pattern:
            raise BadInput(rf"{METRIC} takes NAME=PATTERN, like 'test_acc=Accuracy: ([\d.]+)' (got '{word}')")
        if name in found:
            raise BadInput(f"{METRIC} names '{name}' twice: give it one pattern (with | in it for several)")
        found[name] = Declared(pattern=pattern)
    told: set[str] = set()
    for word in declared:
        name, about = _about(word)
        if name in told:
            raise BadInput(f"{DECLARE} names '{name}' twice: say all of it in one")
        told.add(name)
        found[name] = declaration(f"{DECLARE} {name}", {"pattern": found.get(name, Declared()).pattern, **about})
    return Reported(result_files=tuple(files), metrics=found, tensorboard=tuple(folders))


def _about(word: str) -> tuple[str, dict[str, str]]:
    """`test_acc: label=Test accuracy, unit=%` as a name and what is said of it. Raises BadInput."""
    head, sign, rest = word.partition(":")
    parts = list(_ABOUT.finditer(rest))
    if not sign or not head.strip() or not parts or rest[: parts[0].start()].strip():
        near = re.match(r"\s*(\w+)\s*=", rest)
        hint = f": it has no '{near.group(1)}'" if near and near.group(1) not in ABOUT else ""
        raise BadInput(
            f"{DECLARE} takes NAME: then some of {', '.join(f'{one}=…' for one in ABOUT)}, like "
            f"'test_acc: unit=%, digits=1, better=higher' (got '{word}'){hint}"
        )
    found: dict[str, str] = {}
    for part, after in zip(parts, [*parts[1:], None], strict=True):
        if part.group(1) in found:
            raise BadInput(f"{DECLARE} {head.strip()} says {part.group(1)} twice: say it once")
        found[part.group(1)] = rest[part.end() : after.start() if after else len(rest)].strip()
    return head.strip(), found


def declaration(where: str, about: Mapping[str, Any]) -> Declared:
    """One metric from what a person says of it, text or typed; `where` names it in errors. Raises BadInput."""
    known = ("pattern", *ABOUT)
    for key, value in about.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise BadInput(
                f"{where} has no setting '{key}': "
                + (f"did you mean '{near[0]}'?" if near else f"use {', '.join(known)}")
            )
        if key != "digits" and not isinstance(value, str):
            raise BadInput(f"{where}: {key} is a text (got {value!r})")
    digits = about.get("digits")
    if isinstance(digits, str):
        digits = int(digits) if re.fullmatch(r"[0-9]{1,3}", digits) else -1
    if digits is not None and (
        isinstance(digits, bool) or not isinstance(digits, int) or not 0 <= digits <= MOST_DIGITS
    ):
        raise BadInput(f"{where}: digits is a whole number from 0 to {MOST_DIGITS} (got '{about['digits']}')")
    better = str(about.get("better", ""))
    if better not in ("", "higher", "lower"):
        raise BadInput(f"{where}: better is 'higher' or 'lower' (got '{better}')")
    return Declared(
        pattern=str(about.get("pattern", "")),
        label=str(about.get("label", "")),
        unit=str(about.get("unit", "")),
        digits=digits,
        better="higher" if better == "higher" else "lower" if better else "",
    )


def check(reported: Reported, parameters: Collection[str]) -> None:
    """Refuse what could not be read on a node, or would hide something of the same name. Raises BadInput.

    `parameters`: names of the jobs' parameters.
    """
    for option, paths in ((RESULT_FILE, reported.result_files), (TENSORBOARD, reported.tensorboard)):
        _check_paths(option, paths, parameters)
    if reported.tensorboard and not events.is_installed():
        raise BadInput(
            f"{TENSORBOARD} needs the package {events.PACKAGE} in orch's own environment: "
            f"pip install 'orch[{events.PACKAGE}]'"
        )
    called: dict[str, str] = {}
    for name, one in reported.metrics.items():
        _check_name(name, one, parameters)
        other = called.setdefault(title(name, reported.metrics), name) if name not in PLACE else name
        if other != name:
            raise BadInput(
                f"'{other}' and '{name}' are both called '{title(name, reported.metrics)}', and nobody could tell them "
                "apart: give each a label of its own"
            )
    if patterns := {name: one.pattern for name, one in reported.metrics.items() if one.pattern}:
        from jobs.numbers.patterns import compiled

        compiled(patterns)
        if not patterns.keys() - PLACE:
            only = next(iter(patterns))
            raise BadInput(f"'{only}' only says where other printed metrics stand: give {METRIC} for one of them too")


def check_change(change: Change, jobs: Iterable[StoredJob]) -> None:
    """The same of a change of mind about jobs that exist. Raises BadInput."""
    reported = Reported.of(change.options)
    if reported == Reported():
        return
    parameters: set[str] = set()
    for job in jobs:
        if job.kind != COMMAND:
            raise BadInput(
                f"job {job.id} is a {job.kind}, which reports its numbers itself: name jobs of programs alone"
            )
        parameters |= set(job.config.get("parameters", {}))
    check(reported, parameters)


def over(change: Change, before: Mapping[str, Any]) -> Change:
    """The change over a job's own options: `--metric` names all patterns anew, `--declare` alone leaves them."""
    named = change.options.get("metrics") or {}
    if not named or any(one.get("pattern") for one in named.values()):
        return change
    old = before.get("metrics") or {}
    metrics = {**old, **{name: {**old.get(name, {}), **one} for name, one in named.items()}}
    return msgspec.structs.replace(change, options={**change.options, "metrics": metrics})


def _check_paths(option: str, paths: Sequence[str], parameters: Collection[str]) -> None:
    for path in paths:
        text.check(option, path)
        if not path.strip():
            raise BadInput(f"{option} is empty: name a {'folder' if option == TENSORBOARD else 'file'}")
        if paths.count(path) > 1:
            raise BadInput(f"{option} names '{path}' twice: name it once")
        if option == RESULT_FILE and (path.endswith(("/", "/.", "/..")) or path in ("{out}", ".", "..")):
            raise BadInput(f"{option} '{path}' is a folder: name the file in it, like '{{out}}/metrics.json'")
        if "*" in path:
            raise BadInput(f"{option} takes no wildcards: name one {'folder' if option == TENSORBOARD else 'file'}")
        for name in sorted(used([path]) - {*FILLED, *parameters}):
            near = get_close_matches(name, [*FILLED, *parameters], n=1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"use {', '.join([*FILLED, *sorted(parameters)])}"
            raise BadInput(f"{option} '{path}' uses {{{name}}}, which is not defined: {hint}")


def _check_name(name: str, one: Declared, parameters: Collection[str]) -> None:
    text.check("the metric", name)
    for key in ABOUT:
        text.check(f"the {key} of '{name}':", str(getattr(one, key)))
    if not name or name != name.strip() or len(name) > LONGEST_NAME or "," in name or "=" in name:
        raise BadInput(
            f"a metric's name has up to {LONGEST_NAME} characters, no comma, no = and no space around it (got '{name}')"
        )
    if name in PLACE:
        if not one.pattern:
            raise BadInput(f"'{name}' says where other metrics stand, and is none itself: leave {DECLARE} {name} out")
        return
    if name in (*ATTRIBUTES, *ALIASES, *DERIVED) or name.startswith(PREFIXES):
        raise BadInput(f"'{name}' means something else in tables: call the metric 'my_{name.rpartition('.')[2]}' or so")
    if name in parameters:
        raise BadInput(f"'{name}' is a parameter of these jobs already: call the metric '{name}_out' or so")


def remarks(reported: Reported, jobs: int, *, live: bool) -> list[str]:
    """What a person should know: a file that all jobs share tells of none of them."""
    if jobs < 2:
        return []
    return [
        f"{path}: all {jobs} jobs would write the same file; put {{out}} or {{seed}} into it"
        for path in (*reported.result_files, *reported.tensorboard)
        if (live or path.startswith("/")) and not used([path])
    ]
