"""The `orch` command. `orch --help` imports nothing but click: each command's module is loaded when it is called."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from jobs.errors import OrchError
from orchestrator import text

COMMANDS = {
    "init": "Write a commented study file to begin with.",
    "submit": "Enqueue jobs: one per seed; a repeat creates nothing.",
    "status": "What runs, what waits and why, what ended and how.",
    "show": "One job in full: config, attempts, executions, result.",
    "explain": "Why a job waits, or why it ended and what orch did.",
    "logs": "What a job printed (-f follows it).",
    "run": "A job in the foreground; nothing is recorded.",
    "rehearse": "Whether a program survives being killed.",
    "diff": "What differs between two jobs, or a job and now.",
    "cancel": "Cancel jobs.",
    "retry": "Run failed or cancelled jobs again, or finished ones.",
    "set": "Change the terms of jobs that are not finished.",
    "drop": "Take results out of every table, with a reason.",
    "keep": "Take a drop back.",
    "table": "Mean±std tables like Table 2.",
    "compare": "Is A better than B, and what could n have shown?",
    "usage": "What CPU and GPU hours were good for.",
    "claim": "One file with a table that others can check.",
    "verify": "Check a claim, without its store.",
    "archive": "A whole study in one zip file, for a reviewer.",
    "plot": "Figures 1-8, curves, pareto front, gantt.",
    "report": "One self-contained page with tables and figures.",
    "supervise": "Dispatch and watch in the foreground (tmux, systemd).",
    "lab": "Several servers as one cluster, without root.",
    "nodes": "Health of nodes and local GPUs; clear strikes.",
    "doctor": "Check this machine, SLURM and the store.",
    "import": "Take in results from a CSV or JSON lines file.",
    "export": "Write all results as CSV or JSON lines.",
    "mirror": "The store's copy on another machine: its age; --now.",
    "rebuild": "Make the database anew, or a store of its mirror.",
    "correct": "Results that an earlier orch took wrongly; --undo.",
    "clean": "Remove checkpoints and folders that nothing needs.",
}


class LazyGroup(click.Group):
    """Knows its commands by name and loads `orchestrator.cli.<name>` on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if cmd_name in ("import",) else cmd_name
        found = importlib.import_module(f"orchestrator.cli.{name}").command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the names alone, so that help loads no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            if near:
                raise click.UsageError(f"no command '{args[0]}': did you mean '{near[0]}'?", ctx) from error
            raise


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="orch", prog_name="orch")
def command() -> None:
    """Batch jobs on GPU clusters: submit once, lose nothing, count every seed exactly once, get the table.

    \b
    Example:
      orch submit random-baseline --seeds 10 --preset demo
      orch status
      orch table --out table2.md

    Shell completion: eval "$(_ORCH_COMPLETE=bash_source orch)" (or zsh_source, fish_source).
    """


def run(arguments: Sequence[str] | None = None) -> None:
    """Entry point: errors become one sentence and an exit code, never a traceback (70: our own defect)."""
    # Imports make a hundred thousand objects that live for ever: looking through them for garbage at every 700th is an
    # eighth of a command's start.
    gc.set_threshold(50_000)
    with text.guarded():
        _run(arguments)


def _run(arguments: Sequence[str] | None) -> None:
    try:
        code = command.main(args=arguments, prog_name="orch", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except click.ClickException as error:
        error.show(sys.stderr)  # guarded: it repeats what was typed
        sys.exit(2)
    except OrchError as error:
        _say(f"Error: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        _defect(error)
        sys.exit(70)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _defect(error: Exception) -> None:
    """Our own defect: the traceback goes to a file, and a person is told where."""
    import tempfile
    import traceback

    what = f"a defect of orch ({type(error).__name__}: {error})"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="orch-defect-", suffix=".txt", delete=False) as handle:
            handle.write(f"{sys.argv}\n")
            traceback.print_exception(error, file=handle)
        _say(f"Error: {what}; please report it with {handle.name}")
    except OSError:
        _say(f"Error: {what}; please report it with what follows")
        traceback.print_exception(error)
    if os.environ.get("ORCH_DEBUG"):
        raise error


def fail(context: click.Context, code: int) -> Any:
    """End a command with an exit code."""
    context.exit(code)


if __name__ == "__main__":
    run()
