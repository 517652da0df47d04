"""Experiments on the nodes of networks: which models there are, how each is run, and what its predictions are worth."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import RichProgressBar
from numpy.typing import NDArray

from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.experiments import node_peers
from gatlib.experiments.experiment import RECIPE, Experiment, recipe_id
from gatlib.experiments.pictures import draw_curves
from gatlib.experiments.results import Run
from gatlib.experiments.scores import PREDICTED, Scores, parts_predicted
from gatlib.metrics import node_metrics
from gatlib.network.datasets import read_network_dataset
from gatlib.network.network import Network
from gatlib.network.predict import predict_nodes
from gatlib.network.sources import LabelledNetwork
from gatlib.network.tensors import network_tensors
from gatlib.training.network_train import only, split_labelled, train_network_model
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.node_tables import write_node_predictions, write_node_split
from gatlib.training.node_tensors import NodeTensors, node_tensors
from gatlib.training.recipe import validated
from gatlib.training.run_folder import STATE

#: What all but the recipe itself are trained without: it is the recipe's, and they are plain.
PLAIN: dict[str, object] = {"label_reuse": 0.0, "label_steps": 0, "consistency": 0.0}
#: Networks of ours: what each changes of the recipe.
NETWORKS: dict[str, dict[str, object]] = {RECIPE: {}, "mlp": PLAIN | {"conv": "mlp", "global_attention": False}}
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
VALID, TEST = "valid_predictions.csv", "test_predictions.csv"
_FIRST_CLASS = 3  # column of the predictions, behind node, label and prediction


class Probabilities(NamedTuple):
    """What a model says of all nodes of a network."""

    classes: list[str]
    values: NDArray[np.float64]  # [N, C]


class NodeRuns:
    """The runs of an experiment on the nodes of a network; see :class:`gatlib.experiments.run.Runs`."""

    models: tuple[str, ...] = (*NETWORKS, *PYG, *PEERS)
    default: tuple[str, ...] = (RECIPE, "lr")

    def __init__(
        self, experiment: Experiment, split: str | None, data_dir: Path | None, say: Callable[[str], None]
    ) -> None:
        self.experiment, self.split, self.data_dir, self.say = experiment, split, data_dir, say
        self._networks: dict[str, LabelledNetwork] = {}  # by the names of their cards
        self._tensors: NodeTensors | None = None

    def is_network(self, model: str) -> bool:
        return model not in PEERS

    def runs(self, model: str, seed: int) -> list[Run]:
        recipe = self._recipe(model, seed)
        if recipe.transfer and model == "lp":
            raise InputError("lp knows the labels of one network and predicts no other one: leave it out")
        return [_transferred(run_of(model, recipe), recipe, name) for name in recipe.transfer] or [
            run_of(model, recipe)
        ]

    def prepare(self, model: str, seed: int) -> None:
        recipe = self._recipe(model, seed)
        for name in (self.experiment.dataset, *recipe.transfer):
            if name not in self._networks:
                self._networks[name] = read_network_dataset(name, self.data_dir)
                for note in self._networks[name].network.notes:
                    self.say(f"{name}: {note}")
        if self._tensors is None and model not in NETWORKS:
            labelled = self._networks[self.experiment.dataset]
            self._tensors = node_tensors(labelled.network, labelled.labels, labelled.target, recipe)

    def train(self, model: str, seed: int, folder_of: Callable[[Run], Path]) -> None:
        recipe, labelled = self._recipe(model, seed), self._networks[self.experiment.dataset]
        split, _ = split_labelled(labelled, recipe)
        run = run_of(model, recipe)
        folder = folder_of(run)
        if model in NETWORKS:
            predict = _train_ours(self.experiment.name, labelled, split, recipe, folder)
        else:
            assert self._tensors is not None  # see `prepare`
            predict = _train_peer(model, self._tensors, labelled, split, recipe, folder)
        for name in recipe.transfer:
            other = self._networks[name]
            _write(other, predict(other.network), _only_test(other), folder_of(_transferred(run, recipe, name)))
            shutil.copy(folder / VALID, folder_of(_transferred(run, recipe, name)) / VALID)

    def scores(self, folder: Path, run: Run) -> Scores:
        scores: Scores = {}
        for part in parts_predicted(folder):
            y, probabilities, _ = _read(folder / f"{part}_predictions.csv")
            found = node_metrics(y, probabilities)
            scores[part] = {name: None if math.isnan(value) else value for name, value in found.items()}
        return scores

    def draw(self, folder: Path) -> None:
        y, probabilities, names = _read(folder / TEST)
        shown = range(1, 2) if len(names) == 2 else range(len(names))
        columns: dict[str, NDArray[np.float64]] = {}
        for number in shown:
            columns[names[number]] = (y == number).astype(np.float64)
            columns[names[number] + PREDICTED] = probabilities[:, number]
        draw_curves(pd.DataFrame(columns), [names[number] for number in shown], folder / "test.png")

    def mean(self, members: Sequence[Path]) -> pd.DataFrame | None:
        return mean_predictions(members)

    def _recipe(self, model: str, seed: int) -> NodeRecipe:
        changes = NETWORKS.get(model, PLAIN) | {"seed": seed}
        changes |= {} if self.split is None else {"split": self.split}
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


def _transferred(run: Run, recipe: NodeRecipe, name: str) -> Run:
    return run._replace(split=f"{recipe.dataset} ({recipe.split}) to {name}")


def _train_ours(
    name: str, labelled: LabelledNetwork, split: Split, recipe: NodeRecipe, folder: Path
) -> Callable[[Network], Probabilities]:
    trained = train_network_model(
        labelled.network,
        labelled.labels,
        split,
        recipe,
        folder,
        name=name,
        target=labelled.target,
        source=labelled.source,
        progress=True,
    )

    known = only(labelled.labels, split.train) if recipe.label_reuse else None

    def predict(network: Network) -> Probabilities:
        # Of another network no label is known.
        network = replace(network, known_labels=known) if network is labelled.network else network
        table = predict_nodes(trained.model, network)
        return Probabilities(trained.model.description.classes, table.iloc[:, _FIRST_CLASS - 1 :].to_numpy())

    return predict


def _train_peer(
    model: str, tensors: NodeTensors, labelled: LabelledNetwork, split: Split, recipe: NodeRecipe, folder: Path
) -> Callable[[Network], Probabilities]:
    folder.mkdir(parents=True, exist_ok=True)
    if model in PYG:
        fitted = node_peers.pyg_network(model, tensors, split, recipe, folder, [RichProgressBar(leave=False)])
        shutil.rmtree(folder / STATE)
    else:
        fitted = _FIT[model](tensors, split, recipe)

    def predict(network: Network) -> Probabilities:
        x, edge_index, _ = network_tensors(network, tensors.rule, tensors.mean_weight)
        return Probabilities(tensors.classes, fitted(x, edge_index))

    _write(labelled, predict(labelled.network), split, folder)
    return predict


def _only_test(labelled: LabelledNetwork) -> Split:
    known = np.flatnonzero([label is not None for label in labelled.labels])
    return Split(train=known[:0], valid=known[:0], test=known)


def _write(labelled: LabelledNetwork, found: Probabilities, split: Split, folder: Path) -> None:
    """Write the split and the predictions for valid and test.

    Raises:
        InputError: the network has a class that the model does not know.
    """
    if unknown := sorted({label for label in labelled.labels if label is not None} - set(found.classes)):
        raise InputError(f"{labelled.source} has the class {unknown[0]!r:.60}, which was not learned")
    folder.mkdir(parents=True, exist_ok=True)
    ids = labelled.network.ids
    write_node_split(ids, split, folder / "split.csv")
    for name, rows in ((VALID, split.valid), (TEST, split.test)):
        write_node_predictions(ids, labelled.labels, labelled.target, found.classes, found.values, rows, folder / name)


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
