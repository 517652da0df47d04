"""A model against the labels of a table."""

import math
from pathlib import Path

import pandas as pd
import pytest

from gatlib.errors import InputError
from gatlib.evaluate_file import evaluate_file
from gatlib.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(classification_folder: Path) -> Predictor:
    return Predictor.load(classification_folder)


def write(folder: Path, text: str) -> str:
    (folder / "in.csv").write_text(text)
    return str(folder / "in.csv")


def test_the_test_rows_give_the_figures_of_training(
    predictor: Predictor, classification_folder: Path, table_file: Path, tmp_path: Path
) -> None:
    rows = pd.read_csv(classification_folder / "split.csv").query("split == 'test'")["row"] - 1
    table = pd.read_csv(table_file).loc[rows]
    table.to_csv(tmp_path / "test.csv", index=False)
    found = evaluate_file(predictor, str(tmp_path / "test.csv")).metrics.set_index("task")
    stored = predictor.description.metrics["test"]
    for task in found.index:
        for metric, value in stored[task].items():
            assert found.loc[task, metric] == pytest.approx(math.nan if value is None else value, nan_ok=True)


def test_rows_without_a_molecule_are_counted_and_not_scored(predictor: Predictor, tmp_path: Path) -> None:
    source = write(tmp_path, "smiles,nitrogen\nCCN,1\nCCO,0\nC1,1\nCC\nCCC,\n")
    evaluation = evaluate_file(predictor, source)
    assert (evaluation.rows, evaluation.errors, evaluation.missing_tasks) == (5, 2, ["ring"])
    assert evaluation.metrics[["task", "labels", "positives"]].values.tolist() == [["nitrogen", 2, 1], ["mean", 2, 1]]


def test_one_class_has_no_ranking_and_is_no_error(predictor: Predictor, tmp_path: Path) -> None:
    assert evaluate_file(predictor, write(tmp_path, "smiles,ring\nC,1\nCC,1\n")).metrics["roc_auc"].isna().all()
    assert evaluate_file(predictor, write(tmp_path, "smiles,ring\nC1,1\nC2,0\n")).errors == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("smiles,Ring\nC,1\n", r"no column named like a task of the model \('ring', 'nitrogen'\); its columns are 'sm"),
        ("smiles,ring\nC,yes\n", r"data row 1, column 'ring': 'yes' is not a number"),
        ("smiles,ring\nC,\n", "target column 'ring' has no labels"),
    ],
    ids=["no task", "text", "no labels"],
)
def test_a_table_without_labels_is_refused(text: str, reason: str, predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        evaluate_file(predictor, write(tmp_path, text))


def test_a_model_with_side_features_gets_them(side_folder: Path, table_file: Path) -> None:
    evaluation = evaluate_file(Predictor.load(side_folder), str(table_file))
    assert (evaluation.rows, evaluation.errors) == (65, 2)
    assert evaluation.metrics["roc_auc"].between(0, 1).all()
