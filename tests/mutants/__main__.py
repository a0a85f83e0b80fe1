"""`make mutants`: which faults the tests notice. `python -m tests.mutants [NAME…]` tries some of them only.

Ends with 1 where one survives without a stated reason, or is noticed in spite of one; with 2 where the list does not
fit the code, or the tests fail without any fault.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.mutants import Faults, Mutant, copy, read

FAST_PART = ("tests/simulation", "tests/unit", "tests/integration")
LIMIT_SECONDS = 900
"""A fault that makes the tests hang is noticed."""
AT_ONCE = int(os.environ.get("ORCH_MUTANTS_AT_ONCE", "2"))


def main(names: Sequence[str]) -> int:
    """Try the faults of these names, or all."""
    faults = read()
    wrong = [told for mutant in faults.mutants if (told := mutant.wrong())]
    if unknown := set(names) - {mutant.name for mutant in faults.mutants}:
        wrong += [f"there is no mutant '{name}'" for name in sorted(unknown)]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    chosen = [mutant for mutant in faults.mutants if not names or mutant.name in names]
    with tempfile.TemporaryDirectory(prefix="orch-mutants-") as folder:
        tree = copy(Path(folder) / "whole")
        asked = sorted({test for mutant in chosen for test in faults.likely(mutant)})
        told = _notice(tree, asked)
        if told is not None:
            print(f"the tests fail without any fault: {told}", file=sys.stderr)
            return 2
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            tried = list(pool.map(lambda mutant: _try(faults, mutant, Path(folder)), chosen))
    holes = [mutant for mutant, test in zip(chosen, tried, strict=True) if (test is None) != bool(mutant.survives)]
    killed = sum(test is not None for test in tried)
    print(
        f"{len(chosen)} mutants, {killed} killed, {len(chosen) - killed} survive, in {time.monotonic() - began:.0f} s"
    )
    for mutant in holes:
        print(
            f"  {mutant.name} ({mutant.file}): " + ("killed in spite of its reason" if mutant.survives else mutant.why)
        )
    return 1 if holes else 0


def _try(faults: Faults, mutant: Mutant, folder: Path) -> str | None:
    """The test that noticed; None where none did."""
    tree = copy(folder / mutant.name)
    mutant.put(tree)
    noticed = _surely(tree, faults.likely(mutant), folder) or _surely(tree, FAST_PART, folder)
    print(
        f"{'killed' if noticed else 'SURVIVES'} {mutant.name}: {noticed or mutant.survives or mutant.why}", flush=True
    )
    shutil.rmtree(tree, ignore_errors=True)
    return noticed


def _surely(tree: Path, tests: Sequence[str], folder: Path) -> str | None:
    """The test that fails in this tree and not in the whole one: a busy machine fails tests too."""
    noticed = _notice(tree, tests)
    if noticed is None:
        return None
    if _notice(folder / "whole", [noticed] if noticed.startswith("tests/") else tests) is not None:
        print(f"{noticed} fails without the fault of {tree.name} too: it says nothing", flush=True)
        return None
    return noticed


def _notice(tree: Path, tests: Sequence[str]) -> str | None:
    """Run tests in a tree up to the first that fails: its name, or None."""
    if not tests:
        return None
    several = ["-n", "2", "--dist", "worksteal"] if tests is FAST_PART else []
    command = [sys.executable, "-m", "pytest", "-x", "--no-header", *several, *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {LIMIT_SECONDS} s"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return lines[0].partition(" - ")[0].partition(" ")[2] if lines else f"pytest ended with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
