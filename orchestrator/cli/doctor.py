"""`orch doctor`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, print_json, store_option

STYLES = {"ok": "green", "warning": "yellow", "failure": "red"}


@click.command()
@json_option
@store_option
@click.pass_context
def command(context: click.Context, as_json: bool, store_path: Path | None) -> None:
    """Check this machine, SLURM and the store: each ok, a warning or a failure with its mend.

    Ends with 1 where there is a failure.

    \b
    Example:
      orch doctor
    """
    from orchestrator.doctoring import examine
    from orchestrator.findings import failures

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
