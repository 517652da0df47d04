"""Descriptors as further targets: ranks, not values, and of the training rows only."""

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from gatlib.chem import descriptors
from gatlib.training.descriptors import _normal_scores, descriptor_targets
from gatlib.training.molecules import read_molecules, split_molecules


def test_normal_scores_of_three_values_are_those_of_the_sixths():
    # Ranks 1/6, 3/6 and 5/6: the standard normal deviates -0.9674, 0 and 0.9674, however far apart the values.
    scores = _normal_scores(np.array([1e9, 0.0, 1.0]))
    assert scores == pytest.approx([0.96742, -0.96742, 0.0], abs=1e-4)


def test_equal_values_share_a_score_and_the_undefined_stays_so():
    scores = _normal_scores(np.array([2.0, 2.0, np.nan, 5.0]))
    assert scores[0] == scores[1] < scores[3]
    assert np.isnan(scores[2])


def test_rows_outside_train_have_none(tmp_path):
    table = tmp_path / "molecules.csv"
    smiles = ["C" * (number + 1) + end for number in range(10) for end in ("O", "N", "Cl")]
    rows = [f"{text},{number % 2}" for number, text in enumerate(smiles)]
    table.write_text("smiles,active\n" + "\n".join(rows) + "\nnot_a_molecule,1\n")
    molecules = read_molecules(str(table), ["active"], "classification")
    split = split_molecules(molecules, "random", 0)
    scores = descriptor_targets(molecules, split)
    assert np.isnan(scores[split.valid]).all()
    assert np.isnan(scores[split.test]).all()
    assert np.isfinite(scores[split.train]).mean() > 0.9
    assert np.abs(scores[split.train][np.isfinite(scores[split.train])]).max() < 3.1


def test_descriptors_know_the_weight_of_water():
    water = descriptors(["O"])[0]
    assert np.isclose(water, 18.015, atol=1e-3).any()
    assert descriptors([]).shape == (0, len(water))


def test_the_trained_folder_logs_the_descriptors_and_holds_no_layer_for_them(regression_folder):
    log = pd.read_csv(regression_folder / "training_log.csv")
    assert (log["train_descriptor_loss"] > 0).all()
    assert not any("descriptor" in name for name in load_file(regression_folder / "model.safetensors"))
