"""Experiments on molecules: which models there are, how each is run, and what its predictions are worth."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gatlib.checkpoint import FEATURIZATION
from gatlib.data.cards import load_card
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.experiments.baselines import (
    BOOSTING,
    FOREST,
    LARGE_FOREST,
    gradient_boosting_predictions,
    large_forest_predictions,
    random_forest_predictions,
)
from gatlib.experiments.chemprop import chemprop_predictions, chemprop_settings
from gatlib.experiments.experiment import RECIPE, Experiment, recipe_id
from gatlib.experiments.pictures import draw_test_predictions
from gatlib.experiments.results import Run, read_results
from gatlib.experiments.scores import Scores, scores_of
from gatlib.experiments.selection import BOOTSTRAPS, mean_predictions, write_selected
from gatlib.training.fit import fit, write_predictions, write_split
from gatlib.training.molecules import LabelledMolecules, describe_split, split_molecules
from gatlib.training.pretrained import describe_overlap
from gatlib.training.recipe import Recipe, make_recipe
from gatlib.training.train import read_dataset

#: Networks to compare the recipe's own with: what each changes of the recipe.
NETWORKS: dict[str, dict[str, object]] = {
    "gat": {"conv": "gat", "attention": "edges"},
    "gatv2": {"conv": "gatv2", "attention": "edges"},
    "transformer": {"conv": "transformer", "attention": "edges"},
    "gps": {"attention": "both", "random_walk": 16},
    "morgan": {"side_features": "morgan"},
    "descriptors": {"side_features": "descriptors"},
    "both": {"side_features": "both"},
    "scratch": {"pretrained": None},
}
BASELINES = ("rf", "forest", "gb", "chemprop")
ENSEMBLE = "ensemble"
NAMES = {"rf": "random forest", "forest": "large forest", "gb": "gradient boosting", "chemprop": "chemprop"}
SETTINGS = {
    "rf": lambda: FOREST,
    "forest": lambda: LARGE_FOREST,
    "gb": lambda: BOOSTING,
    "chemprop": chemprop_settings,
}


class MoleculeRuns:
    """The runs of an experiment on molecules; see :class:`gatlib.experiments.run.Runs`."""

    models: tuple[str, ...] = (RECIPE, *NETWORKS, *BASELINES, ENSEMBLE)
    default: tuple[str, ...] = (RECIPE, "rf")

    def __init__(
        self, experiment: Experiment, split: str | None, data_dir: Path | None, say: Callable[[str], None]
    ) -> None:
        self.experiment, self.split, self.data_dir, self.say = experiment, split, data_dir, say
        self._molecules: LabelledMolecules | None = None
        self._rows: Split | None = None

    def is_network(self, model: str) -> bool:
        return model not in (*BASELINES, ENSEMBLE)

    def runs(self, model: str, seed: int) -> list[Run]:
        recipe = self._recipe(model, seed)
        if model == ENSEMBLE:
            # Of all seeds together, where they share a split.
            return [_selection(seed, recipe.split)] if seed == 0 or _is_drawn(recipe.split) else []
        return [run_of(model, recipe)]

    def prepare(self, model: str, seed: int) -> None:
        if model == ENSEMBLE:
            return
        recipe = self._recipe(model, seed)
        molecules = self._molecules or read_dataset(self.experiment.dataset, self.data_dir, recipe.split)
        rows = split_molecules(molecules, recipe.split, recipe.seed)
        if self._rows is None or not np.array_equal(rows.test, self._rows.test):
            for note in describe_split(molecules, rows):
                self.say(note)
        self._molecules, self._rows = molecules, rows

    def train(self, model: str, seed: int, folder_of: Callable[[Run], Path]) -> None:
        recipe = self._recipe(model, seed)
        if model == ENSEMBLE:
            self._select(_selection(seed, recipe.split), folder_of)
            return
        molecules, rows = self._molecules, self._rows
        assert molecules is not None  # see `prepare`
        assert rows is not None
        if model not in BASELINES:
            if recipe.pretrained is not None and (
                note := describe_overlap(recipe.pretrained, self.experiment.dataset, recipe.split)
            ):
                self.say(note)
            self._molecules = molecules = molecules.featurized_for(recipe)  # once for all seeds
        train_model(self.experiment, model, recipe, molecules, rows, folder_of(run_of(model, recipe)))

    def _select(self, run: Run, folder_of: Callable[[Run], Path]) -> None:
        """The ensemble of whatever ran on this split, where its predictions are at hand."""
        results = read_results(self.experiment.results)
        columns = results[list(Run._fields)].drop_duplicates()
        members: dict[str, list[Path]] = {}
        for other in (Run(*values) for values in columns.itertuples(index=False, name=None)):
            is_of_split = other.split == run.split and (other.seed == run.seed or not _is_drawn(run.split))
            is_mean = other.model.startswith(ENSEMBLE) or re.search(r", mean of \d+ seeds$", other.model)
            is_new = other.featurization in ("", _featurization(run.split))
            if is_of_split and is_new and not is_mean and (folder_of(other) / "valid_predictions.csv").exists():
                members.setdefault(other.model, []).append(folder_of(other))
        if not members:
            raise InputError(f"there is nothing to select from on the {run.split} split: run other models first")
        card = load_card(self.experiment.dataset)
        weights = write_selected(members, folder_of(run), card.metric, card.task_type)
        self.say(f"{run.model}: " + ", ".join(f"{weight:.2f} x {name}" for name, weight in weights.items()))

    def scores(self, folder: Path, run: Run) -> Scores:
        return scores_of(folder, load_card(self.experiment.dataset), run.split)

    def draw(self, folder: Path) -> None:
        draw_test_predictions(folder / "test_predictions.csv", load_card(self.experiment.dataset).task_type)

    def mean(self, members: Sequence[Path]) -> pd.DataFrame | None:
        return mean_predictions(members)

    def _recipe(self, model: str, seed: int) -> Recipe:
        return recipe_of(self.experiment, model, self.split, seed)


def recipe_of(experiment: Experiment, model: str, split: str | None, seed: int) -> Recipe:
    """The settings of one run of a network.

    Raises:
        InputError: they do not fit together.
    """
    changes = NETWORKS.get(model, {}) | {"seed": seed} | ({} if split is None else {"split": split})
    return make_recipe(experiment.recipe.model_dump() | changes, f"experiment {experiment.name}, model {model}")


def _selection(seed: int, split: str) -> Run:
    settings = f"weights of models from {BOOTSTRAPS} bootstrap samples of valid"
    return Run("ensemble weighted on valid", settings, seed, split, _featurization(split))


def _featurization(split: str) -> str:
    """Of the graphs that networks see: OGB's own on its official split."""
    return "ogb" if split == "ogb" else FEATURIZATION


