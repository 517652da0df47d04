"""Experiments on the nodes of networks: which models there are, how each is run, and what its predictions are worth."""

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import RichProgressBar
from numpy.typing import NDArray

from gatlib.data.splits import Split
from gatlib.experiments import node_peers
from gatlib.experiments.experiment import RECIPE, Experiment, recipe_id
from gatlib.experiments.node_peers import Predict
from gatlib.experiments.pictures import draw_curves
from gatlib.experiments.results import Run
from gatlib.experiments.scores import PREDICTED, Scores, parts_predicted
from gatlib.metrics import node_metrics
from gatlib.network.datasets import read_network_dataset
from gatlib.network.sources import LabelledNetwork
from gatlib.training.network_train import split_labelled, train_network_model
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.node_tables import write_node_predictions, write_node_split
from gatlib.training.node_tensors import NodeTensors, node_tensors
from gatlib.training.recipe import validated
from gatlib.training.run_folder import STATE

#: Networks of ours: what each changes of the recipe.
NETWORKS: dict[str, dict[str, object]] = {RECIPE: {}, "mlp": {"conv": "mlp", "global_attention": False}}
#: Networks of PyG's layers.
PYG = ("gcn", "gat")
PEERS = ("lr", "gb", "lp")
NAMES = {
    "mlp": "MLP",
    "gcn": "PyG GCN",
    "gat": "PyG GAT",
    "lr": "logistic regression",
    "gb": "gradient boosting",
    "lp": "label propagation",
}
_FIT = {
    "lr": node_peers.logistic_regression,
    "gb": node_peers.gradient_boosting,
    "lp": node_peers.label_propagation,
}
_FIRST_CLASS = 3  # column of the predictions, behind node, label and prediction


class NodeRuns:
    """The runs of an experiment on the nodes of a network; see :class:`gatlib.experiments.run.Runs`."""

    models: tuple[str, ...] = (*NETWORKS, *PYG, *PEERS)
    default: tuple[str, ...] = (RECIPE, "lr")

    def __init__(
        self, experiment: Experiment, split: str | None, data_dir: Path | None, say: Callable[[str], None]
    ) -> None:
        self.experiment, self.split, self.data_dir, self.say = experiment, split, data_dir, say
        self._labelled: LabelledNetwork | None = None
        self._tensors: NodeTensors | None = None

    def is_network(self, model: str) -> bool:
        return model not in PEERS

    def runs(self, model: str, seed: int) -> list[Run]:
        return [run_of(model, self._recipe(model, seed))]

    def prepare(self, model: str, seed: int) -> None:
        if self._labelled is None:
            self._labelled = read_network_dataset(self.experiment.dataset, self.data_dir)
            for note in self._labelled.network.notes:
                self.say(f"note: {note}")
        if self._tensors is None and model not in NETWORKS:
            labelled = self._labelled
            recipe = self._recipe(model, seed)
            self._tensors = node_tensors(labelled.network, labelled.labels, labelled.target, recipe)

    def train(self, model: str, seed: int, folder_of: Callable[[Run], Path]) -> None:
        recipe, labelled = self._recipe(model, seed), self._labelled
        assert labelled is not None  # see `prepare`
        split, _ = split_labelled(labelled, recipe)
        folder = folder_of(run_of(model, recipe))
        if model in NETWORKS:
            train_network_model(
                labelled.network,
                labelled.labels,
                split,
                recipe,
                folder,
                name=self.experiment.name,
                target=labelled.target,
                source=labelled.source,
                progress=True,
            )
        else:
            self._train_peer(model, labelled, split, recipe, folder)

    def _train_peer(
        self, model: str, labelled: LabelledNetwork, split: Split, recipe: NodeRecipe, folder: Path
    ) -> None:
        tensors = self._tensors
        assert tensors is not None  # see `prepare`
        folder.mkdir(parents=True, exist_ok=True)
        predict: Predict
        if model in PYG:
            bars = [RichProgressBar(leave=False)]
            predict = node_peers.pyg_network(model, tensors, split, recipe, folder, bars)
        else:
            predict = _FIT[model](tensors, split, recipe)
        probabilities = predict(tensors.x, tensors.edge_index)
        _write(labelled, tensors.classes, probabilities, split, folder)
        shutil.rmtree(folder / STATE, ignore_errors=True)

    def scores(self, folder: Path, run: Run) -> Scores:
        scores: Scores = {}
        for part in parts_predicted(folder):
            y, probabilities, _ = _read(folder / f"{part}_predictions.csv")
            found = node_metrics(y, probabilities)
            scores[part] = {name: None if math.isnan(value) else value for name, value in found.items()}
        return scores

    def draw(self, folder: Path) -> None:
        y, probabilities, names = _read(folder / "test_predictions.csv")
        shown = range(1, 2) if len(names) == 2 else range(len(names))
        columns: dict[str, NDArray[np.float64]] = {}
        for number in shown:
            columns[names[number]] = (y == number).astype(np.float64)
            columns[names[number] + PREDICTED] = probabilities[:, number]
        draw_curves(pd.DataFrame(columns), [names[number] for number in shown], folder / "test.png")

    def mean(self, members: Sequence[Path]) -> pd.DataFrame | None:
        return mean_predictions(members)

    def _recipe(self, model: str, seed: int) -> NodeRecipe:
        changes = NETWORKS.get(model, {}) | {"seed": seed} | ({} if self.split is None else {"split": self.split})
        where = f"experiment {self.experiment.name}, model {model}"
        return validated(self.experiment.recipe.model_dump() | changes, where, NodeRecipe)


