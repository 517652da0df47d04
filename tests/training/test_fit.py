"""Training on a small table: what it writes, what it sets aside, what it refuses, and that it can be stopped."""

import csv
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatlib.checkpoint import load_model
from gatlib.chem import murcko_scaffold
from gatlib.chem.side_features import num_side_features, side_features
from gatlib.errors import InputError
from gatlib.metrics import metrics_with_mean
from gatlib.models import Architecture
from gatlib.predictor import Predictor
from gatlib.training import fit as fit_module
from gatlib.training.module import TrainingModule
from gatlib.training.molecules import read_molecules, split_molecules
from gatlib.training.recipe import Recipe
from gatlib.training.train import train_dataset, train_table

FILES = {
    "README.md", "learning_curve.png", "metrics.csv", "model.json", "model.safetensors", "rejected.csv", "split.csv",
    "test_predictions.csv", "training_log.csv", "valid_predictions.csv",
}  # fmt: skip
TASKS = ["ring", "nitrogen"]
TableWriter = Callable[[str, Sequence[str], Sequence[Sequence[object]]], Path]


class Stopped(Exception):
    """Stands for whatever ends a run: a full disk, a power cut."""


def refuse(table: Path, folder: Path, recipe: Recipe, targets: Sequence[str], reason: str, **options: Any) -> None:
    """Training on this ends with one sentence and leaves nothing behind."""
    task_type = options.pop("task_type", "classification")
    with pytest.raises(InputError, match=reason) as caught:
        train_table(str(table), targets, task_type, recipe, folder, **options)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


