"""Runs of an experiment: one model and seed after the other, each once."""

import math
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.data.cards import load_card
from gatlib.data.leakage import describe_leakage, leakage_report
from gatlib.data.ogb import ogb_score
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.experiments.baselines import (
    BOOSTING,
    FOREST,
    gradient_boosting_predictions,
    random_forest_predictions,
)
from gatlib.experiments.chemprop import CHEMPROP, chemprop_predictions
from gatlib.experiments.experiment import (
    BASELINES,
    MODELS,
    Experiment,
    network_name,
    recipe_id,
    recipe_of,
)
from gatlib.experiments.pictures import draw_test_predictions
from gatlib.experiments.results import Run, append_results, is_done
from gatlib.metrics import metrics_with_mean
from gatlib.training.fit import fit, write_predictions, write_split
from gatlib.training.molecules import LabelledMolecules, split_molecules
from gatlib.training.recipe import Recipe
from gatlib.training.train import read_dataset

NAMES = {"rf": "random forest", "gb": "gradient boosting", "chemprop": "chemprop"}
SETTINGS = {"rf": FOREST, "gb": BOOSTING, "chemprop": CHEMPROP}
Say = Callable[[str], None]
Scores = dict[str, dict[str, float | None]]  # part of the split -> metric -> value


def run_experiment(
    experiment: Experiment,
    models: Sequence[str],
    seeds: Sequence[int],
    split: str | None,
    runs_dir: Path,
    data_dir: Path | None,
    say: Say,
) -> None:
    """Run what ``results.csv`` does not have yet, and append it there.

    Args:
        experiment: which.
        models: of :data:`~gatlib.experiments.experiment.MODELS`.
        seeds: of weights and order, and of those splits that are drawn.
        split: another split than the recipe's.
        runs_dir: a folder for each run is made below it.
        data_dir: folder of the data files.
        say: is told what happens, a line at a time.

    Raises:
        InputError: an unknown model; settings that do not fit together; what reading and training raise.
    """
    if unknown := [model for model in models if model not in MODELS]:
        raise InputError(f"there is no model {unknown[0]!r}; there are: {', '.join(MODELS)}")
    todo = []
    for model in models:
        for seed in seeds:
            recipe = recipe_of(experiment, model, split, seed)
            run = _run_of(model, recipe)
            if is_done(experiment.results, run):
                say(f"{run.model}, {run.split} split, seed {seed}: done before")
            else:
                todo.append((model, recipe, run))
    if not todo:
        return
    molecules = read_dataset(experiment.dataset, data_dir, todo[0][1].split)
    seen: Split | None = None
    for model, recipe, run in todo:
        rows = split_molecules(molecules, recipe.split, recipe.seed)
        if seen is None or not np.array_equal(rows.test, seen.test):
            say(describe_leakage(leakage_report(molecules.smiles, rows, molecules.targets)))
            seen = rows
        folder = runs_dir / experiment.name / _folder_name(run) / f"seed{run.seed}"
        say(f"{run.model}, {run.split} split, seed {run.seed}: in {folder}")
        started, cpu_started = time.perf_counter(), _cpu_seconds()
        if model in BASELINES:
            scores = _run_baseline(model, molecules, rows, recipe.seed, folder)
        else:
            molecules = molecules.with_side_features(recipe.side_features)  # once for all seeds
            scores = _run_network(experiment, molecules, rows, recipe, folder)
        if recipe.split == "ogb":
            scores["test"] |= _ogb_score(experiment, molecules, folder / "test_predictions.csv")
        seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu_started
        append_results(experiment.results, run, scores, seconds, cpu_seconds, f"{os.cpu_count()} CPU cores")
        draw_test_predictions(folder / "test_predictions.csv", molecules.tasks, molecules.task_type)
        figures = ", ".join(f"{name} {value:.4f}" for name, value in scores["test"].items() if value is not None)
        say(f"test: {figures}; {seconds:.0f} s, {cpu_seconds:.0f} s of CPU time")


def _run_of(model: str, recipe: Recipe) -> Run:
    if model in BASELINES:
        return Run(NAMES[model], SETTINGS[model], recipe.seed, recipe.split)
    return Run(network_name(recipe), recipe_id(recipe), recipe.seed, recipe.split)


def _folder_name(run: Run) -> str:
    """Of the runs that differ by their seed alone."""
    settings = run.recipe if run.model not in NAMES.values() else ""
    return re.sub(r"[^\w-]+", "-", f"{run.model} {settings} {run.split}").strip("-")


def _run_network(
    experiment: Experiment, molecules: LabelledMolecules, split: Split, recipe: Recipe, folder: Path
) -> Scores:
    unit = load_card(experiment.dataset).unit
    trained = fit(molecules, split, recipe, folder, name=experiment.name, unit=unit, progress=True)
    return {part: tasks["mean"] for part, tasks in trained.description.metrics.items()}


def _run_baseline(model: str, molecules: LabelledMolecules, split: Split, seed: int, folder: Path) -> Scores:
    folder.mkdir(parents=True, exist_ok=True)
    if model == "rf":
        predictions = random_forest_predictions(molecules, split, seed)
    elif model == "gb":
        predictions = gradient_boosting_predictions(molecules, split, seed)
    else:
        predictions = chemprop_predictions(molecules, split, seed, folder)
    write_split(molecules, split, folder / "split.csv")
    write_predictions(molecules, split.test, predictions["test"], folder / "test_predictions.csv")
    rows = split.parts()
    return {part: _mean_scores(molecules, rows[part], values) for part, values in predictions.items()}


def _mean_scores(
    molecules: LabelledMolecules, rows: NDArray[np.int64], values: NDArray[np.float64]
) -> dict[str, float | None]:
    table = metrics_with_mean(molecules.targets[rows], values, molecules.tasks, molecules.task_type)
    mean = table.iloc[-1].drop(["task", "labels", "positives"], errors="ignore")
    return {str(name): None if math.isnan(value) else float(value) for name, value in mean.items()}


def _ogb_score(experiment: Experiment, molecules: LabelledMolecules, predictions: Path) -> dict[str, float | None]:
    """The figure of OGB's own evaluator in place of ours."""
    card, table = load_card(experiment.dataset), pd.read_csv(predictions)
    assert card.ogb is not None  # else there were no such split
    found = table[[f"{task}_pred" for task in molecules.tasks]].to_numpy()
    return {card.metric: ogb_score(card.ogb, table[molecules.tasks].to_numpy(), found)}


def _cpu_seconds() -> float:
    """Of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
