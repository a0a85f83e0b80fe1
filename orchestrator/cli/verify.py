"""`orch verify`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.errors import BadInput
from orchestrator import text
from orchestrator.cli.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from orchestrator.claims.findings import Finding, Verdict
    from orchestrator.claims.records import Claim
    from orchestrator.claims.rerunning import Again


@click.command(name="verify")
@click.argument("claim", metavar="CLAIM|ARCHIVE", type=click.Path(path_type=Path))
@click.option("--against", metavar="OLD|HEAD", help="An earlier claim, or a head that 'orch claim' printed.")
@click.option("--rerun", "again", type=click.IntRange(1), metavar="N", help="Run N of its jobs again, in its store.")
@json_option
@store_option
def command(claim: Path, against: str | None, again: int | None, as_json: bool, store_path: Path | None) -> None:
    """Check a claim from the file alone: is the table what its results give, and was a seed taken out?

    Of an archive, its files are held against their hashes, too, and its rows against the claim in it.

    With --rerun, jobs that are drawn by the claim's own hash run again from their snapshots, one after the other, in
    the foreground: that needs the store that made it.

    \b
    Exit code 0: equal, and every seed that was asked for is in it.
    1: something to know, a line for each. 2: no claim.

    \b
    Example:
      orch verify table2.claim
      orch verify table2.claim --against earlier.claim
      orch verify table2.claim --rerun 3
      orch verify t2.zip
    """
    from orchestrator.archives.reading import is_archive
    from orchestrator.claims import anchors, records
    from orchestrator.claims.verdict import judge

    odd: list[Finding] = []
    found, data = _of_archive(claim, odd) if is_archive(claim) else records.load(claim)
    try:
        verdict = judge(found, data)
    except BadInput as error:
        raise BadInput(f"'{claim}' cannot be verified: {error}") from None
    verdict.findings += odd
    anchor = anchors.read(against) if against is not None else None
    if anchor is not None:
        verdict.findings += anchors.compare(found, anchor)
    ran = _again(found, verdict, again, store_path) if again else []
    if as_json:
        rerun = [{"job": one.job, "seed": one.seed, "how": one.how, "text": one.text} for one in ran]
        print_json(verdict.as_json() | {"anchored": anchor is not None, "rerun": rerun})
    else:
        click.echo(verdict.sentence())
        for finding in verdict.findings:
            click.echo(f"  {text.plain(finding.text)}")
        for remark in verdict.remarks:
            click.echo(f"  ({text.plain(remark)})")
        for one in ran:
            click.echo(f"  {text.plain(one.text)}")
        click.echo(f"study '{found.study}', head {verdict.head}")
        if anchor is not None and not any(one.what in ("forked", "cut") for one in verdict.findings):
            click.echo(f"it goes on from {anchor.name}")
        if anchor is None:
            click.echo("No anchor: this proves that the story is consistent, not that it is true (--against).")
    click.get_current_context().exit(0 if verdict.sound and all(one.sound for one in ran) else 1)


def _of_archive(path: Path, odd: list[Finding]) -> tuple[Claim, bytes]:
    """The claim in an archive, whose files are all read. `odd` gets what does not fit the claim. Raises BadInput."""
    from rich.console import Console
    from rich.progress import Progress

    from orchestrator.archives import checking

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the archive", total=None)
        claim, data, found = checking.check(path, lambda n, of: bar.update(task, completed=n, total=of))
    odd += found
    return claim, data


def _again(claim: Claim, verdict: Verdict, n: int, store_path: Path | None) -> list[Again]:
    from orchestrator.claims.rerunning import drawn, rerun

    rows = drawn(claim, verdict.digest, n)
    store, _ = open_store(store_path)
    found = []
    for place, row in enumerate(rows, 1):
        click.echo(f"runs job {row.job} again ({place} of {len(rows)})", err=True)
        found.append(rerun(store, claim, row))
    return found
