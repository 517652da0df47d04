"""What the tests share: the data folder, a table of made-up labels, and two tiny trained models."""

import csv
import os
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import pytest
import torch

from gatlib.training.recipe import Recipe
from gatlib.training.train import train_table

HEADS = ("CC", "CCC", "CCO", "C1CCCCC1", "c1ccccc1", "c1ccncc1C", "OCc1ccc2ccccc2c1")
TAILS = ("O", "N", "Cl", "C(=O)O", "C(=O)N", "C#N", "S", "OC", "Br")

TableWriter = Callable[[str, Sequence[str], Sequence[Sequence[object]]], Path]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Every test, with the fixtures that are made for it, draws the same numbers, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data sets of `$GATLIB_DATA_DIR`."""
    folder = os.environ.get("GATLIB_DATA_DIR")
    if not folder or not (Path(folder) / "molecules").is_dir():
        pytest.skip("needs the real data sets: set GATLIB_DATA_DIR to a folder with molecules/")
    return Path(folder)


@pytest.fixture
def write_table(tmp_path: Path) -> TableWriter:
    """Write a CSV into the test's folder: file name, columns, rows."""

    def write(name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def labelled_rows() -> list[list[object]]:
    """Rows of `id, smiles, ring, nitrogen, size`: 63 molecules, two rows without one, a third of `ring` missing."""
    rows: list[list[object]] = []
    for number, (head, tail) in enumerate(product(HEADS, TAILS)):
        smiles = head + tail
        ring = "" if number % 3 == 1 else int("1" in smiles)
        rows.append([f"m{number}", smiles, ring, int("n" in smiles.lower()), len(smiles) / 7])
    rows.insert(5, ["bad1", "C1CC", 1, 0, 1.0])
    rows.insert(40, ["bad2", "", 0, 1, 2.0])
    return rows


@pytest.fixture(scope="session")
def table_file(labelled_rows: list[list[object]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`labelled_rows` as a CSV file."""
    path = tmp_path_factory.mktemp("table") / "compounds.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "smiles", "ring", "nitrogen", "size"], *labelled_rows])
    return path


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """A network that trains in a second."""
    return Recipe(
        hidden_channels=16, heads=2, num_layers=1, edge_channels=8, batch_size=16, max_epochs=2, split="random", seed=1
    )


@pytest.fixture(scope="session")
def classification_folder(table_file: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model with the tasks `ring` and `nitrogen`."""
    folder = tmp_path_factory.mktemp("models") / "classes"
    train_table(str(table_file), ["ring", "nitrogen"], "classification", tiny_recipe, folder)
    return folder


@pytest.fixture(scope="session")
def side_folder(table_file: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model with the tasks `ring` and `nitrogen` and with both kinds of side features."""
    folder = tmp_path_factory.mktemp("models") / "side"
    recipe = tiny_recipe.model_copy(update={"side_features": "both"})
    train_table(str(table_file), ["ring", "nitrogen"], "classification", recipe, folder)
    return folder


@pytest.fixture(scope="session")
def laplacian_folder(table_file: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model with the task `size` to which the order of the atoms matters."""
    folder = tmp_path_factory.mktemp("models") / "laplacian"
    train_table(str(table_file), ["size"], "regression", tiny_recipe.model_copy(update={"laplacian": 8}), folder)
    return folder


@pytest.fixture(scope="session")
def regression_folder(table_file: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model with the task `size`, with layer normalisation and without jumping knowledge."""
    folder = tmp_path_factory.mktemp("models") / "values"
    recipe = tiny_recipe.model_copy(update={"norm": "layer", "jumping_knowledge": False})
    train_table(str(table_file), ["size"], "regression", recipe, folder)
    return folder
