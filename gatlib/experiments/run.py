"""Runs of an experiment: one model and seed after the other, each once."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gatlib.data.cards import load_card
from gatlib.data.leakage import describe_leakage, leakage_report
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.experiments.baselines import (
    BOOSTING,
    FOREST,
    gradient_boosting_predictions,
    random_forest_predictions,
)
from gatlib.experiments.chemprop import chemprop_predictions, chemprop_settings
from gatlib.experiments.ensemble import write_mean_predictions
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
from gatlib.experiments.scores import Cost, scores_of
from gatlib.training.fit import fit, write_predictions, write_split
from gatlib.training.molecules import LabelledMolecules, split_molecules
from gatlib.training.recipe import Recipe
from gatlib.training.train import read_dataset, with_auxiliary

NAMES = {"rf": "random forest", "gb": "gradient boosting", "chemprop": "chemprop"}
SETTINGS = {"rf": lambda: FOREST, "gb": lambda: BOOSTING, "chemprop": chemprop_settings}
Say = Callable[[str], None]


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
    todo, networks = [], []
    for model in models:
        for seed in seeds:
            recipe = recipe_of(experiment, model, split, seed)
            run = run_of(model, recipe)
            if model not in BASELINES and run._replace(seed=0) not in networks:
                networks.append(run._replace(seed=0))
            if is_done(experiment.results, run):
                say(f"{run.model}, {run.split} split, seed {seed}: done before")
            else:
                todo.append((model, recipe, run))
    if todo:
        _run_each(experiment, todo, runs_dir, data_dir, say)
    for network in networks:
        members = [run_folder(runs_dir, experiment, network._replace(seed=seed)) for seed in seeds]
        _run_ensemble(experiment, network, members, say)


def _run_each(
    experiment: Experiment,
    todo: Sequence[tuple[str, Recipe, Run]],
    runs_dir: Path,
    data_dir: Path | None,
    say: Say,
) -> None:
    recipe = todo[0][1]
    molecules = read_dataset(experiment.dataset, data_dir, recipe.split)
    if any(model not in BASELINES for model, _, _ in todo):
        molecules = with_auxiliary(molecules, recipe.auxiliary, data_dir)
    seen: Split | None = None
    for model, recipe, run in todo:
        rows = split_molecules(molecules, recipe.split, recipe.seed)
        if seen is None or not np.array_equal(rows.test, seen.test):
            say(describe_leakage(leakage_report(molecules.smiles, rows, molecules.targets)))
            seen = rows
        folder = run_folder(runs_dir, experiment, run)
        say(f"{run.model}, {run.split} split, seed {run.seed}: in {folder}")
        start = Cost.now()
        if model in BASELINES:
            _run_baseline(model, molecules, rows, recipe.seed, folder)
        else:
            molecules = molecules.with_side_features(recipe.side_features)  # once for all seeds
            unit = load_card(experiment.dataset).unit
            fit(molecules, rows, recipe, folder, name=experiment.name, unit=unit, progress=True)
        _finish(experiment, run, folder, Cost.now().since(start), say)


def _run_ensemble(experiment: Experiment, network: Run, members: Sequence[Path], say: Say) -> None:
    """The mean of all seeds, where they were tested on the same molecules and their predictions are at hand."""
    run = network._replace(model=f"{network.model}, mean of {len(members)} seeds")
    if len(members) < 2 or is_done(experiment.results, run):
        return
    if not all((member / "valid_predictions.csv").exists() for member in members):
        say(f"{run.model}: left out, as predictions of its seeds are missing in {members[0].parent}")
        return
    start, folder = Cost.now(), members[0].parent / f"mean{len(members)}"
    if write_mean_predictions(members, folder):
        say(f"{run.model}, {run.split} split: in {folder}")
        _finish(experiment, run, folder, Cost.now().since(start), say)


def _finish(experiment: Experiment, run: Run, folder: Path, cost: Cost, say: Say) -> None:
    """Append a run's figures and draw its pictures."""
    card = load_card(experiment.dataset)
    scores = scores_of(folder, card, run.split)
    append_results(experiment.results, run, scores, cost, f"{os.cpu_count()} CPU cores")
    draw_test_predictions(folder / "test_predictions.csv", card.task_type)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in scores["test"].items() if value is not None)
    say(f"test: {figures}; {cost.seconds:.0f} s, {cost.cpu_seconds:.0f} s of CPU time")


def run_of(model: str, recipe: Recipe) -> Run:
    if model in BASELINES:
        return Run(NAMES[model], SETTINGS[model](), recipe.seed, recipe.split)
    return Run(network_name(recipe), recipe_id(recipe), recipe.seed, recipe.split)


def run_folder(runs_dir: Path, experiment: Experiment, run: Run) -> Path:
    """Runs that differ by their seed alone lie in one folder."""
    settings = run.recipe if run.model not in NAMES.values() else ""
    name = re.sub(r"[^\w-]+", "-", f"{run.model} {settings} {run.split}").strip("-")
    return runs_dir / experiment.name / name / f"seed{run.seed}"


def _run_baseline(model: str, molecules: LabelledMolecules, split: Split, seed: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if model == "rf":
        predictions = random_forest_predictions(molecules, split, seed)
    elif model == "gb":
        predictions = gradient_boosting_predictions(molecules, split, seed)
    else:
        predictions = chemprop_predictions(molecules, split, seed, folder)
    write_split(molecules, split, folder / "split.csv")
    parts = split.parts()
    for part, values in predictions.items():
        write_predictions(molecules, parts[part], values, folder / f"{part}_predictions.csv")