@pytest.mark.parametrize("model", ["classification_folder", "regression_folder"])
def test_the_folder_holds_the_model_and_its_papers_and_no_pickle(model: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(model)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*")} == FILES


def test_rows_without_a_molecule_are_set_aside_with_reasons(classification_folder: Path) -> None:
    rejected = pd.read_csv(classification_folder / "rejected.csv", keep_default_na=False)
    assert list(rejected.columns) == ["row", "id", "smiles", "ring", "nitrogen", "size", "error"]
    assert rejected[["row", "id", "error"]].values.tolist() == [
        [6, "bad1", "not a valid SMILES"],
        [41, "bad2", "empty SMILES"],
    ]
    assert json.loads((classification_folder / "model.json").read_text())["training"]["rejected"] == 2


def test_the_split_is_written_and_holds_every_molecule_once(classification_folder: Path) -> None:
    split = pd.read_csv(classification_folder / "split.csv")
    assert split["row"].tolist() == [row for row in range(1, 66) if row not in (6, 41)]
    assert split["split"].value_counts().to_dict() == {"train": 50, "valid": 6, "test": 7}


@pytest.mark.parametrize("model", ["classification_folder", "regression_folder"])
def test_the_figures_are_those_of_the_model_in_the_folder(model: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(model)
    predictor = Predictor.load(folder)
    tasks, task_type = predictor.description.tasks, predictor.description.task_type
    stored = pd.read_csv(folder / "test_predictions.csv")
    again = predictor.predict(stored["smiles"])
    for task in tasks:
        np.testing.assert_allclose(again[f"{task}_pred"], stored[f"{task}_pred"], rtol=1e-4)
    metrics = pd.read_csv(folder / "metrics.csv").query("split == 'test'").drop(columns="split")
    expected = metrics_with_mean(stored[tasks].to_numpy(), again[predictor.columns].to_numpy(), tasks, task_type)
    pd.testing.assert_frame_equal(metrics.reset_index(drop=True), expected, check_dtype=False, rtol=1e-4)


def test_the_kept_weights_are_those_of_the_best_epoch(table_file: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    # A high rate, so that the score goes up and down and the last epoch is not the best.
    changes = {"max_epochs": 40, "learning_rate": 0.1, "patience": 3, "warmup_epochs": 0}
    recipe = tiny_recipe.model_copy(update=changes)
    trained = train_table(str(table_file), ["size"], "regression", recipe, tmp_path / "model")
    log = pd.read_csv(tmp_path / "model" / "training_log.csv")
    best = log["valid_rmse"].idxmin()
    kept = trained.metrics.query("split == 'valid' and task == 'mean'")["rmse"].item()
    assert kept == pytest.approx(log["valid_rmse"][best], rel=1e-5)
    assert best < len(log) - 1
    assert trained.epochs == len(log) == best + 1 + 3


def test_the_same_recipe_gives_the_same_weights(
    table_file: Path, classification_folder: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    train_table(str(table_file), TASKS, "classification", tiny_recipe, tmp_path / "again")
    assert same_weights(tmp_path / "again", classification_folder)


def same_weights(first: Path, second: Path) -> bool:
    return (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def stop_in(epoch: int, batch: int, step: Callable[..., Any]) -> Callable[..., Any]:
    def stopping_step(self: TrainingModule, data: Any, number: int) -> Any:
        if (self.current_epoch, number) == (epoch, batch):
            raise Stopped
        return step(self, data, number)

    return stopping_step


def stop(*_: object, **__: object) -> None:
    raise Stopped


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    table_file: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe.model_copy(update={"max_epochs": 4, "split": "random"})

    def train(folder: Path) -> Any:
        return train_table(str(table_file), TASKS, "classification", recipe, folder)

    whole = train(tmp_path / "whole")
    for epoch, batch in [(0, 1), (2, 0), (3, 2)]:
        with monkeypatch.context() as patch:
            patch.setattr(TrainingModule, "training_step", stop_in(epoch, batch, TrainingModule.training_step))
            with pytest.raises(Stopped):
                train(tmp_path / "stopped")
        assert not (tmp_path / "stopped" / "model.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "save_model", stop)
        with pytest.raises(Stopped):
            train(tmp_path / "stopped")

    resumed = train(tmp_path / "stopped")
    assert same_weights(tmp_path / "stopped", tmp_path / "whole")
    assert resumed.epochs == whole.epochs
    pd.testing.assert_frame_equal(resumed.metrics, whole.metrics)
    for name in ("training_log.csv", "split.csv", "test_predictions.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert {path.name for path in (tmp_path / "stopped").iterdir()} == FILES


def test_a_task_without_both_classes_is_named_and_does_not_count(
    write_table: TableWriter, labelled_rows: list[list[object]], tiny_recipe: Recipe, tmp_path: Path
) -> None:
    rows = [[row[1], row[3], int(row[0] == "m0")] for row in labelled_rows]
    table = write_table("lone.csv", ["smiles", "nitrogen", "lone"], rows)
    said: list[str] = []
    trained = train_table(
        str(table), ["nitrogen", "lone"], "classification", tiny_recipe, tmp_path / "model", say=said.append
    )
    parts = pd.read_csv(tmp_path / "model" / "split.csv")
    part_of_the_only_one = parts[parts["smiles"] == rows[0][0]]["split"].item()
    notes = [line for line in said if line.startswith("note: 1 of 2 tasks do not have both classes in ")]
    assert [line.split()[11] for line in notes] == [part for part in ("valid", "test") if part != part_of_the_only_one]
    assert all(line.endswith("and do not count: lone") for line in notes)
    test = trained.metrics[trained.metrics["split"] == "test"].set_index("task")["roc_auc"]
    assert np.isnan(test["lone"]) == (part_of_the_only_one != "test")
    assert test["mean"] == pytest.approx(np.nanmean(test[["nitrogen", "lone"]]))


def test_an_unfinished_run_does_not_go_on_with_other_settings(
    table_file: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingModule, "training_step", stop)
    with pytest.raises(Stopped):
        train_table(str(table_file), TASKS, "classification", tiny_recipe, tmp_path)
    with pytest.raises(InputError, match="holds an unfinished run with other settings"):
        train_table(str(table_file), ["ring"], "classification", tiny_recipe, tmp_path)


def test_a_trained_model_is_not_overwritten(table_file: Path, classification_folder: Path, tiny_recipe: Recipe) -> None:
    before = (classification_folder / "model.json").read_bytes()
    with pytest.raises(InputError, match="holds a trained model already"):
        train_table(str(table_file), TASKS, "classification", tiny_recipe, classification_folder)
    assert (classification_folder / "model.json").read_bytes() == before


def test_a_folder_that_cannot_be_made_is_refused(table_file: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(InputError, match="cannot write to the folder"):
            train_table(str(table_file), TASKS, "classification", tiny_recipe, folder)


@pytest.mark.parametrize(
    ("targets", "changes", "reason"),
    [
        ([], {}, "no target column is named"),
        (["ring", "ring"], {}, "target column 'ring' is named twice"),
        (["rings"], {}, "has no column 'rings'; its columns are 'id', 'smiles', 'ring'"),
        (["id"], {}, "data row 1, column 'id': 'm0' is not a number"),
        (["size"], {}, "is not 0 or 1; use --task regression"),
        (["ring"], {"split": "part"}, "split 'part' is neither scaffold, random, nor a column"),
        (["ring"], {"split": "id"}, "split column 'id', data row 1: 'm0' is not train, valid or test"),
    ],
    ids=["no target", "a target twice", "no such target", "text", "numbers", "no such split", "no split column"],
)
def test_a_request_that_does_not_fit_the_table_is_refused(
    targets: list[str], changes: dict[str, Any], reason: str, table_file: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    refuse(table_file, tmp_path / "model", tiny_recipe.model_copy(update=changes), targets, reason)


def test_too_few_or_no_molecules_are_refused(write_table: TableWriter, tiny_recipe: Recipe, tmp_path: Path) -> None:
    few = write_table("few.csv", ["smiles", "y"], [["C", 0], ["CC", 1], ["C1", 1]])
    refuse(few, tmp_path / "model", tiny_recipe, ["y"], r"too few molecules \(2\) for a random split")
    none = write_table("none.csv", ["smiles", "y"], [["C1", 0], ["", 1]])
    refuse(none, tmp_path / "model", tiny_recipe, ["y"], "no row has a molecule; the first reason is: not a valid")


def part_rows(*labels: tuple[str, object]) -> list[list[object]]:
    return [["C" * (number + 1), label, part] for number, (part, label) in enumerate(labels)]


def test_a_split_in_which_nothing_can_be_learned_or_chosen_is_refused(
    write_table: TableWriter, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = tiny_recipe.model_copy(update={"split": "part"})
    one = part_rows(("train", 1), ("train", 1), ("valid", 0), ("valid", 1), ("test", 0))
    other = part_rows(("train", 0), ("train", 1), ("valid", 1), ("valid", 1), ("test", 0))
    blank = part_rows(("train", 0), ("train", 1), ("valid", ""), ("test", 0))
    for rows, task_type, reason in [
        (one, "classification", "the 2 training rows do not hold both classes of any target"),
        (other, "classification", "the 2 validation rows do not hold both classes of any target"),
        (blank, "regression", "the 1 validation rows do not hold a label"),
    ]:
        table = write_table("parts.csv", ["smiles", "y", "part"], rows)
        refuse(table, tmp_path / "model", recipe, ["y"], reason, task_type=task_type)


def test_a_training_that_diverges_is_one_sentence(
    table_file: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = TrainingModule.training_step
    monkeypatch.setattr(TrainingModule, "training_step", lambda *args: step(*args) * float("nan"))
    with pytest.raises(InputError, match="the training diverged"):
        train_table(str(table_file), TASKS, "classification", tiny_recipe, tmp_path)
    monkeypatch.undo()
    again = tiny_recipe.model_copy(update={"learning_rate": 1e-4})
    assert train_table(str(table_file), TASKS, "classification", again, tmp_path).epochs == 2


def test_a_column_split_and_odd_bytes_and_a_scaffold_column(tiny_recipe: Recipe, tmp_path: Path) -> None:
    rows = [
        ["C" * number, number % 2, ("train", "valid", "test")[number // 2 % 3], "é", "x"] for number in range(1, 25)
    ]
    path = tmp_path / "latin1.csv"
    with path.open("w", newline="", encoding="latin-1") as file:
        csv.writer(file).writerows([["SMILES", "y", "part", "Größe", "scaffold"], *rows, ["Q", 1, "train", "é", "x"]])
    recipe = tiny_recipe.model_copy(update={"split": "part"})
    trained = train_table(str(path), ["y"], "classification", recipe, tmp_path / "model")
    assert trained.description.training.molecules == {"train": 8, "valid": 8, "test": 8}
    assert "é".encode("latin-1") in (tmp_path / "model" / "rejected.csv").read_bytes()
    molecules = read_molecules(str(path), ["y"], "classification")
    with pytest.raises(InputError, match="for a scaffold split"):  # the method, not the column of that name
        split_molecules(molecules, "scaffold", 0)


def test_the_scaffolds_of_train_are_not_those_of_test(table_file: Path) -> None:
    molecules = read_molecules(str(table_file), ["ring"], "classification")
    split = split_molecules(molecules, "scaffold", 0)
    sides = [{murcko_scaffold(molecules.smiles[row]) for row in rows} for rows in split.parts().values()]
    assert not sides[0] & sides[2]
    assert not sides[0] & sides[1]


def test_a_data_set_that_is_not_there_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatlib.data.files._download", stop)
    with pytest.raises(Stopped):
        train_dataset(Recipe(dataset="tox21"), tmp_path / "model", tmp_path / "data")
    with pytest.raises(InputError, match="the recipe names no dataset"):
        train_dataset(Recipe(), tmp_path / "model")
    with pytest.raises(InputError, match="there is no data set 'tox99'"):
        train_dataset(Recipe(dataset="tox99"), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_side_features_are_standardised_by_the_training_rows(side_folder: Path) -> None:
    network, description = load_model(side_folder)
    split = pd.read_csv(side_folder / "split.csv", keep_default_na=False)
    train = side_features(split.loc[split["split"] == "train", "smiles"], "both")
    assert network.side is not None
    np.testing.assert_allclose(network.side.mean.numpy(), np.nan_to_num(train.mean(axis=0)), rtol=1e-5, atol=1e-6)
    std = np.nan_to_num(train.std(axis=0, dtype=np.float64))
    np.testing.assert_allclose(network.side.std.numpy(), np.where(std > 1e-6, std, 1), rtol=1e-5)
    assert description.architecture.side_features == "both"
    assert "Beside the graph" in (side_folder / "README.md").read_text()


def test_the_model_with_side_features_in_the_folder_is_the_one_that_was_tested(side_folder: Path) -> None:
    stored = pd.read_csv(side_folder / "test_predictions.csv")
    predictor = Predictor.load(side_folder)
    again = predictor.predict(stored["smiles"])[predictor.columns]
    np.testing.assert_allclose(again, stored[predictor.columns], rtol=1e-4)


def test_side_features_are_computed_once(table_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    molecules = read_molecules(str(table_file), TASKS, "classification")
    assert molecules.featurized_for(Architecture()).graphs is molecules.graphs
    morgan = Architecture(side_features="morgan")
    having = molecules.featurized_for(morgan)
    assert having.graphs.side.shape == (65, num_side_features("morgan"))
    monkeypatch.setattr("gatlib.training.molecules.side_features", stop)
    assert having.featurized_for(morgan).graphs is having.graphs


def test_hundreds_of_tasks_are_written_without_a_warning(
    write_table: TableWriter, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    tasks = [f"task{place}" for place in range(120)]
    rows = [["C" * length, *((length + place) % 2 for place in range(120))] for length in range(1, 41)]
    recipe = tiny_recipe.model_copy(update={"max_epochs": 1, "split": "random"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.PerformanceWarning)
        train_table(
            str(write_table("many.csv", ["smiles", *tasks], rows)), tasks, "classification", recipe, tmp_path / "model"
        )
        predicted = Predictor.load(tmp_path / "model").predict(["CCO"])
    assert list(predicted) == ["smiles", *(f"{task}_pred" for task in tasks), "error"]
    written = pd.read_csv(tmp_path / "model" / "test_predictions.csv")
    assert list(written)[:4] == ["row", "smiles", "task0", "task0_pred"]
    lengths = written["smiles"].str.len()
    assert (written["task7"] == (lengths + 7) % 2).all()
