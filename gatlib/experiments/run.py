"""Runs of an experiment: one model and seed after the other, each once."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd

from gatlib.errors import InputError
from gatlib.experiments.ensemble import write_mean_predictions
from gatlib.experiments.experiment import Experiment
from gatlib.experiments.molecule_runs import MoleculeRuns
from gatlib.experiments.node_runs import NodeRuns
from gatlib.experiments.results import Run, append_results, is_done, is_identity
from gatlib.experiments.scores import Cost, Scores
from gatlib.training.node_recipe import NodeRecipe

Say = Callable[[str], None]


class Runs(Protocol):
    """What differs between experiments on molecules and on the nodes of a network."""

    models: tuple[str, ...]
    default: tuple[str, ...]  # those that are run where none is named

    def is_network(self, model: str) -> bool:
        """Whether the mean over its seeds is a model of its own."""

    def runs(self, model: str, seed: int) -> list[Run]:
        """What one training gives figures of: mostly one split."""

    def prepare(self, model: str, seed: int) -> None:
        """Read and split the data, which is no part of the cost of a run."""

    def train(self, model: str, seed: int, folder_of: Callable[[Run], Path]) -> None:
        """Leave the tables of predictions of each run in its folder."""

    def scores(self, folder: Path, run: Run) -> Scores:
        """The figures of the predictions in a folder."""

    def draw(self, folder: Path) -> None:
        """Draw the predictions for test into the folder."""

    def mean(self, members: Sequence[Path]) -> pd.DataFrame | None:
        """The mean of several tables of predictions; None where they are of different molecules or nodes."""


def runs_of(experiment: Experiment, split: str | None, data_dir: Path | None, say: Say) -> Runs:
    """The runs of an experiment, on the recipe's split or another one."""
    if isinstance(experiment.recipe, NodeRecipe):
        return NodeRuns(experiment, split, data_dir, say)
    return MoleculeRuns(experiment, split, data_dir, say)


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
        models: names of models; the defaults of the experiment's kind where there are none.
        seeds: of weights and order, and of those splits that are drawn.
        split: another split than the recipe's.
        runs_dir: a folder for each run is made below it.
        data_dir: folder of the data files.
        say: is told what happens, a line at a time.

    Raises:
        InputError: an unknown model; settings that do not fit together; what reading and training raise.
    """
    runs = runs_of(experiment, split, data_dir, say)
    if unknown := [model for model in models if model not in runs.models]:
        raise InputError(f"there is no model {unknown[0]!r}; there are: {', '.join(runs.models)}")
    waiting, networks = [], []
    for model in models or runs.default:
        for seed in seeds:
            found = runs.runs(model, seed)
            if runs.is_network(model):
                networks += [run._replace(seed=0) for run in found if run._replace(seed=0) not in networks]
            missing = [run for run in found if not is_done(experiment.results, run)]
            for run in found:
                if run not in missing:
                    say(f"{run.model}, {run.split} split, seed {seed}: done before")
            if missing:
                waiting.append((model, seed, missing))
    for model, seed, missing in waiting:
        _run_one(experiment, runs, model, seed, missing, runs_dir, say)
    for network in networks:
        members = [run_folder(runs_dir, experiment, network._replace(seed=seed)) for seed in seeds]
        _run_ensemble(experiment, runs, network, members, say)


def _run_one(
    experiment: Experiment, runs: Runs, model: str, seed: int, missing: Sequence[Run], runs_dir: Path, say: Say
) -> None:
    runs.prepare(model, seed)
    for run in missing:
        say(f"{run.model}, {run.split} split, seed {run.seed}: in {run_folder(runs_dir, experiment, run)}")
    start = Cost.now()
    runs.train(model, seed, lambda run: run_folder(runs_dir, experiment, run))
    cost = Cost.now().since(start)
    for run in missing:
        _finish(experiment, runs, run, run_folder(runs_dir, experiment, run), cost, say)


def _run_ensemble(experiment: Experiment, runs: Runs, network: Run, members: Sequence[Path], say: Say) -> None:
    """The mean of all seeds, where they were tested on the same rows and their predictions are at hand."""
    run = network._replace(model=f"{network.model}, mean of {len(members)} seeds")
    if len(members) < 2 or is_done(experiment.results, run):
        return
    if not all((member / "valid_predictions.csv").exists() for member in members):
        say(f"{run.model}: left out, as predictions of its seeds are missing in {members[0].parent}")
        return
    start, folder = Cost.now(), members[0].parent / f"mean{len(members)}"
    if write_mean_predictions(members, folder, runs.mean):
        say(f"{run.model}, {run.split} split: in {folder}")
        _finish(experiment, runs, run, folder, Cost.now().since(start), say)


def _finish(experiment: Experiment, runs: Runs, run: Run, folder: Path, cost: Cost, say: Say) -> None:
    """Append a run's figures and draw its pictures."""
    scores = runs.scores(folder, run)
    append_results(experiment.results, run, scores, cost, f"{os.cpu_count()} CPU cores")
    runs.draw(folder)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in scores["test"].items() if value is not None)
    say(f"test: {figures or 'no task counts'}; {cost.seconds:.0f} s, {cost.cpu_seconds:.0f} s of CPU time")


def run_folder(runs_dir: Path, experiment: Experiment, run: Run) -> Path:
    """Runs that differ by their seed alone lie in one folder."""
    settings = run.recipe if is_identity(run.recipe) else ""
    name = re.sub(r"[^\w-]+", "-", f"{run.model} {settings} {run.split} {run.featurization}").strip("-")
    return runs_dir / experiment.name / name / f"seed{run.seed}"
