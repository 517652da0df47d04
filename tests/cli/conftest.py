"""What the tests of commands share."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatlib.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_gatlib(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `gatlib` with these arguments in an empty folder: exit code, standard output, standard error."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gatlib", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call
