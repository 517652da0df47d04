"""How to take the mean of several models: cross-validated, the molecules of test left out.

    python experiments/ablation/ensembles.py [--dataset sider]

Of the folds of run.py one is scored, the next is valid, and the models of an experiment learn from the other three;
then each way of :data:`WAYS` weights their predictions by what it finds on valid. Scores are appended to
ensembles/DATASET.csv, in the form of the experiments' results.csv, as they come, and what is there already is not run
again; predictions of the models are kept in runs/ensembles. ensembles/README.md is made from the tables.
"""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from run import FOLDS, SPLIT, without_test

from gatlib.checkpoint import FEATURIZATION
from gatlib.data.cards import DatasetCard, load_card
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.experiments.experiment import Experiment, load_experiment
from gatlib.experiments.molecule_runs import recipe_of, train_model
from gatlib.experiments.results import Run, append_results, is_done, read_results
from gatlib.experiments.scores import PREDICTED, Cost, predicted_tasks
from gatlib.experiments.selection import BOOTSTRAPS, Score, score_by, select_members, select_weights
from gatlib.experiments.tables import markdown
from gatlib.metrics import HIGHER_IS_BETTER, METRIC_NAMES
from gatlib.training.molecules import LabelledMolecules
from gatlib.training.train import read_dataset

HERE = Path(__file__).parent
TABLES = HERE / "ensembles"
DATASETS = ("clintox", "bbbp", "freesolv", "esol", "sider")
MODELS = ("recipe", "descriptors", "rf", "forest", "gb")
INTRODUCTION = """# How to take the mean of several models

`python experiments/ablation/ensembles.py` cuts the molecules outside the test part of the scaffold split into five
folds of whole scaffolds. One of them is scored, the next is valid, and the models of an experiment learn from the other
three, with one seed; each way weights their predictions by what it finds on valid. No label of test is used. This page
is made from the csv files.

- best on valid: one of the models.
- added one by one: again and again the model with which the mean is best on valid (Caruana et al., ICML 2004).
- on bootstraps: the mean of the weights so found on {bootstraps} samples of valid's molecules, drawn with replacement.
- equal weights: valid is not looked at.

A figure is the mean over folds; beside it is by how much it is better than the mean added one by one: the mean
of the folds' differences ± its standard error.
"""

#: A way gives each model its weight, from predictions ``[models, rows, tasks]`` and targets ``[rows, tasks]`` of valid.
Values = NDArray[np.float64]


def best_on_valid(predictions: Values, targets: Values, score: Score) -> Values:
    return np.eye(len(predictions))[int(np.nanargmax([score(targets, values) for values in predictions]))]


def one_by_one(predictions: Values, targets: Values, score: Score) -> Values:
    members = select_members(list(predictions), partial(score, targets))
    return np.bincount(members, minlength=len(predictions)) / len(members)


def equal_weights(predictions: Values, targets: Values, score: Score) -> Values:
    return np.full(len(predictions), 1 / len(predictions))


BASE = "added one by one"
WAYS = {
    "best on valid": best_on_valid,
    BASE: one_by_one,
    "added one by one, on bootstraps": select_weights,
    "equal weights": equal_weights,
}


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Data sets; all of them by default.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Where predictions are kept.")] = Path("runs/ensembles"),
    data_dir: Annotated[Path | None, typer.Option(help="Where the data sets are.")] = None,
) -> None:
    """Cross-validate the ways on one data set after the other."""
    if unknown := [name for name in dataset or () if name not in DATASETS]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of: {', '.join(DATASETS)}")
    TABLES.mkdir(exist_ok=True)
    try:
        for name in dataset or DATASETS:
            run_dataset(load_experiment(HERE.parent, name), TABLES / f"{name}.csv", runs_dir / name, data_dir)
        write_report(sorted(TABLES.glob("*.csv")))
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def run_dataset(experiment: Experiment, table: Path, runs_dir: Path, data_dir: Path | None) -> None:
    """Append the folds that the table does not have yet."""
    waiting = [fold for fold in range(FOLDS) if not is_done(table, _run(list(WAYS)[-1], fold))]
    if not waiting:
        return
    card = load_card(experiment.dataset)
    molecules, folds = without_test(read_dataset(experiment.dataset, data_dir, experiment.recipe.split))
    for fold in waiting:
        start = Cost.now()
        split = three_parts([parts.valid for parts in folds], fold)
        folders = [runs_dir / f"fold{fold}" / model for model in MODELS]
        train_models(experiment, molecules, split, folders, fold)
        cost = Cost.now().since(start)
        for name, value in scores(folders, card).items():
            run = _run(name, fold)
            if not is_done(table, run):  # it may have been stopped between two rows
                append_results(table, run, {"test": {card.metric: value}}, cost, f"{os.cpu_count()} CPU cores")
            print(f"{experiment.name}, fold {fold}, {name}: {value:.4f}", flush=True)