def run_of(model: str, recipe: NodeRecipe) -> Run:
    """What tells this run from others in the results."""
    settings = node_peers.SETTINGS[model] if model in PEERS else recipe_id(recipe)
    return Run(NAMES.get(model) or network_name(recipe), settings, recipe.seed, recipe.split)


def network_name(recipe: NodeRecipe) -> str:
    """What a network of ours is called in results and tables."""
    return f"{recipe.conv} + attention to all nodes" if recipe.global_attention else recipe.conv


def mean_predictions(members: Sequence[Path]) -> pd.DataFrame | None:
    """The mean of several tables of predictions, None where they are of different nodes."""
    tables = [_read_text(member) for member in members]
    if any(not table["node"].equals(tables[0]["node"]) for table in tables):
        return None
    probabilities = np.mean([table.iloc[:, _FIRST_CLASS:].to_numpy(dtype=np.float64) for table in tables], axis=0)
    names = np.array(_classes(tables[0]), dtype=object)
    mean = tables[0].iloc[:, :_FIRST_CLASS].copy()
    mean.isetitem(_FIRST_CLASS - 1, names[probabilities.argmax(axis=1)])
    return pd.concat([mean, pd.DataFrame(probabilities, columns=tables[0].columns[_FIRST_CLASS:])], axis=1)


def _write(
    labelled: LabelledNetwork,
    classes: Sequence[str],
    probabilities: NDArray[np.float64],
    split: Split,
    folder: Path,
) -> None:
    ids = labelled.network.ids
    write_node_split(ids, split, folder / "split.csv")
    for part, rows in (("valid", split.valid), ("test", split.test)):
        path = folder / f"{part}_predictions.csv"
        write_node_predictions(ids, labelled.labels, labelled.target, classes, probabilities, rows, path)


def _read_text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _classes(table: pd.DataFrame) -> list[str]:
    return [str(name).removeprefix("p_") for name in table.columns[_FIRST_CLASS:]]


def _read(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    """The classes ``[N]``, the probabilities ``[N, C]``, and the names of the classes, of a table of predictions."""
    table = _read_text(path)
    names = _classes(table)
    y = np.array([names.index(label) if label in names else -1 for label in table.iloc[:, 1]], dtype=np.int64)
    return y, table.iloc[:, _FIRST_CLASS:].to_numpy(dtype=np.float64), names
