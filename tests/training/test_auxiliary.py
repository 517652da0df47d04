"""Further data sets: learned beside one's own, never on molecules of valid and test, and forgotten in the end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gatlib import Predictor
from gatlib.checkpoint import load_model, read_description
from gatlib.chem import constitution, featurize
from gatlib.chem.graphs import join_graphs
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.training.auxiliary import join_auxiliary
from gatlib.training.fit import fit, target_scale
from gatlib.training.module import Scale
from gatlib.training.molecules import LabelledMolecules, read_molecules, split_molecules
from gatlib.training.recipe import Recipe
from gatlib.training.train import train_table, with_auxiliary
from tests.conftest import TableWriter


@pytest.fixture
def molecules(table_file: Path, write_table: TableWriter) -> LabelledMolecules:
    """With a further set of twenty molecules that are there already, mirrored or not, one that is new, and none."""
    molecules = read_molecules(str(table_file), ["nitrogen"], "classification")
    rows = [[text, number % 2, 1 - number % 2] for number, text in enumerate(molecules.smiles[10:30])]
    path = write_table("others.csv", ["smiles", "a", "b"], [*rows, ["C[C@H](N)F", 1, 0], ["C1CC", 1, 0]])
    return replace(molecules, auxiliary=(read_molecules(str(path), ["a", "b"], "classification"),))


def test_rows_and_tasks_are_put_after_ones_own(molecules: LabelledMolecules) -> None:
    split = split_molecules(molecules, "random", 0)
    joint, joint_split, scale = join_auxiliary(molecules, split, target_scale(molecules, split))
    own = len(molecules.smiles)
    assert len(joint.tasks) == len(set(joint.tasks)) == 3
    assert joint.targets.shape == (own + 22, 3)
    np.testing.assert_array_equal(joint.targets[:own, :1], molecules.targets)
    assert np.isnan(joint.targets[:own, 1:]).all()
    assert np.isnan(joint.targets[own:, 0]).all()
    np.testing.assert_array_equal(joint.targets[own:, 1:], molecules.auxiliary[0].targets)
    np.testing.assert_array_equal(joint_split.valid, split.valid)
    np.testing.assert_array_equal(joint_split.test, split.test)
    assert (scale.mean.tolist(), scale.std.tolist()) == ([0.0] * 3, [1.0] * 3)


def test_molecules_of_valid_and_test_are_not_learned_from(molecules: LabelledMolecules) -> None:
    split = split_molecules(molecules, "random", 0)
    joint, joint_split, _ = join_auxiliary(molecules, split, target_scale(molecules, split))
    held_out = {constitution(molecules.smiles[row]) for rows in (split.valid, split.test) for row in rows}
    further = [constitution(joint.smiles[row]) for row in joint_split.train if row >= len(molecules.smiles)]
    assert not held_out & set(further)
    free = [text for text in molecules.auxiliary[0].smiles[:21] if constitution(text) not in held_out]
    assert len(further) == len(free) < 21  # the others all are, but what is no molecule


def test_stereoisomers_and_salts_are_held_out_too(write_table: TableWriter) -> None:
    own = write_table("own.csv", ["smiles", "a"], [["C[C@H](N)c1ccccc1", 1], ["CCO", 0], ["CCN", 1], ["O=C(O)CC", 0]])
    salts = [["C[C@@H](N)c1ccccc1", 1], ["Cl.CC(N)c1ccccc1", 0], ["CC([NH3+])c1ccccc1.OC(=O)c1cc2ccccc2cc1O", 1]]
    other = write_table("other.csv", ["smiles", "b"], [*salts, ["[Na+].CCC([O-])=O", 1], ["CCCC", 0], ["CCO.Cl", 1]])
    molecules = read_molecules(str(own), ["a"], "classification")
    molecules = replace(molecules, auxiliary=(read_molecules(str(other), ["b"], "classification"),))
    split = Split(train=np.array([1, 2]), valid=np.array([3]), test=np.array([0]))
    assert join_auxiliary(molecules, split, Scale(np.zeros(1), np.ones(1)))[1].train.tolist() == [1, 2, 8, 9]


def test_joined_graphs_are_those_of_the_parts() -> None:
    parts = [["CCO", "C1CC", "c1ccccc1"], ["", "N"], ["CC(=O)O"]]
    joined = join_graphs([featurize(part) for part in parts])
    together = featurize([text for part in parts for text in part])
    assert joined.errors == together.errors
    for name in ("x", "edge_index", "edge_attr", "atom_ptr", "edge_ptr", "side"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(together, name))


def test_values_of_further_tasks_are_standardised(table_file: Path) -> None:
    molecules = read_molecules(str(table_file), ["size"], "regression")
    molecules = replace(molecules, auxiliary=(molecules,))
    own_split = split_molecules(molecules, "random", 0)
    own_scale = target_scale(molecules, own_split)
    joint, split, scale = join_auxiliary(molecules, own_split, own_scale)
    further = joint.targets[split.train, 1]
    assert (scale.mean.tolist(), scale.std.tolist()) == ([*own_scale.mean, 0.0], [*own_scale.std, 1.0])
    assert np.nanmean(further) == pytest.approx(0)
    assert np.nanstd(further) == pytest.approx(1)


def test_the_model_has_its_own_tasks_only(molecules: LabelledMolecules, tiny_recipe: Recipe, tmp_path: Path) -> None:
    split = split_molecules(molecules, "random", 0)
    trained = fit(molecules, split, tiny_recipe, tmp_path / "model", "little", "probability")
    assert trained.description.tasks == ["nitrogen"]
    assert target_scale(molecules, split).mean.shape == (1,)
    stored = pd.read_csv(tmp_path / "model" / "test_predictions.csv")
    found = Predictor.load(tmp_path / "model").predict(stored["smiles"])
    np.testing.assert_allclose(found["nitrogen_pred"], stored["nitrogen_pred"], atol=2e-6)


def test_classes_and_values_do_not_go_together(molecules: LabelledMolecules, data_dir: Path) -> None:
    with pytest.raises(InputError, match=r"'esol' is one of regression, .* of classification: both must be"):
        with_auxiliary(molecules, ["esol"], data_dir)
    with pytest.raises(InputError, match="there is no data set 'nothing'"):
        with_auxiliary(molecules, ["nothing"], data_dir)


def test_a_recipe_names_them_and_the_card_tells(
    table_file: Path, tiny_recipe: Recipe, tmp_path: Path, data_dir: Path
) -> None:
    joint = tiny_recipe.model_copy(update={"auxiliary": ["esol"], "max_epochs": 1})
    train_table(str(table_file), ["size"], "regression", joint, tmp_path / "joint", data_dir=data_dir)
    train_table(
        str(table_file), ["size"], "regression", tiny_recipe.model_copy(update={"max_epochs": 1}), tmp_path / "own"
    )
    weights = [load_model(tmp_path / name)[0].state_dict() for name in ("joint", "own")]
    assert not torch.allclose(*(each["atom_embedding.embedding.weight"] for each in weights))
    assert read_description(tmp_path / "joint").training.auxiliary == ["esol"]
    line = "- **Learned beside it:** ESOL: "
    assert line in (tmp_path / "joint" / "README.md").read_text()
    assert line not in (tmp_path / "own" / "README.md").read_text()
