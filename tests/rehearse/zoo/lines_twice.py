"""Keeps a log beside its checkpoints, and reports all of it again when it starts: also of an epoch that it repeats."""

import json

from common import FOLDER, Training, report, run

log = FOLDER / "log.jsonl"
if log.exists():
    for line in log.read_text().splitlines():
        report(**json.loads(line))


def logged(epoch, values):
    with log.open("a") as lines:
        lines.write(json.dumps({"epoch": epoch, "values": values}) + "\n")
    report(epoch, values)


run(Training(), report=logged)
