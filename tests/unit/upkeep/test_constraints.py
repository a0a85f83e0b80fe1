"""constraints.txt pins everything that is installed, by version and by hash, and names no place to get it from."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[3]
REQUIREMENT = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?: ; (?P<when>[^\\]+))? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, set[str]]:
    """Name → versions (several where Pythons or platforms differ); every requirement has hashes."""
    found: dict[str, set[str]] = {}
    hashes = 1
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line or line.lstrip().startswith("#"):
            continue
        match = REQUIREMENT.match(line)
        if match is None:
            assert HASH.match(line), line
            hashes += 1
            continue
        assert hashes, f"the requirement before {line} has no hash"
        hashes = 0
        found.setdefault(match["name"], set()).add(match["version"])
    assert hashes
    return found


def test_every_installed_package_is_pinned_with_hashes() -> None:
    versions = pinned()
    own = {"orch", "orch-example", "pip"}  # this very project, and what every virtual environment starts with
    installed = {normal(one.metadata["Name"]): one.version for one in metadata.distributions()}
    assert len(installed) > 40
    unpinned = {name: version for name, version in installed.items() if version not in versions.get(name, set())}
    assert {name for name in unpinned if name not in own} == set()


def test_every_requirement_of_the_project_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {normal(re.split(r"[<>=!~ ]", one)[0]) for one in asked}
    assert names <= pinned().keys()
    assert {"sympy", "iniconfig", "markupsafe"} <= pinned().keys() - names  # what those bring along


def test_no_place_to_download_from_is_named() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"://|--index-url|--find-links|--extra-index", text)


def test_make_install_uses_the_hashes() -> None:
    rule = (ROOT / "Makefile").read_text().split("$(VENV)/installed:")[1].split("\n\n")[0]
    assert "--require-hashes -r constraints.txt" in rule
    assert "--no-deps --no-build-isolation" in rule
