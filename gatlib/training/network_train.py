"""From a network and the labels of its nodes to a model folder."""

import math
import shutil
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import RichProgressBar
from numpy.typing import NDArray
from torch import Tensor

from gatlib.calibration import fit_temperature
from gatlib.data.cards import card_names, load_network_card
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.metrics import node_metrics
from gatlib.models import NodeAttentionNetwork
from gatlib.network.network import Network
from gatlib.network.node_memory import over_whole_graph
from gatlib.network.node_model import NodeModel, NodeModelDescription, NodeTrainingSummary
from gatlib.network.predict import calibrated
from gatlib.network.saved_model import save_network_model
from gatlib.network.sources import LabelledNetwork
from gatlib.network.splits import is_random, node_split
from gatlib.training.epoch_log import plot_learning_curve
from gatlib.training.graph_fit import fingerprint, with_edge_features
from gatlib.training.node_card import write_node_card
from gatlib.training.node_fit import check_nodes, train_nodes
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.node_tables import write_node_predictions, write_node_split
from gatlib.training.node_tensors import node_tensors
from gatlib.training.recipe import read_recipe, validated
from gatlib.training.run_folder import NETWORK_PACKAGES, STATE, check_output_folder, library_versions, same_run

#: What `gatlib network train` trains where nothing else is said.
NETWORK_RECIPE = NodeRecipe.model_validate({"num_layers": 3, "max_epochs": 500})
_FEW_NODES = 100


@dataclass(frozen=True)
class TrainedNetworkModel:
    """What :func:`train_network_model` gives back."""

    folder: Path
    model: NodeModel
    metrics: pd.DataFrame  # a row for valid and one for test: split, labels, and each metric
    notes: list[str]  # what was decided about the attributes and the weights
    epochs: int
    seconds: float


def network_recipe(path: Path | None, changes: Mapping[str, object], name: str | None = None) -> NodeRecipe:
    """:data:`NETWORK_RECIPE`, changed by the keys of a YAML file, then by ``changes`` that are not None.

    Where ``name`` is a data set, split and metric are those of its card unless they are given.

    Raises:
        InputError: the file cannot be read; an unknown key; a value out of range; the data set is one of molecules.
    """
    given = {} if path is None else read_recipe(path, NodeRecipe).model_dump(exclude_unset=True)
    wanted = {key: value for key, value in changes.items() if value is not None}
    card = load_network_card(name) if name in card_names() else None
    usual = {} if card is None else {"split": card.split, "metric": card.metric}
    settings = {**NETWORK_RECIPE.model_dump(), **usual, **given, **wanted, "dataset": card and card.name}
    return validated(settings, f"recipe {path}" if path else "command line", NodeRecipe)


def split_labelled(labelled: LabelledNetwork, recipe: NodeRecipe) -> tuple[Split, list[str]]:
    """The split that the recipe names, and notes.

    Raises:
        InputError: see :func:`gatlib.network.splits.node_split`; a class has one node, in a random split.
    """
    split = node_split(
        labelled.labels,
        recipe.split,
        recipe.seed,
        ids=labelled.network.ids,
        parts=labelled.parts,
        given=labelled.given,
    )
    if is_random(recipe.split):
        counts = Counter(label for label in labelled.labels if label is not None)
        lone = sorted(label for label, count in counts.items() if count == 1)
        if lone:
            raise InputError(
                f"class {lone[0]!r:.60} of {labelled.target!r} has one node, which cannot be learned and judged: "
                "label more, give it the label of another class, or leave it blank"
            )
    return split


