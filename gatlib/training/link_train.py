"""From a network to the folder of a model that predicts its edges."""

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import RichProgressBar
from numpy.typing import NDArray

from gatlib.metrics import link_metrics
from gatlib.models import LinkAttentionNetwork
from gatlib.network.encoding import AttributeRule, learn_rule
from gatlib.network.link_heuristics import link_heuristics
from gatlib.network.link_model import LinkMetrics, LinkModel, LinkModelDescription, LinkTrainingSummary
from gatlib.network.link_split import LinkSplit, split_links, with_edges
from gatlib.network.network import Network
from gatlib.network.predict import write_table
from gatlib.network.saved_model import check_text, save_network_model
from gatlib.network.tensors import network_tensors
from gatlib.threads import one_thread_if_small
from gatlib.training.epoch_log import plot_learning_curve
from gatlib.training.graph_fit import check_finite, fingerprint, mean_weight, with_edge_features
from gatlib.training.link_card import write_link_card
from gatlib.training.link_fit import train_links
from gatlib.training.link_recipe import LinkRecipe
from gatlib.training.recipe import read_recipe, validated
from gatlib.training.run_folder import NETWORK_PACKAGES, STATE, check_output_folder, library_versions, same_run

#: What `gatlib network train --task link` trains where nothing else is said; chosen on valid.
LINK_RECIPE = LinkRecipe.model_validate({"dropout": 0.0})
NETWORK = "network"


@dataclass(frozen=True)
class TrainedLinkModel:
    """What :func:`train_link_model` gives back."""

    folder: Path
    model: LinkModel
    metrics: pd.DataFrame  # for valid and for test a row for the network and one for each heuristic
    notes: list[str]  # what was decided about the attributes and the weights
    epochs: int
    seconds: float


def link_recipe(path: Path | None, changes: Mapping[str, object]) -> LinkRecipe:
    """:data:`LINK_RECIPE`, changed by the keys of a YAML file, then by ``changes`` that are not None.

    Raises:
        InputError: the file cannot be read; an unknown key; a value out of range.
    """
    given = {} if path is None else read_recipe(path, LinkRecipe).model_dump(exclude_unset=True)
    wanted = {key: value for key, value in changes.items() if value is not None}
    settings = {**LINK_RECIPE.model_dump(), **given, **wanted}
    return validated(settings, f"recipe {path}" if path else "command line", LinkRecipe)


