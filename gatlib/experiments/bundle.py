"""The model of an experiment that people use: its recipe, and all molecules."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np

from gatlib.checkpoint import Metrics, ModelDescription, read_description
from gatlib.chem import featurize
from gatlib.data.cards import load_card
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.experiments.experiment import RECIPE, Experiment
from gatlib.experiments.molecule_runs import NETWORKS, recipe_of, run_of
from gatlib.experiments.run import run_folder
from gatlib.training.fit import save_trained, target_scale, train_network
from gatlib.training.run_folder import STATE, check_output_folder
from gatlib.training.train import read_dataset


def bundle(
    experiment: Experiment, model: str, seeds: Sequence[int], runs_dir: Path, data_dir: Path | None, folder: Path
) -> ModelDescription:
    """Train a network on all molecules for all its epochs, and write the model folder.

    Nothing is held out, so nothing of it can be measured: the figures are the means of those of the recipe's seeds,
    whose networks have learned from train alone.

    Args:
        experiment: whose recipe.
        model: the recipe, or what is changed of it; see :data:`gatlib.experiments.molecule_runs.NETWORKS`.
        seeds: that were run; the first is that of the new network.
        runs_dir: where they were run.
        data_dir: folder of the data files.
        folder: of the new model.

    Raises:
        InputError: the model is no network; a seed is not there; the folder cannot take the model; there is no data
            set.
    """
    load_card(experiment.dataset)  # refuses networks
    if model not in (RECIPE, *NETWORKS):
        raise InputError(f"{model!r} is no network that can be bundled; there are: {', '.join((RECIPE, *NETWORKS))}")
    recipe = recipe_of(experiment, model, None, seeds[0])
    runs = [run_of(model, recipe_of(experiment, model, None, seed)) for seed in seeds]
    members = [run_folder(runs_dir, experiment, run) for run in runs]
    if missing := [member for member in members if not (member / "model.json").exists()]:
        raise InputError(
            f"there is no trained model in {missing[0]}: "
            f"run 'gatlib experiment run {experiment.name} --model {model}' first"
        )
    metrics = _means([read_description(member).metrics for member in members])
    check_output_folder(folder)
    molecules = read_dataset(experiment.dataset, data_dir, recipe.split)
    if molecules.official_split is not None:  # OGB's own graphs are for the official run alone
        molecules = replace(molecules, graphs=featurize(molecules.smiles), official_split=None)
    molecules = molecules.featurized_for(recipe)
    rows = np.flatnonzero([error is None for error in molecules.graphs.errors])
    split = Split(train=rows, valid=rows[:0], test=rows[:0])
    scale = target_scale(molecules, split)
    network = train_network(molecules, split, recipe, scale, folder).network
    card = load_card(experiment.dataset)
    described = f"{len(members)} networks of this recipe on the {recipe.split} split"
    description = save_trained(
        folder, network, molecules, split, recipe, scale, experiment.name, card.unit, metrics, described
    )
    for leftover in (folder / "training_log.csv", *(folder / STATE).iterdir()):
        leftover.unlink(missing_ok=True)
    (folder / STATE).rmdir()
    return description


def _means(all_metrics: Sequence[Metrics]) -> Metrics:
    def value(part: str, task: str, name: str) -> float | None:
        found = [metrics[part][task][name] for metrics in all_metrics]
        known = [number for number in found if number is not None]
        return mean(known) if known else None

    return {
        part: {task: {name: value(part, task, name) for name in names} for task, names in tasks.items()}
        for part, tasks in all_metrics[0].items()
    }
