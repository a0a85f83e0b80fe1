"""What starts the lab again after a reboot: offered, never installed. Pure."""

from __future__ import annotations

import shlex

from slurm.lab.record import Lab


def text(lab: Lab, python: str) -> str:
    """A unit for `systemd --user`, and a line for crontab."""
    command = f"{shlex.quote(python)} -m orchestrator.cli.main lab up --folder {shlex.quote(lab.folder)}"
    return f"""# Either, once on each host: save this as ~/.config/systemd/user/orch-lab.service, then
#   systemctl --user enable orch-lab && loginctl enable-linger
[Unit]
Description=orch lab up

[Service]
Type=oneshot
RemainAfterExit=yes
# What it starts goes on when it has ended.
KillMode=process
# The network and the shared folder may come late.
Restart=on-failure
RestartSec=30
ExecStart={command}

[Install]
WantedBy=default.target

# Or, once on each host, as a line of `crontab -e`:
# @reboot sleep 60; {command}
"""
