"""`orch archive`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_study, print_json, store_option, study_option


@click.command(name="archive")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file, like t2.zip.")
@click.option("--license", default="", metavar="TEXT|URL", help="Under which licence it is given away.")
@study_option
@json_option
@store_option
def command(out: Path, license: str, study: str | None, as_json: bool, store_path: Path | None) -> None:
    """Write a whole study into one zip file, for a reviewer or for the shelf.

    Settings, results, curves, architectures, the kept code and what was installed, the claim, tables and figures with
    the commands that made them, a README and RO-Crate metadata. 'orch table --archive FILE' and the like then give
    the same bytes as here, without this store. The same store gives the same file.

    \b
    Example:
      orch archive --study t2 --out t2.zip
      orch table --archive t2.zip
      orch verify t2.zip
    """
    from rich.console import Console
    from rich.progress import Progress

    from jobs.errors import BadInput
    from orchestrator.archives.making import make
    from orchestrator.text import check
    from orchestrator.views.words import plural

    if out.suffix != ".zip":
        raise BadInput(f"an archive is called NAME.zip (got '{out}')")
    check("--license", license)
    store, _, name = open_study(store_path, study, None)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        made = make(store, name, out, license=license, tell=lambda what: bar.update(task, description=what))
    if as_json:
        print_json(
            {
                "file": str(out),
                "study": name,
                "bytes": made.bytes,
                "files": made.files,
                "head": made.head,
                "remarks": made.remarks,
            }
        )
        return
    for remark in made.remarks:
        click.echo(f"Warning: {remark}", err=True)
    files = plural(made.files, "file")
    click.echo(f"wrote {out}: {made.bytes / 1000:.1f} kB, {plural(made.jobs, 'job')} of study '{name}', {files}")
    click.echo(f"claim's head {made.head}")