def three_parts(folds: list[NDArray[np.int64]], fold: int) -> Split:
    """One fold in test, the next in valid, the others in train."""
    valid = (fold + 1) % len(folds)
    others = [rows for place, rows in enumerate(folds) if place not in (fold, valid)]
    return Split(train=np.sort(np.concatenate(others)), valid=folds[valid], test=folds[fold])


def train_models(
    experiment: Experiment, molecules: LabelledMolecules, split: Split, folders: list[Path], seed: int
) -> None:
    """Leave the predictions of :data:`MODELS` in the folders, where they are not there yet."""
    for model, folder in zip(MODELS, folders, strict=True):
        if not (folder / "test_predictions.csv").exists():
            recipe = recipe_of(experiment, model, None, seed)
            train_model(experiment, model, recipe, molecules, split, folder)


def scores(folders: list[Path], card: DatasetCard) -> dict[str, float]:
    """The figure of each model, then of each way, on the fold that was left out."""
    score, sign = score_by(card.metric, card.task_type), 1 if card.metric in HIGHER_IS_BETTER else -1
    predictions, targets = read_predictions(folders, "valid")
    weights = dict(zip(MODELS, np.eye(len(MODELS)), strict=True))
    weights |= {name: way(predictions, targets, score) for name, way in WAYS.items()}
    predictions, targets = read_predictions(folders, "test")
    return {name: sign * score(targets, np.tensordot(of, predictions, axes=1)) for name, of in weights.items()}


def read_predictions(folders: list[Path], part: str) -> tuple[Values, Values]:
    """What the models predict, ``[models, rows, tasks]``, and what is true."""
    tables = [pd.read_csv(folder / f"{part}_predictions.csv") for folder in folders]
    tasks = predicted_tasks(tables[0])
    predictions = [table[[task + PREDICTED for task in tasks]].to_numpy(np.float64) for table in tables]
    return np.stack(predictions), tables[0][tasks].to_numpy(np.float64)


def write_report(tables: list[Path]) -> None:
    """README.md beside the tables.

    Raises:
        InputError: a table that cannot be read.
    """
    lines = [["models"]]
    rows = {name: [name] for name in (*MODELS, *WAYS)}
    for path in tables:
        table = read_results(path).drop_duplicates(["model", "seed"], keep="last")  # of the newest featurisation
        values = table.pivot(index="model", columns="seed", values="value")
        metric = table["metric"].iloc[0]
        sign = 1 if metric in HIGHER_IS_BETTER else -1
        lines[0] += [f"{path.stem}, {METRIC_NAMES[metric]}, {values.shape[1]} of {FOLDS} folds", "better by"]
        for name, cells in rows.items():
            gain = sign * (values.loc[name] - values.loc[BASE])
            error = f" ± {gain.sem():.3f}" if len(gain) > 1 else ""
            cells += [f"{values.loc[name].mean():.3f}", "" if name == BASE else f"{gain.mean():+.3f}{error}"]
    page = f"{INTRODUCTION.format(bootstraps=BOOTSTRAPS)}\n{markdown([*lines, *rows.values()])}"
    (TABLES / "README.md").write_text(page, encoding="utf-8")


def _run(name: str, fold: int) -> Run:
    return Run(name, f"models: {', '.join(MODELS)}", fold, SPLIT, FEATURIZATION)


if __name__ == "__main__":
    typer.run(main)
