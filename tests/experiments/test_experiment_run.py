"""Experiments on a little table: what is run once is not run again, and every model leaves the same files."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gatlib.chem.side_features import rdkit_descriptors
from gatlib.errors import InputError
from gatlib.experiments import molecule_runs
from gatlib.experiments.baselines import (
    gradient_boosting_predictions,
    large_forest_predictions,
    random_forest_predictions,
)
from gatlib.experiments.chemprop import chemprop_predictions, chemprop_settings, find_chemprop
from gatlib.experiments.experiment import (
    Experiment,
    experiment_names,
    load_experiment,
    recipe_id,
)
from gatlib.experiments.molecule_runs import MoleculeRuns, network_name, recipe_of
from gatlib.experiments.results import Run, append_results, read_results
from gatlib.experiments.run import run_experiment, run_folder
from gatlib.experiments.scores import Cost
from gatlib.metrics import METRICS, metrics_per_task
from gatlib.training.fit import write_split
from gatlib.training.molecules import LabelledMolecules, read_molecules, split_molecules

TASKS = ["ring", "nitrogen"]


@pytest.fixture
def molecules(table_file: Path) -> LabelledMolecules:
    return read_molecules(str(table_file), TASKS, "classification")


def test_a_run_leaves_its_files_and_is_not_repeated(
    experiment: Experiment, molecules: LabelledMolecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(molecule_runs, "read_dataset", lambda name, data_dir, split: molecules)
    said: list[str] = []

    def run(models: list[str], seeds: list[int]) -> pd.DataFrame:
        said.clear()
        run_experiment(experiment, models, seeds, None, tmp_path / "runs", None, said.append)
        return read_results(experiment.results)

    first = run(["recipe", "rf"], [0])
    assert set(first["model"]) == {"gatv2", "random forest"}
    assert set(first["part"]) == {"valid", "test"}
    assert first["value"].between(0, 1).all()
    assert (first[["seconds", "cpu_seconds"]] > 0).all(axis=None)
    assert sum(line.startswith("leakage: 0 of ") for line in said) == 1  # one split, whatever the model
    both = run(["recipe", "rf", "gb"], [0, 1])
    pd.testing.assert_frame_equal(both.head(len(first)), first)
    assert len(both.groupby(["model", "seed"])) == 6
    assert sum("done before" in line for line in said) == 2
    assert run(["recipe", "rf"], [0, 1]).equals(both)
    assert said == [line for line in said if "done before" in line]

    folders = sorted(path for path in (tmp_path / "runs" / "little").glob("*/seed*"))
    assert len(folders) == 6
    splits = []
    for folder in folders:
        assert (folder / "test.png").stat().st_size > 10_000
        predictions = pd.read_csv(folder / "test_predictions.csv")
        splits.append(pd.read_csv(folder / "split.csv"))
        expected = splits[-1].loc[splits[-1]["split"] == "test", "row"]
        assert predictions["row"].tolist() == expected.tolist()
    # Drawn by the seed, and the same for every model.
    assert all(split.equals(splits[int(folder.name[-1])]) for split, folder in zip(splits, folders, strict=True))


def test_seeds_on_one_split_have_a_mean_that_is_computed_once(
    experiment: Experiment, molecules: LabelledMolecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(molecule_runs, "read_dataset", lambda name, data_dir, split: molecules)
    write_split(molecules, split_molecules(molecules, "random", 0), tmp_path / "split.csv")

    def run(models: list[str], seeds: int, runs: Path) -> pd.DataFrame:
        run_experiment(
            experiment, models, range(seeds), f"file:{tmp_path / 'split.csv'}", runs, None, lambda line: None
        )
        results = read_results(experiment.results)
        return results[results["model"].str.contains("mean")]

    assert run(["recipe"], 1, tmp_path / "runs").empty
    moved = (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert run(["recipe"], 2, tmp_path / "runs").empty  # the first seed is not there
    (file,) = moved.rglob("seed0/model.json")
    file.parent.rename(next((tmp_path / "runs").rglob("seed1")).with_name("seed0"))
    first = run(["recipe", "rf"], 2, tmp_path / "runs")
    assert set(first["model"]) == {"gatv2, mean of 2 seeds"}
    assert len(first) == 2 * len(METRICS["classification"])
    assert first.equals(run(["recipe", "rf"], 2, tmp_path / "runs"))
    (mean,) = (tmp_path / "runs").rglob("mean2/test_predictions.csv")
    members = [pd.read_csv(mean.parents[1] / f"seed{seed}" / mean.name)["ring_pred"] for seed in (0, 1)]
    assert np.allclose(pd.read_csv(mean)["ring_pred"], (members[0] + members[1]) / 2, atol=1e-6)


def test_an_ensemble_is_of_what_ran_on_its_molecules(
    experiment: Experiment, molecules: LabelledMolecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(molecule_runs, "read_dataset", lambda name, data_dir, split: molecules)
    said: list[str] = []

    def run(models: list[str], split: str) -> pd.DataFrame:
        said.clear()
        run_experiment(experiment, models, [0, 1], split, tmp_path / "runs", None, said.append)
        results = read_results(experiment.results)
        return results[(results["model"] == "ensemble weighted on valid") & (results["split"] == split)]

    with pytest.raises(InputError, match="nothing to select from on the scaffold split"):
        run(["ensemble"], "scaffold")
    drawn = run(["rf", "gb", "ensemble"], "random")
    assert set(drawn["seed"]) == {0, 1}  # each of the runs with its own molecules
    fixed = run(["rf", "gb", "ensemble"], "scaffold")
    assert set(fixed["seed"]) == {0}
    for results in (drawn, fixed):
        of_valid = results[(results["part"] == "valid") & (results["metric"] == "roc_auc")]
        assert of_valid["value"].notna().all()
    (members,) = (tmp_path / "runs").rglob("*scaffold-ogb-v2/seed0/members.csv")
    assert set(pd.read_csv(members)["model"]) <= {"random forest", "gradient boosting"}
    assert len(run(["ensemble"], "scaffold")) == len(fixed)
    assert "done before" in said[0]

    # An ensemble of an earlier way is no member of this one.
    before = pd.read_csv(members)
    earlier = Run("ensemble selected on valid", "by one selection", 0, "scaffold")
    shutil.copytree(members.parent, run_folder(tmp_path / "runs", experiment, earlier))
    results = read_results(experiment.results)
    results[results["model"] != "ensemble weighted on valid"].to_csv(experiment.results, index=False)
    append_results(experiment.results, earlier, {"test": {"roc_auc": 0.5}}, Cost(0, 0), "")
    assert len(run(["ensemble"], "scaffold")) == len(fixed)
    pd.testing.assert_frame_equal(pd.read_csv(members), before)


def test_figures_are_those_of_the_predictions(
    experiment: Experiment, molecules: LabelledMolecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(molecule_runs, "read_dataset", lambda name, data_dir, split: molecules)
    run_experiment(experiment, ["rf"], [0], None, tmp_path / "runs", None, lambda line: None)
    (file,) = (tmp_path / "runs").rglob("test_predictions.csv")
    table, results = pd.read_csv(file), read_results(experiment.results)
    found = results[(results["part"] == "test") & (results["metric"] == "roc_auc")]["value"].item()
    predictions = table[[f"{task}_pred" for task in TASKS]].to_numpy()
    expected = metrics_per_task(table[TASKS].to_numpy(), predictions, TASKS, "classification")["roc_auc"].mean()
    assert found == pytest.approx(expected, abs=1e-6)


BASELINES = [random_forest_predictions, large_forest_predictions, gradient_boosting_predictions]


@pytest.mark.parametrize("predict", BASELINES)
def test_baselines_learn_what_the_fingerprint_shows(predict, molecules: LabelledMolecules) -> None:
    split = split_molecules(molecules, "random", 0)
    predictions = predict(molecules, split, 0)
    scores = metrics_per_task(molecules.targets[split.test], predictions["test"], TASKS, "classification")
    # Of `ring` a third is known: too little for boosting, which wants 20 molecules in a leaf.
    assert scores.set_index("task")["roc_auc"]["nitrogen"] > 0.9
    assert all(((values >= 0) & (values <= 1)).all() for values in predictions.values())


@pytest.mark.parametrize("predict", BASELINES)
def test_baselines_of_values(predict, table_file: Path) -> None:
    molecules = read_molecules(str(table_file), ["size"], "regression")
    split = split_molecules(molecules, "random", 0)
    predictions = predict(molecules, split, 0)["test"]
    assert np.corrcoef(predictions[:, 0], molecules.targets[split.test, 0])[0, 1] > 0.5


def test_a_task_with_one_class_in_train_is_that_class(molecules: LabelledMolecules) -> None:
    split = split_molecules(molecules, "random", 0)
    molecules.targets[split.train, 0] = 1.0
    molecules.targets[split.train, 1] = np.nan
    predictions = random_forest_predictions(molecules, split, 0)["test"]
    assert (predictions[:, 0] == 1).all()
    assert (predictions[:, 1] == 0).all()


def test_descriptors_are_numbers_where_there_is_a_molecule(molecules: LabelledMolecules) -> None:
    descriptors = rdkit_descriptors(molecules.smiles)
    lacking = np.array([error is not None for error in molecules.graphs.errors])
    assert np.isnan(descriptors[lacking]).all()
    assert np.isfinite(descriptors[~lacking]).mean() > 0.95


FAKE_CHEMPROP = """#!{python}
import sys, pathlib, pandas as pd
arguments = sys.argv[1:]
value = lambda name: arguments[arguments.index(name) + 1]
if arguments == ["--version"]:
    print("chemprop 2.0")
