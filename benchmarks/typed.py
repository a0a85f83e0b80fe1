"""`make bench`: commands as a user types them, in CPU seconds, at 1,000 results and ever ten times as many.

Each line says how the cost grows: CPU seconds beyond the start, per ten times as many jobs.
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import click

from benchmarks.measure import Row, cpu, filled

READS = (
    ("table",),
    ("table", "--by", "name", "--metric", "test_accuracy"),
    ("status",),
    ("show", "1"),
    ("explain", "1"),
    ("export", "--out", "exported.csv"),
)
LIMITS = {"table": 1.0, "export": 3.0, "import": 3.0, "cancel": 3.0}
"""CPU seconds at 100,000, the start included."""
LARGEST = 5.0
"""CPU seconds of a table of a million."""
FLAT = ("status", "show", "explain")
"""What costs the same in any store."""


def growth(folder: Path, most: int, million: bool) -> list[Row]:
    """Every command at 1,000, 10,000, … `most` results (and at a million), each store made once."""
    sizes = [size for size in (1_000, 10_000, 100_000) if size <= most] + ([1_000_000] if million else [])
    seconds: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    for size in sizes:
        here = folder / f"typed{size}"
        for name, words, where in _commands(here, size):
            click.echo(f"… {size:,}: orch {name}", err=True)
            found, memory[name] = cpu(words, where, 2 if words[0] in FLAT else 1)
            seconds.setdefault(name, []).append(found)
    return [_row(name, sizes, found, memory[name]) for name, found in seconds.items()]


def _commands(here: Path, size: int) -> list[tuple[str, tuple[str, ...], Path]]:
    """(name, words, folder) of all commands at one size, in order: the later ones change a store of their own."""
    for name, results in (("results", True), ("queued", False)):  # elsewhere: a child begins with its parent's memory
        how = {"results": results, "configs": min(1_000, max(1, size // 100))}
        made = multiprocessing.get_context("spawn").Process(
            target=filled, args=(here / name / ".orch", size), kwargs=how
        )
        made.start()
        made.join()
    (here / "imported").mkdir()
    table = here / "imported" / "rows.csv"
    with table.open("w") as handle:
        handle.write("kind,method,search_epoch,seed,dataset,test_accuracy,params,shortcuts\n")
        for row in range(size):
            number = 90 + (row * 7919 % 1000) / 250
            handle.write(f"evaluate,A,{row // 100},{row % 100},cifar10,{number},{14_000_000 + row % 7},{row % 30}\n")
    found = [(" ".join(words), words, here / "results") for words in READS]
    found.append(("import", ("import", "rows.csv"), here / "imported"))
    found.append(("cancel --all", ("cancel", "--all"), here / "queued"))
    return found


def _row(name: str, sizes: list[int], seconds: list[float], memory: float) -> Row:
    start = seconds[0]
    beyond = [max(one - start, 0.0) for one in seconds]
    grows = " → ".join(f"{size:,}: {one:.2f}" for size, one in zip(sizes, seconds, strict=True))
    times = beyond[-1] / beyond[-2] if len(beyond) > 2 and beyond[-2] > 0.05 else 0.0
    word = name.split()[0]
    limit = start * 1.5 if word in FLAT else LARGEST if sizes[-1] > 100_000 and word == "table" else LIMITS[word]
    told = sizes[-1] >= 100_000 or word in FLAT
    return Row(
        what=f"orch {name}, {sizes[-1]:,}",
        value=seconds[-1],
        unit="s CPU",
        limit=f"≤ {limit:.2f}" if told else "–",
        ok=not told or seconds[-1] <= limit,
        note=f"{grows}; {memory:.0f} MB" + (f"; ten times as many: {times:.1f} ×" if times else ""),
    )
