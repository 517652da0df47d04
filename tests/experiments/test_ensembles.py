"""How to take the mean of several models: its folds, the weights that each way finds, and its table."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from gatlib.data.cards import load_card
from gatlib.experiments.experiment import load_experiment
from gatlib.experiments.results import read_results

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
sys.path.append(str(EXPERIMENTS / "ablation"))

ensembles = importlib.import_module("ensembles")


def score(targets, predictions):
    return float(roc_auc_score(targets[:, 0], predictions[:, 0])) if 0 < targets.sum() < len(targets) else np.nan


def test_a_fold_is_scored_the_next_is_valid_and_no_other_part_has_them():
    folds = [np.arange(start, 20, 5) for start in range(5)]
    for fold in range(5):
        split = ensembles.three_parts(folds, fold)
        np.testing.assert_array_equal(split.test, folds[fold])
        np.testing.assert_array_equal(split.valid, folds[(fold + 1) % 5])
        everything = np.sort(np.concatenate([split.train, split.valid, split.test]))
        np.testing.assert_array_equal(everything, np.arange(20))


@settings(deadline=None, max_examples=30)  # a way draws bootstraps
@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_weights_are_shares_of_a_whole(num_models, seed):
    rng = np.random.default_rng(seed)
    targets = np.array([[0.0], [1.0]] * 10)
    predictions = rng.random((num_models, 20, 1))
    for way in ensembles.WAYS.values():
        weights = way(predictions, targets, score)
        assert weights.shape == (num_models,)
        assert (weights >= 0).all()
        assert weights.sum() == pytest.approx(1)


def test_what_each_way_makes_of_a_good_and_a_bad_model():
    targets = np.array([[0.0], [1.0]] * 10)
    predictions = np.stack([1 - targets, targets])
    for name, weights in {
        "best on valid": [0, 1],
        "added one by one": [0, 1],
        "added one by one, on bootstraps": [0, 1],
        "equal weights": [0.5, 0.5],
    }.items():
        np.testing.assert_allclose(ensembles.WAYS[name](predictions, targets, score), weights, atol=1e-12)


def test_figures_are_those_of_the_weighted_predictions(tmp_path, monkeypatch):
    monkeypatch.setattr(ensembles, "MODELS", ("rf", "gb"))
    targets = [0.0, 1.0, 2.0, 4.0]
    for name, valid, test in (("rf", [0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 5.0]), ("gb", [9.0] * 4, [0.0] * 4)):
        (tmp_path / name).mkdir()
        for part, values in (("valid", valid), ("test", test)):
            table = pd.DataFrame({"row": range(4), "logS": targets, "logS_pred": values})
            table.to_csv(tmp_path / name / f"{part}_predictions.csv", index=False)
    found = ensembles.scores([tmp_path / "rf", tmp_path / "gb"], load_card("esol"))
    assert [found[name] for name in ("rf", "best on valid", "added one by one")] == pytest.approx([1, 1, 1])
    assert found["gb"] == pytest.approx(np.sqrt(21 / 4))
    assert found["equal weights"] == pytest.approx(np.sqrt((0.5**2 + 0 + 0.5**2 + 1.5**2) / 4))


def test_what_was_run_is_not_run_again(lengths, tmp_path, monkeypatch):
    rings = ["C1CCCCC1", "c1ccccc1", "c1ccncc1", "C1CCNCC1", "C1CCOCC1", "c1ccoc1", "c1ccsc1", "C1CCC1", "C1CC1"]
    smiles = [prefix + ring for ring in rings for prefix in ("C", "CC", "O", "N", "CCC", "OC")]
    monkeypatch.setattr(ensembles, "MODELS", ("rf", "gb"))
    monkeypatch.setattr(ensembles, "TABLES", tmp_path)
    monkeypatch.setattr(ensembles, "read_dataset", lambda *_: lengths(smiles))
    experiment, table = load_experiment(EXPERIMENTS, "esol"), tmp_path / "esol.csv"
    ensembles.run_dataset(experiment, table, tmp_path / "runs", None)
    rows = read_results(table)
    assert set(rows["model"]) == {"rf", "gb", *ensembles.WAYS}
    assert sorted(set(rows["seed"])) == [0, 1, 2, 3, 4]
    before = table.read_bytes()
    monkeypatch.setattr(ensembles, "train_model", None)
    ensembles.run_dataset(experiment, table, tmp_path / "runs", None)
    assert table.read_bytes() == before
    rows[:-1].to_csv(table, index=False)  # stopped before the last row
    ensembles.run_dataset(experiment, table, tmp_path / "runs", None)
    again = read_results(table)
    assert again[["model", "seed", "value"]].equals(rows[["model", "seed", "value"]])
    ensembles.write_report([table])
    page = (tmp_path / "README.md").read_text()
    mean = rows.loc[rows["model"] == "equal weights", "value"].mean()
    assert f"| equal weights | {mean:.3f} |" in page
