"""`orch init`: a commented study file to begin with."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="init")
@click.argument("file", type=click.Path(path_type=Path), default="study.toml")
def command(file: Path) -> None:
    """Write a commented example of a study file (study.toml). A file that is there is left alone.

    \b
    Example:
      orch init
      orch submit study.toml --dry-run
    """
    from importlib.resources import files

    from jobs.errors import BadInput

    text = files("orchestrator.studyfile").joinpath("example.toml").read_text()
    if file.suffix != ".toml":
        raise BadInput(f"a study file is called NAME.toml (got '{file}')")
    try:
        with file.open("x") as made:
            made.write(text)
    except FileExistsError:
        raise BadInput(f"{file} is there already: name another file, like 'orch init other.toml'") from None
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"wrote {file}: edit it, then 'orch submit {file} --dry-run'")
