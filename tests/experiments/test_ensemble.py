"""The mean over seeds: of predictions, not of figures, and of the same molecules only."""

from pathlib import Path

import pandas as pd
import pytest

from gatlib.experiments.ensemble import write_mean_predictions
from gatlib.experiments.selection import mean_predictions


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "seed0", tmp_path / "seed1"]
    for folder, predicted in zip(folders, ([0.2, 0.4, 0.9], [0.4, 0.8, 0.1]), strict=True):
        folder.mkdir()
        table = pd.DataFrame({"row": [1, 5, 7], "smiles": ["C", "CC", "CCC"], "a": [0, 1, None], "a_pred": predicted})
        for part in ("valid", "test"):
            table.to_csv(folder / f"{part}_predictions.csv", index=False)
    return folders


def test_means(members: list[Path], tmp_path: Path) -> None:
    assert write_mean_predictions(members, tmp_path / "mean", mean_predictions)
    found = pd.read_csv(tmp_path / "mean" / "test_predictions.csv")
    assert found["a_pred"].tolist() == [0.3, 0.6, 0.5]
    pd.testing.assert_frame_equal(
        found.drop(columns="a_pred"), pd.read_csv(members[0] / "test_predictions.csv").drop(columns="a_pred")
    )


def test_other_molecules_have_no_mean(members: list[Path], tmp_path: Path) -> None:
    path = members[1] / "test_predictions.csv"
    pd.read_csv(path).assign(row=[1, 5, 8]).to_csv(path, index=False)
    assert not write_mean_predictions(members, tmp_path / "mean", mean_predictions)
    assert not (tmp_path / "mean").exists()
