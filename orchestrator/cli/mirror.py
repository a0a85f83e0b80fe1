"""`orch mirror`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_store, print_json, store_option


@click.command()
@click.option("--now", "at_once", is_flag=True, help="Do a round now, and wait for its end.")
@click.option("--status", is_flag=True, help="How old the mirror is (as without an option).")
@click.option("--check", is_flag=True, help="Read all of the mirror and compare it with the store; 1 where it differs.")
@json_option
@store_option
@click.pass_context
def command(
    context: click.Context, at_once: bool, status: bool, check: bool, as_json: bool, store_path: Path | None
) -> None:
    """The copy of the store that [store] mirror in orch.toml names: a folder, or host:folder by ssh.

    The supervisor copies every ten minutes. When the store is lost, 'orch rebuild --from MIRROR' makes one of it.

    \b
    Example:
      orch mirror
      orch mirror --now
      orch mirror --check
    """
    from jobs.errors import BadInput

    if at_once + status + check > 1:
        raise BadInput("--now, --status and --check are three things: give one of them")
    store, settings = open_store(store_path, looking=not at_once)
    from jobs.files import now
    from orchestrator.mirroring import ages, rounds

    place = rounds.place_of(store, settings)
    if at_once:
        round_ = rounds.Round(store, settings, place, tell=lambda text: click.echo(f"copying {text}", err=True))
        with rounds.alone(store, lambda: click.echo("waiting for the end of the round that is under way", err=True)):
            round_.go(full=True, anew=True)
    if check:
        from orchestrator.mirroring.checking import check as compare

        found = compare(store, place)
        if as_json:
            print_json(found.as_json())
        else:
            click.echo(found.text())
        context.exit(0 if found.sound else 1)
    age = ages.of_place(store, settings, place)
    if as_json:
        print_json(age.as_json(now()))
        return
    click.echo(age.line(now()))
    if at_once:
        click.echo(age.copied())
    elif (warning := age.warning(now())) is not None:
        click.echo(f"Warning: {warning}", err=True)
