"""Imports point down only: a layer of the package knows the layers below it and none above."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gatlib"
# A module may import modules of its own rank and lower ones. The first part of the name after `gatlib` decides.
RANKS = {
    "errors": -1,
    "kernels": 0,
    "threads": 0,
    "nn": 1,
    "chem": 1,
    "model_files": 2,
    "model_folder": 2,
    "data": 2,
    "network": 2,
    "models": 2,
    "checkpoint": 3,
    "calibration": 3,
    "predictor": 4,
    "explain": 5,
    "report": 5,
    "training": 5,
    "experiments": 6,
    "web": 7,
    "cli": 7,
}
FORBIDDEN_IN_LAYERS = {"rdkit", "lightning", "typer", "ogb", "pandas"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Full names of all that a file imports, at the top or inside a function: `gatlib.nn.functional`, `torch`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute in this package"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def part(name: str) -> str:
    """`gatlib.nn.functional` belongs to `nn`."""
    return name.split(".")[1] if "." in name else ""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    own = part(name_of(path))
    for name in imported(path):
        if name.split(".")[0] != "gatlib" or own not in RANKS or part(name) not in RANKS:
            continue
        assert RANKS[part(name)] <= RANKS[own], f"{name_of(path)} imports {name} from a layer above"
        assert (own, part(name)) != ("nn", "chem"), f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", [p for p in MODULES if part(name_of(p)) in {"nn", "kernels"}], ids=name_of)
def test_layers_know_torch_and_pyg_only(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & FORBIDDEN_IN_LAYERS
    below = {part(name) for name in imported(path) if name.split(".")[0] == "gatlib"}
    assert below <= {"nn", "kernels"}


def test_kernels_are_imported_when_first_needed() -> None:
    code = "import sys, gatlib.nn; print([name for name in sys.modules if name.startswith('gatlib.kernels')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'gatlib.kernels.reference'" in run.stdout
    assert "gatlib.kernels.cpu" not in run.stdout
    assert "gatlib.kernels.gpu" not in run.stdout
