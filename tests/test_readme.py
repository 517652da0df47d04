"""What the README shows is what happens."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", PYTHON_BLOCKS, ids=lambda code: code.split("\n")[0][:40])
def test_the_python_of_the_readme_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_the_demo_prints_what_the_readme_shows(tmp_path):
    shown = re.search(r"`make demo` prints\n\n```\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    command = [sys.executable, "-m", "gatlib.cli.main", "predict"]
    command += ["--input", str(ROOT / "experiments/demo/compounds.csv"), "--output", "predictions.csv"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    printed, expected = (run.stdout + run.stderr).split(), shown.group(1).split()
    assert len(printed) == len(expected)
    for found, word in zip(printed, expected, strict=True):
        if re.fullmatch(r"0\.\d\d|1\.00", word):  # the last digit may differ between processors
            assert float(found) == pytest.approx(float(word), abs=0.011)
        else:
            assert found == word


def test_a_network_goes_from_networkx_to_an_explanation_as_the_readme_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (making,) = (code for code in PYTHON_BLOCKS if "write_graphml" in code)
    exec(compile(making, "README.md", "exec"), {})
    commands = re.findall(r"^gatlib (network \w+ .*friends.graphml.*)$", README, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["train", "predict", "explain"]
    for command in commands:
        words = shlex.split(command, comments=True)
        subprocess.run([sys.executable, "-m", "gatlib.cli.main", *words], check=True, capture_output=True)
    header, *rows = (tmp_path / "clubs.csv").read_text(encoding="utf-8").splitlines()
    assert header == "node,club_pred,p_Mr. Hi,p_Officer"
    assert [row.split(",")[0] for row in rows] == [f"member {number}" for number in range(34)]
    (page,) = tmp_path.glob("*/neighbourhood.html")
    node = json.loads((page.parent / "explanation.json").read_text(encoding="utf-8"))["node"]
    assert any(row.startswith(f"{node},") for row in rows)


def test_the_options_that_the_readme_uses_exist():
    for line in re.findall(r"^\$? ?gatlib ((?:experiment|network) \w+|\w+) (.*)$", README, re.MULTILINE):
        command, rest = line
        help_text = subprocess.run(
            [sys.executable, "-m", "gatlib.cli.main", *command.split(), "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for option in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", rest.split("#")[0]):
            assert option in help_text, f"gatlib {command} {option}"