def _is_drawn(split: str) -> bool:
    """Whether the seed decides who is in test."""
    return split.partition(":")[0] in ("scaffold_balanced", "random", "butina", "folds")


def run_of(model: str, recipe: Recipe) -> Run:
    """What tells this run from others in the results."""
    if model in BASELINES:
        return Run(NAMES[model], SETTINGS[model](), recipe.seed, recipe.split)
    return Run(network_name(recipe), recipe_id(recipe), recipe.seed, recipe.split, _featurization(recipe.split))


def network_name(recipe: Recipe) -> str:
    """What a network is called in results and tables; without a +, it sees the graph only."""
    kind = {"edges": recipe.conv, "full": "full attention", "both": f"gps ({recipe.conv})"}
    name = kind.get(recipe.attention, f"{recipe.attention} ({recipe.conv})")
    name += "" if recipe.pretrained is None else ", pretrained"
    return name if recipe.side_features == "none" else f"{name} + {recipe.side_features}"


def train_model(
    experiment: Experiment, model: str, recipe: Recipe, molecules: LabelledMolecules, split: Split, folder: Path
) -> None:
    """Train a network or a baseline and leave ``valid_predictions.csv`` and ``test_predictions.csv`` in the folder.

    Args:
        experiment: whose model it is.
        model: one of the models of :class:`MoleculeRuns`, but no ensemble.
        recipe: of :func:`recipe_of`; baselines have its seed alone.
        molecules: what to learn from.
        split: its rows in train, valid and test.
        folder: of the run; made if need be.

    Raises:
        InputError: see :func:`~gatlib.training.fit.fit` and :func:`chemprop_predictions`.
    """
    if model not in BASELINES:
        unit = load_card(experiment.dataset).unit
        fit(molecules, split, recipe, folder, name=experiment.name, unit=unit, progress=True)
        return
    seed = recipe.seed
    folder.mkdir(parents=True, exist_ok=True)
    if model == "rf":
        predictions = random_forest_predictions(molecules, split, seed)
    elif model == "forest":
        predictions = large_forest_predictions(molecules, split, seed)
    elif model == "gb":
        predictions = gradient_boosting_predictions(molecules, split, seed)
    else:
        predictions = chemprop_predictions(molecules, split, seed, folder)
    write_split(molecules, split, folder / "split.csv")
    parts = split.parts()
    for part, values in predictions.items():
        write_predictions(molecules, parts[part], values, folder / f"{part}_predictions.csv")
