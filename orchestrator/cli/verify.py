"""`orch verify`"""

from __future__ import annotations

from pathlib import Path

import click

from jobs.errors import BadInput
from orchestrator import text
from orchestrator.cli.options import json_option, print_json


@click.command(name="verify")
@click.argument("claim", type=click.Path(path_type=Path))
@click.option("--against", metavar="OLD|HEAD", help="An earlier claim, or a head that 'orch claim' printed.")
@json_option
def command(claim: Path, against: str | None, as_json: bool) -> None:
    """Check a claim from the file alone: is the table what its results give, and was a seed taken out?

    Exit code 0: equal, and every seed that was asked for is in it. 1: something to know, a line for each. 2: no claim.

    \b
    Example:
      orch verify table2.claim
      orch verify table2.claim --against earlier.claim
    """
    from orchestrator.claims import anchors, records
    from orchestrator.claims.verdict import judge

    found, data = records.load(claim)
    try:
        verdict = judge(found, data)
    except BadInput as error:
        raise BadInput(f"'{claim}' cannot be verified: {error}") from None
    anchor = anchors.read(against) if against is not None else None
    if anchor is not None:
        verdict.findings += anchors.compare(found, anchor)
    if as_json:
        print_json(verdict.as_json() | {"anchored": anchor is not None})
    else:
        click.echo(verdict.sentence())
        for finding in verdict.findings:
            click.echo(f"  {text.plain(finding.text)}")
        for remark in verdict.remarks:
            click.echo(f"  ({text.plain(remark)})")
        click.echo(f"study '{found.study}', head {verdict.head}")
        if anchor is not None and not any(one.what in ("forked", "cut") for one in verdict.findings):
            click.echo(f"it goes on from {anchor.name}")
        if anchor is None:
            click.echo("No anchor: this proves that the story is consistent, not that it is true (--against).")
    click.get_current_context().exit(0 if verdict.sound else 1)
