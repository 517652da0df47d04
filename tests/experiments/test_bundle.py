"""The model that people use: all molecules, and the figures of networks that had not seen all."""

from pathlib import Path

import numpy as np
import pytest

import gatlib.experiments.bundle as bundle_module
import gatlib.experiments.molecule_runs as runs_module
from gatlib import Predictor
from gatlib.checkpoint import read_description
from gatlib.errors import InputError
from gatlib.experiments.bundle import bundle
from gatlib.experiments.experiment import Experiment
from gatlib.experiments.run import run_experiment
from gatlib.training.molecules import LabelledMolecules, read_molecules


@pytest.fixture
def molecules(table_file: Path, monkeypatch: pytest.MonkeyPatch) -> LabelledMolecules:
    molecules = read_molecules(str(table_file), ["ring", "nitrogen"], "classification")
    for module in (runs_module, bundle_module):
        monkeypatch.setattr(module, "read_dataset", lambda name, data_dir, split: molecules)
    return molecules


def test_it_learns_from_all_and_states_the_figures_of_the_seeds(
    experiment: Experiment, molecules: LabelledMolecules, tmp_path: Path
) -> None:
    runs, folder = tmp_path / "runs", tmp_path / "model"
    run_experiment(experiment, ["recipe"], range(2), None, runs, None, lambda line: None)
    description = bundle(experiment, "recipe", range(2), runs, None, folder)
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "model.json", "README.md"}
    assert description.training.molecules == {"train": 63, "valid": 0, "test": 0}
    assert description.training.rejected == 2
    members = [read_description(path.parent).metrics for path in runs.rglob("model.json")]
    assert len(members) == 2
    for part in ("valid", "test"):
        expected = np.mean([metrics[part]["mean"]["roc_auc"] for metrics in members])
        assert description.metrics[part]["mean"]["roc_auc"] == pytest.approx(expected)
    card = (folder / "README.md").read_text()
    assert "none, it has learned from all of them" in card
    assert "Mean over 2 networks of this recipe on the random split" in card
    assert Predictor.load(folder).predict(["CCO"])["ring_pred"].between(0, 1).all()


def test_without_its_runs_there_are_no_figures(
    experiment: Experiment, molecules: LabelledMolecules, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="run 'gatlib experiment run little --model recipe' first"):
        bundle(experiment, "recipe", range(2), tmp_path / "runs", None, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_only_networks_are_bundled(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'rf' is no network that can be bundled; there are: recipe, gat, "):
        bundle(experiment, "rf", range(2), tmp_path / "runs", None, tmp_path / "model")