def train_network_model(
    network: Network,
    labels: Sequence[str | None],
    split: Split,
    recipe: NodeRecipe,
    folder: Path,
    name: str,
    target: str,
    source: str,
    progress: bool = False,
) -> TrainedNetworkModel:
    """Train a network, keep the weights of the best validation epoch, calibrate on valid, test once, write the folder.

    An unfinished run in ``folder`` is taken up where it stopped, with the same result as without the stop.

    Args:
        network: the graph.
        labels: of its nodes, None where unlabelled, ``[N]``.
        split: its nodes in train, valid and test.
        recipe: the settings. ``edge_features`` follows from the weights of the edges.
        folder: where to write ``model.safetensors``, ``model.json``, ``README.md``, ``metrics.csv``,
            ``training_log.csv``, ``learning_curve.png``, ``split.csv``, ``valid_predictions.csv`` and
            ``test_predictions.csv``.
        name: of the model.
        target: what the labels are.
        source: where the network comes from, for the card.
        progress: show a progress bar.

    Raises:
        InputError: the folder cannot take the model, or holds an unfinished run of other settings; there is nothing to
            learn from; the training diverged.
    """
    if recipe.label_reuse:
        network = replace(network, known_labels=only(labels, split.train))
    given = node_tensors(network, labels, target, recipe)
    recipe = with_edge_features(recipe, int(given.mean_weight is not None))
    x, edge_index, edge_attr, y, classes = given.x, given.edge_index, given.edge_attr, given.y, given.classes
    check_nodes(x, edge_index, y, split, recipe, len(classes), edge_attr)

    check_output_folder(folder)
    data = fingerprint(x, edge_index, edge_attr, y, *map(torch.from_numpy, split.parts().values()))
    same_run(folder / STATE / "run.json", {"recipe": recipe.model_dump(), "target": target, "data": data})
    bars = [RichProgressBar(leave=False)] if progress else []
    trained = train_nodes(x, edge_index, y, split, recipe, folder, len(classes), edge_attr, bars)
    with torch.inference_mode():
        logits = over_whole_graph(trained.network, x, edge_index, edge_attr)
    temperature = _temperature(logits[split.valid], y[split.valid])
    probabilities = calibrated(logits, temperature)
    metrics = _metrics_table(y.numpy(), probabilities, split)

    metrics.to_csv(folder / "metrics.csv", index=False)
    write_node_split(network.ids, split, folder / "split.csv")
    for part, rows in (("valid", split.valid), ("test", split.test)):
        path = folder / f"{part}_predictions.csv"
        write_node_predictions(network.ids, labels, target, classes, probabilities, rows, path)
    plot_learning_curve(folder / "training_log.csv", folder / "learning_curve.png", recipe.metric, "Validation score")
    description = NodeModelDescription(
        name=name,
        target=target,
        classes=classes,
        rule=given.rule,
        directed=network.directed,
        mean_weight=given.mean_weight,
        architecture=recipe.architecture(),
        in_channels=x.size(1),
        temperature=temperature,
        training=NodeTrainingSummary(
            network=source,
            nodes=network.num_nodes,
            edges=edge_index.size(1) // (1 if network.directed else 2),
            labelled={part: int((y[rows] >= 0).sum()) for part, rows in split.parts().items()},
            split=recipe.split,
            seed=recipe.seed,
        ),
        metrics={row["split"]: _values(row) for row in metrics.to_dict("records")},
        versions=library_versions(NETWORK_PACKAGES),
        weights_sha256="",
    )
    write_node_card(folder, description)
    assert isinstance(trained.network, NodeAttentionNetwork)
    description = save_network_model(folder, trained.network, description)
    shutil.rmtree(folder / STATE)
    model = NodeModel(trained.network, description)
    return TrainedNetworkModel(folder, model, metrics, given.notes, trained.epochs, trained.seconds)


def only(labels: Sequence[str | None], nodes: NDArray[np.int64]) -> list[str | None]:
    """The labels of these nodes, None for all others."""
    kept: list[str | None] = [None] * len(labels)
    for node in nodes.tolist():
        kept[node] = labels[node]
    return kept


def _temperature(logits: Tensor, y: Tensor) -> float:
    """The temperature that fits, and 1 at least where the nodes are too few to show that the network is too unsure."""
    # A handful that are all right would make every probability 0 or 1.
    known = y >= 0
    few = int(known.sum()) < _FEW_NODES or bool((logits.argmax(dim=1) == y)[known].all())
    return max(fit_temperature(logits, y), 1.0 if few else 0.0)


def _metrics_table(y: NDArray[np.int64], probabilities: NDArray[np.float64], split: Split) -> pd.DataFrame:
    rows = []
    for part in ("valid", "test"):
        nodes = split.parts()[part]
        labels = int((y[nodes] >= 0).sum())
        rows.append({"split": part, "labels": labels, **node_metrics(y[nodes], probabilities[nodes])})
    return pd.DataFrame(rows)


def _values(row: dict[Hashable, Any]) -> dict[str, float | None]:
    return {
        str(key): None if math.isnan(value) else value for key, value in row.items() if key not in ("split", "labels")
    }