elif "fails" in str(pathlib.Path.cwd()):
    sys.exit("it is broken")
elif arguments[0] == "train":
    table = pd.read_csv(value("-i"))
    assert set(table["split"]) == {{"train", "val", "test"}} and not table["smiles"].isna().any()
    (pathlib.Path(value("-o")) / "model_0").mkdir(parents=True)
    (pathlib.Path(value("-o")) / "model_0" / "best.pt").touch()
else:
    table = pd.read_csv(value("-i"))
    table["ring"], table["nitrogen"] = table["smiles"].str.len() / 100, 0.5
    table.to_csv(value("-o"), index=False)
"""


@pytest.fixture
def chemprop_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command with chemprop's arguments, to see what it is given and what is made of its answer."""
    command = tmp_path / "bin" / "chemprop"
    command.parent.mkdir()
    command.write_text(FAKE_CHEMPROP.format(python=sys.executable))
    command.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name, path=None: str(command))


@pytest.mark.usefixtures("chemprop_stand_in")
def test_chemprop_gets_our_split_and_its_rows_stay_in_order(molecules: LabelledMolecules, tmp_path: Path) -> None:
    split = split_molecules(molecules, "random", 0)
    predictions = chemprop_predictions(molecules, split, 0, tmp_path / "run")
    for part, rows in (("valid", split.valid), ("test", split.test)):
        lengths = [len(molecules.smiles[row]) / 100 for row in rows]
        np.testing.assert_allclose(predictions[part], np.column_stack([lengths, np.full(len(rows), 0.5)]))


