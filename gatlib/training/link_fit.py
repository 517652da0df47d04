"""Train a network on one big graph: a score for any two of its nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch

from gatlib.models import LinkAttentionNetwork
from gatlib.network.encoding import AttributeRule
from gatlib.network.link_split import LinkSplit, with_edges
from gatlib.network.network import Network
from gatlib.network.node_pairs import PairNumbers
from gatlib.network.tensors import edge_tensors, network_tensors
from gatlib.threads import one_thread_if_small
from gatlib.training.graph_fit import fit_graph
from gatlib.training.link_module import KnownGraph, LinkTrainingModule, random_parts
from gatlib.training.link_recipe import LinkRecipe


@dataclass(frozen=True)
class TrainedLinks:
    """What :func:`train_links` gives back."""

    network: LinkAttentionNetwork  # in evaluation mode
    valid_score: float  # ROC-AUC of the best epoch
    epochs: int
    seconds: float


def train_links(
    network: Network,
    split: LinkSplit,
    rule: AttributeRule,
    mean_weight: float | None,
    recipe: LinkRecipe,
    folder: Path,
    callbacks: Sequence[lightning.Callback] = (),
) -> TrainedLinks:
    """Train on train, with the weights of the best epoch on valid in the end; test is not looked at.

    Neither the edges of valid and test nor the pairs without an edge that they are compared with are seen in training,
    and features of the structure are those of the graph that pairs are scored from. A run that stopped goes on as
    :func:`gatlib.training.graph_fit.fit_graph` tells.

    Args:
        network: the whole graph.
        split: its edges.
        rule: how attributes become numbers, learned from the graph of the training edges.
        mean_weight: of the training edges; None to leave weights aside.
        recipe: the settings.
        folder: where to write ``training_log.csv`` and the state of the run.
        callbacks: to be called after every epoch too, such as a progress bar.

    Raises:
        InputError: the training diverged.
    """
    whole = KnownGraph(*network_tensors(with_edges(network, split.train), rule, mean_weight))
    part_of = random_parts(split.train.shape[1], recipe.edge_parts, recipe.seed)
    others = []
    for part in range(part_of.max() + 1):
        rest = with_edges(network, split.train[:, part_of != part])
        if rule.structure is None:
            graph = KnownGraph(whole.x, *edge_tensors(rest, mean_weight))
        else:
            graph = KnownGraph(*network_tensors(rest, rule, mean_weight))
        others.append(graph)
    torch.manual_seed(recipe.seed)
    model = LinkAttentionNetwork(recipe.architecture(), whole.x.size(1), network.directed)
    numbers = PairNumbers(network.num_nodes, network.directed)
    module = LinkTrainingModule(model, recipe, split, part_of, others, whole, numbers)
    with one_thread_if_small(whole.x.size(0) + whole.edge_index.size(1)):
        fitted = fit_graph(module, folder, callbacks)
    return TrainedLinks(model, fitted.valid_score, fitted.epochs, fitted.seconds)
