"""`orch doctor`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, print_json, store_option

STYLES = {"ok": "green", "warning": "yellow", "failure": "red"}


@click.command()
@click.option("--notify", is_flag=True, help="Only send a test message by every way of [notify] in orch.toml.")
@json_option
@store_option
@click.pass_context
def command(context: click.Context, notify: bool, as_json: bool, store_path: Path | None) -> None:
    """Check this machine, SLURM and the store: each ok, a warning or a failure with its mend.

    Ends with 1 where there is a failure.

    \b
    Example:
      orch doctor
      orch doctor --notify
    """
    if notify:
        context.exit(_notify(as_json, store_path))
    from orchestrator.upkeep.doctoring import examine
    from orchestrator.upkeep.findings import failures

    found = examine(store_path)
    if as_json:
        fields = ("level", "subject", "text", "mend")
        print_json({"findings": [{name: getattr(one, name) for name in fields} for one in found]})
    else:
        from rich.text import Text

        from orchestrator.views.tables import console

        out = console()
        for one in found:
            line = Text(f"{one.level:<8}", style=STYLES[one.level]).append(f"{one.subject:<13}", style="bold default")
            out.print(line.append(one.text, style="not bold default"))
            if one.mend:
                out.print(Text(f"{'':<8}→ {one.mend}"))
    context.exit(1 if failures(found) else 0)


def _notify(as_json: bool, store_path: Path | None) -> int:
    from db.admission import admit
    from db.place import locate
    from orchestrator.settings import load
    from orchestrator.upkeep.testmessage import tell

    root = locate(store_path, looking=True)
    there = admit(root, looking=True)
    told = tell(load(root, frozenset({there.owner} if there else ())).notify, root)
    if as_json:
        print_json({"told": [{"way": one.way, "delivered": not one.wrong, "error": one.wrong} for one in told]})
    else:
        for one in told:
            click.echo(f"{one.way}: not told: {one.wrong}" if one.wrong else f"{one.way}: told")
    return 1 if any(one.wrong for one in told) else 0