def train_link_model(
    network: Network, recipe: LinkRecipe, folder: Path, name: str, source: str, progress: bool = False
) -> TrainedLinkModel:
    """Hold edges out, train, keep the weights of the best validation epoch, test once, write the folder.

    The protocol is that of :func:`gatlib.network.link_split.split_links`: valid is scored from the graph of the train
    edges, test from that of train and valid. What is learned, the scales of attributes and structure too, is learned
    from the graph of the train edges. An unfinished run in ``folder`` is taken up where it stopped.

    Args:
        network: the graph.
        recipe: the settings. ``edge_features`` follows from the weights of the edges.
        folder: where to write ``model.safetensors``, ``model.json``, ``README.md``, ``metrics.csv``,
            ``training_log.csv``, ``learning_curve.png``, ``split.csv`` and ``test_predictions.csv``.
        name: of the model.
        source: where the network comes from, for the card.
        progress: show a progress bar.

    Raises:
        InputError: too few edges, or too few pairs without one; the folder cannot take the model, or holds an
            unfinished run of other settings; the training diverged.
    """
    split = split_links(network, recipe.seed)
    known = with_edges(network, split.train)
    rule = learn_rule(known)
    check_text(rule)
    weight, notes = mean_weight(known.edge_weight, recipe)
    recipe = with_edge_features(recipe, int(weight is not None))
    x, edge_index, edge_attr = network_tensors(network, rule, weight)
    check_finite(x, edge_attr)

    check_output_folder(folder)
    data = fingerprint(x, edge_index, edge_attr, torch.from_numpy(network.edge_index))
    same_run(folder / STATE / "run.json", {"task": "link", "recipe": recipe.model_dump(), "data": data})
    bars = [RichProgressBar(leave=False)] if progress else []
    trained = train_links(network, split, rule, weight, recipe, folder, bars)
    of_valid = _scores(trained.network, known, rule, weight, split.valid, split.valid_missing)
    with_valid = with_edges(network, split.train, split.valid)
    of_test = _scores(trained.network, with_valid, rule, weight, split.test, split.test_missing)
    metrics = pd.concat(
        [
            _metrics_table("valid", of_valid, split.valid.shape[1]),
            _metrics_table("test", of_test, split.test.shape[1]),
        ],
        ignore_index=True,
    )

    metrics.to_csv(folder / "metrics.csv", index=False)
    _write_tables(folder, network, split, of_test[NETWORK])
    plot_learning_curve(folder / "training_log.csv", folder / "learning_curve.png", "roc_auc", "Validation score")
    description = LinkModelDescription(
        name=name,
        rule=rule,
        directed=network.directed,
        mean_weight=weight,
        architecture=recipe.architecture(),
        in_channels=x.size(1),
        training=LinkTrainingSummary(
            network=source,
            nodes=network.num_nodes,
            edges={"train": split.train.shape[1], "valid": split.valid.shape[1], "test": split.test.shape[1]},
            missing={"valid": split.valid_missing.shape[1], "test": split.test_missing.shape[1]},
            seed=recipe.seed,
        ),
        metrics=_nested(metrics),
        versions=library_versions(NETWORK_PACKAGES),
        weights_sha256="",
    )
    write_link_card(folder, description)
    description = save_network_model(folder, trained.network, description)
    shutil.rmtree(folder / STATE)
    model = LinkModel(trained.network, description)
    return TrainedLinkModel(folder, model, metrics, [*rule.notes, *notes], trained.epochs, trained.seconds)


def _scores(
    model: LinkAttentionNetwork,
    known: Network,
    rule: AttributeRule,
    weight: float | None,
    edges: NDArray[np.int64],
    missing: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    """The scores of edges, then of pairs without one, of the network and of each heuristic, from a known graph."""
    pairs = np.concatenate([edges, missing], axis=1)
    size = known.num_nodes + known.edge_index.shape[1] + pairs.shape[1]
    with torch.inference_mode(), one_thread_if_small(size):
        z = model.encode(*network_tensors(known, rule, weight))
        scores = model.score(z, torch.from_numpy(pairs)).double().numpy()
    return {NETWORK: scores, **link_heuristics(known, pairs)}


def _metrics_table(part: str, scores: dict[str, NDArray[np.float64]], num_edges: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"split": part, "scores of": name, "edges": num_edges, **link_metrics(found[:num_edges], found[num_edges:])}
        for name, found in scores.items()
    )


def _nested(metrics: pd.DataFrame) -> LinkMetrics:
    found: LinkMetrics = {}
    for row in metrics.to_dict("records"):
        values = {str(key): value for key, value in row.items() if key not in ("split", "scores of", "edges")}
        found.setdefault(row["split"], {})[row["scores of"]] = {
            key: None if math.isnan(value) else value for key, value in values.items()
        }
    return found


def _write_tables(folder: Path, network: Network, split: LinkSplit, test_scores: NDArray[np.float64]) -> None:
    ids = np.array(network.ids, dtype=object)

    def table(pairs: NDArray[np.int64], part: str, is_edge: int) -> pd.DataFrame:
        source, target = pairs
        return pd.DataFrame({"source": ids[source], "target": ids[target], "split": part, "edge": is_edge})

    test = pd.concat([table(split.test, "test", 1), table(split.test_missing, "test", 0)], ignore_index=True)
    others = (table(split.train, "train", 1), table(split.valid, "valid", 1), table(split.valid_missing, "valid", 0))
    write_table(pd.concat([*others, test]), folder / "split.csv")
    write_table(test.drop(columns="split").assign(score=test_scores), folder / "test_predictions.csv")
