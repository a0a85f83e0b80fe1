"""The user's own file of secrets: what it takes, and one sentence for whatever it cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.node.preparation import EnvironmentFileError, read_environment_file


def test_lines_in_quotes_comments_and_export_are_read(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text("# mine\n\nexport A='x y'\nB=\"=1=\"\n  C = plain # no comment \nD=\n")
    path.chmod(0o600)
    assert read_environment_file(path) == {"A": "x y", "B": "=1=", "C": "plain # no comment", "D": ""}


@pytest.mark.parametrize("line", ["s3cret", "=s3cret", "two words=s3cret", "A-B=s3cret", "A=s3\0cret"])
def test_a_line_that_is_none_is_named_by_its_number_and_never_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "secrets"
    path.write_text(f"A=1\n{line}\n")
    path.chmod(0o600)
    with pytest.raises(EnvironmentFileError, match=f"line 2 of {path} is no NAME=VALUE") as raised:
        read_environment_file(path)
    assert "cret" not in str(raised.value).replace(str(path), "")


def test_what_cannot_be_read_or_trusted_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("A=1")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "bytes").write_bytes(b"A=\xff")
    (tmp_path / "bytes").chmod(0o600)
    os.mkfifo(tmp_path / "pipe", 0o600)
    said = {
        "open": "chmod 600",
        "bytes": "it is no UTF-8 text",
        "pipe": "is no file",
        "gone": "No such file or directory",
        ".": "Is a directory",
    }
    for name, sentence in said.items():
        with pytest.raises(EnvironmentFileError, match=sentence):
            read_environment_file(tmp_path / name)
