"""A program found on PATH, a configuration in a variable, a path inside other text: all of it was the live folder's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.cli import Orch

SAY = """
import json, os, pathlib, subprocess, sys
found = [pathlib.Path(json.loads(sys.argv[1])["conf"]), pathlib.Path(os.environ["CONFIG"])]
values = [path.read_text().strip() for path in found]
values.append(subprocess.run(["tool"], capture_output=True, text=True).stdout.strip())
import only_here
here = sys.prefix == os.environ["VIRTUAL_ENV"]
json.dump({"old": values.count("old"), "here": int(here)}, open(os.environ["ORCH_RESULT"], "w"))
"""


def test_every_path_into_the_code_leads_to_what_was_submitted(
    orch: Orch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = tmp_path_factory.mktemp("project") / "p"
    for name in ("bin", "conf", "out"):
        (project / name).mkdir(parents=True)
    (project / "bin/tool").write_text("#!/bin/sh\necho old\n")
    (project / "bin/tool").chmod(0o755)
    (project / "conf/c.yaml").write_text("old\n")
    (project / "say.py").write_text(SAY)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(project / "env")], check=True)
    (site,) = (project / "env/lib").glob("python*/site-packages")
    (site / "only_here.py").write_text("")
    environment = {
        **orch.environment,
        "PATH": f"{project}/env/bin:{project}/bin:{orch.environment['PATH']}",
        "VIRTUAL_ENV": str(project / "env"),
    }
    words = ("--env", f"CONFIG={project}/conf/c.yaml", "--env", f"FOLDER={project}/conf", "--no-start")
    said = orch(
        "submit", "command", *words, "--", "python", "say.py", f'{{{{"conf": "{project}/conf/c.yaml"}}}}',
        f"cd {project} && x", f"{project}/out", cwd=project, env=environment,
    )  # fmt: skip
    assert f"{project}/conf in --env FOLDER leads to the folder itself" in said
    assert f"{project} inside a longer argument leads to the folder itself" in said
    assert said.count("the folder itself") == 2
    orch("submit", "command", "--no-start", "--", "tool", cwd=project, env=environment)
    moved = project.rename(project.with_name("moved"))
    (moved / "bin/tool").write_text("#!/bin/sh\necho new\n")
    (moved / "conf/c.yaml").write_text("new\n")
    orch("supervise", "--until-idle", cwd=moved)
    assert orch.json("show", "1", cwd=moved)["result"]["metrics"] == {"old": 3.0, "here": 1.0}
    assert orch("logs", "2", cwd=moved).strip() == "old"
