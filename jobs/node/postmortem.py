"""Run by a user's own Python, whatever its version: a program that ends in pdb where an exception leaves it.

`python postmortem.py script FILE ARGS…`, `… module NAME ARGS…`, `… code TEXT ARGS…`. Nothing of orch is imported. The
exit code is the program's: pdb itself begins a program again at its end, and loses it.
"""

from __future__ import annotations

import os
import pdb
import runpy
import signal
import sys
from pathlib import Path

MINE = (__file__, runpy.__file__, "<frozen runpy>")


def run(how: str, what: str, arguments: list[str]) -> None:
    """As `python FILE`, `python -m NAME` and `python -c TEXT` would."""
    safe = getattr(sys.flags, "safe_path", False) or sys.flags.isolated
    if not safe:
        first = {"script": str(Path(what).resolve().parent), "module": str(Path.cwd()), "code": ""}[how]
        sys.path[0] = first
    sys.argv = [what if how == "script" else "-c" if how == "code" else "-m", *arguments]
    if how == "module":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    if how == "script" and not Path(what).is_file():
        runpy.run_path(what, run_name="__main__")
        return
    name = what if how == "script" else "<string>"
    source: str | bytes = what
    if how == "script":
        source = Path(what).read_bytes()
    code = compile(source, name, "exec", dont_inherit=True)
    fresh = {"__name__": "__main__", "__builtins__": __builtins__, "__doc__": None}
    space = sys.modules["__main__"].__dict__
    space.clear()
    space.update(fresh)
    if how == "script":
        space["__file__"] = what
    exec(code, space)


def main(words: list[str]) -> None:
    """Names of this module are gone once the program has begun: what is needed after it is held here."""
    its_run, its_sys, its_os, its_pdb, its_signal, mine = run, sys, os, pdb, signal, MINE
    try:
        its_run(words[0], words[1], words[2:])
        return
    except SystemExit:
        raise
    except BaseException as raised:
        error, trace = raised, raised.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in mine:
        trace = trace.tb_next
    its_sys.excepthook(type(error), error.with_traceback(trace), trace)
    if trace is not None:
        print("orch: pdb where it was raised (q ends it)", file=its_sys.stderr, flush=True)
        its_pdb.post_mortem(trace)
    if isinstance(error, KeyboardInterrupt):
        its_signal.signal(its_signal.SIGINT, its_signal.SIG_DFL)
        its_os.kill(its_os.getpid(), its_signal.SIGINT)
    its_sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