@pytest.mark.usefixtures("chemprop_stand_in")
def test_results_tell_the_version_of_chemprop() -> None:
    assert chemprop_settings() == "chemprop 2.0, default settings, 50 epochs"


@pytest.mark.usefixtures("chemprop_stand_in")
def test_an_error_of_chemprop_is_one_sentence(molecules: LabelledMolecules, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chemprop train ended with an error, see .*: \['it is broken'\]"):
        chemprop_predictions(molecules, split_molecules(molecules, "random", 0), 0, tmp_path / "fails")


def test_without_chemprop_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(InputError, match=r"pip install 'gatlib\[bench\]'"):
        find_chemprop()


def test_models_are_changes_of_the_recipe(experiment: Experiment) -> None:
    names = {
        model: network_name(recipe_of(experiment, model, None, 0))
        for model in ("recipe", "gat", "transformer", "gps", "both")
    }
    assert names == {
        "recipe": "gatv2",
        "gat": "gat",
        "transformer": "transformer",
        "gps": "gps (gatv2)",
        "both": "gatv2 + both",
    }
    assert recipe_of(experiment, "gps", "scaffold", 3).split == "scaffold"
    pretrained = replace(experiment, recipe=experiment.recipe.model_copy(update={"pretrained": "molecules"}))
    assert network_name(recipe_of(pretrained, "gat", None, 0)) == "gat, pretrained"
    assert recipe_id(recipe_of(pretrained, "scratch", None, 0)) == recipe_id(experiment.recipe)


def test_an_identity_knows_settings_alone(experiment: Experiment) -> None:
    recipe = experiment.recipe
    same = recipe.model_copy(update={"seed": 7, "split": "scaffold", "dataset": None})
    assert recipe_id(same) == recipe_id(recipe)
    assert recipe_id(recipe.model_copy(update={"heads": 4})) != recipe_id(recipe)


def test_what_there_is_not_is_named(experiment: Experiment, tmp_path: Path) -> None:
    root = experiment.folder.parent
    with pytest.raises(InputError, match=r"no experiment 'big' in .*; there are: little"):
        load_experiment(root, "big")
    with pytest.raises(InputError, match="there is no folder"):
        experiment_names(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no model 'gcn'; there are: recipe, gat"):
        run_experiment(experiment, ["gcn"], [0], None, tmp_path, None, print)


@pytest.mark.parametrize(("split", "seen"), [("random", True), ("ogb", False)])
def test_a_pretrained_network_that_has_seen_the_test_molecules_is_told(
    molecules: LabelledMolecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, seen: bool
) -> None:
    monkeypatch.setattr(molecule_runs, "read_dataset", lambda name, data_dir, split: molecules)
    monkeypatch.setattr(
        molecule_runs, "split_molecules", lambda found, split, seed: split_molecules(found, "random", 0)
    )
    monkeypatch.setattr(molecule_runs, "fit", lambda *arguments, **options: None)
    said: list[str] = []
    runs = MoleculeRuns(load_experiment(Path(__file__).parents[2] / "experiments", "hiv"), split, None, said.append)
    runs.prepare("recipe", 0)
    runs.train("recipe", 0, lambda run: tmp_path)
    assert [line.startswith("leakage") for line in said] == [True, False][: 1 + seen]
    assert ("pretrained on molecules of hiv, those of valid and test" in said[-1]) == seen


def test_tasks_with_one_class_are_named_and_do_not_count(
    experiment: Experiment, molecules: LabelledMolecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = split_molecules(molecules, experiment.recipe.split, 0)
    molecules.targets[rows.test, 1] = 1.0
    monkeypatch.setattr(molecule_runs, "read_dataset", lambda name, data_dir, split: molecules)
    said: list[str] = []
    run_experiment(experiment, ["rf"], [0], None, tmp_path / "runs", None, said.append)
    assert "note: 1 of 2 tasks do not have both classes in test and do not count: nitrogen" in said
    assert not any("in valid and do not count" in line for line in said)
    test = pd.read_csv(next((tmp_path / "runs").rglob("test_predictions.csv")))
    alone = metrics_per_task(test[["ring"]].to_numpy(), test[["ring_pred"]].to_numpy(), ["ring"], "classification")
    results = read_results(experiment.results)
    found = results[(results["part"] == "test") & (results["metric"] == "roc_auc")]["value"].item()
    assert found == pytest.approx(alone["roc_auc"].item())


def test_a_test_part_in_which_no_task_counts_has_no_figure(
    experiment: Experiment, molecules: LabelledMolecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    molecules.targets[split_molecules(molecules, experiment.recipe.split, 0).test] = 1.0
    monkeypatch.setattr(molecule_runs, "read_dataset", lambda name, data_dir, split: molecules)
    said: list[str] = []
    run_experiment(experiment, ["rf"], [0], None, tmp_path / "runs", None, said.append)
    assert said[-1].startswith("test: no task counts; ")
    results = read_results(experiment.results)
    assert results.loc[results["part"] == "test", "value"].isna().all()
