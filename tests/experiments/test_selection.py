"""Ensembles that are selected on valid: worked by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from gatlib.errors import InputError
from gatlib.experiments.selection import MOST_MEMBERS, select_members, select_weights, write_selected


def test_two_models_that_err_to_both_sides_are_better_than_each() -> None:
    truth = np.array([[1.0], [2.0], [3.0]])
    above, below, far = truth + 1, truth - 0.5, truth + 9

    def score(predictions: np.ndarray) -> float:
        return -float(np.abs(predictions - truth).mean())

    # Below alone errs by 0.5, with above by 0.25, with below again by 0 = (1 - 0.5 - 0.5) / 3.
    assert select_members([above, below, far], score) == [1, 0, 1]
    assert select_members([far, above], score) == [1]
    assert select_members([far], score) == [0]


def test_there_is_an_end_to_it() -> None:
    # Ever closer to 1 / pi, and never there.
    members = select_members(
        [np.zeros((1, 1)), np.ones((1, 1))], lambda mean: -(abs(float(mean[0, 0]) - 1 / np.pi) ** 0.5)
    )
    assert 1 <= len(members) <= MOST_MEMBERS


def test_a_model_without_a_score_is_not_chosen() -> None:
    scores = iter([float("nan"), 0.5, float("nan"), 0.4])
    assert select_members([np.zeros((1, 1)), np.ones((1, 1))], lambda mean: next(scores)) == [1]


def test_nothing_is_chosen_where_no_model_has_a_score() -> None:
    assert select_members([np.zeros((1, 1))], lambda mean: float("nan")) == []


def area(truth: np.ndarray, predictions: np.ndarray) -> float:
    return float(roc_auc_score(truth[:, 0], predictions[:, 0])) if 0 < truth.sum() < len(truth) else float("nan")


def test_models_that_are_as_good_share_the_weight() -> None:
    # Each of them ranks the positives of its own half of the rows right and tells nothing of the other half.
    truth = np.array([[0.0], [1.0]] * 40)
    half = np.arange(80)[:, None] < 40
    weights = select_weights(np.stack([np.where(half, truth, 0.5), np.where(half, 0.5, truth), 1 - truth]), truth, area)
    assert (weights[:2] > 0.3).all()
    assert weights[2] == 0
    assert weights.sum() == pytest.approx(1)


def test_samples_of_one_class_are_passed_over() -> None:
    truth = np.array([[1.0], [0.0], [0.0], [0.0]])  # the positive is missing in about a third of the samples
    assert select_weights(np.stack([1 - truth, truth]), truth, area).tolist() == [0.0, 1.0]
    with pytest.raises(InputError, match="no model can be scored on valid"):
        select_weights(np.stack([truth, 1 - truth]), np.zeros((4, 1)), area)
    with pytest.raises(InputError, match="no model can be scored on valid"):
        select_weights(np.zeros((2, 0, 1)), np.zeros((0, 1)), area)


def runs(folder: Path, errors: dict[str, list[float]], rows: list[int]) -> dict[str, list[Path]]:
    truth, members = np.array([1.0, 2.0, 4.0]), {}
    for name, of_seeds in errors.items():
        members[name] = [folder / name / f"seed{seed}" for seed in range(len(of_seeds))]
        for run, error in zip(members[name], of_seeds, strict=True):
            run.mkdir(parents=True)
            for part in ("valid", "test"):
                table = pd.DataFrame({"row": rows, "smiles": ["C"] * 3, "y": truth, "y_pred": truth + error})
                table.to_csv(run / f"{part}_predictions.csv", index=False)
    return members


def test_the_mean_over_seeds_is_what_is_selected(tmp_path: Path) -> None:
    # Over its seeds the first model errs by 1 upwards, the second by 1 downwards, on any sample.
    members = runs(tmp_path, {"high": [3.0, -1.0], "low": [-1.0], "far": [8.0]}, [0, 1, 2])
    weights = write_selected(members, tmp_path / "selected", "rmse", "regression")
    assert weights == {"high": 0.5, "low": 0.5}
    for part in ("valid", "test"):
        found = pd.read_csv(tmp_path / "selected" / f"{part}_predictions.csv")
        assert np.allclose(found["y_pred"], found["y"])
    assert pd.read_csv(tmp_path / "selected" / "members.csv").values.tolist() == [["high", 0.5], ["low", 0.5]]


def test_models_of_other_molecules_are_refused(tmp_path: Path) -> None:
    members = runs(tmp_path / "a", {"one": [0.0]}, [0, 1, 2]) | runs(tmp_path / "b", {"two": [0.0]}, [0, 1, 3])
    with pytest.raises(InputError, match="the valid molecules of 'two' are not those of 'one'"):
        write_selected(members, tmp_path / "selected", "rmse", "regression")
    assert not (tmp_path / "selected").exists()
