"""Made-up circles of friends to learn, and the model that learns them in a second."""

from pathlib import Path

import networkx as nx
import numpy as np

from gatlib.network.formats import from_networkx
from gatlib.network.sources import LabelledNetwork
from gatlib.training.network_train import TrainedNetworkModel, network_recipe, split_labelled, train_network_model

TINY: dict[str, object] = {"max_epochs": 12, "seed": 1}


def friends(nodes: int = 60, seed: int = 0, weights: bool = True) -> nx.Graph:
    """Two circles of friends, each with an age and a town; one in six has no label; friendships have weights."""
    graph = nx.planted_partition_graph(2, nodes // 2, 0.25, 0.03, seed=seed)
    random = np.random.default_rng(seed)
    for node in graph:
        circle = int(node >= nodes // 2)
        label = "" if node % 6 == 0 else ("dancers", "chess players")[circle]
        town = ("Bonn", "Ulm")[int(random.random() < 0.3 + 0.4 * circle)]
        graph.nodes[node].clear()  # networkx leaves the circle there
        graph.nodes[node].update(age=float(random.normal(30 + 10 * circle, 8)), town=town, circle=label)
    for edge in graph.edges if weights else ():
        graph.edges[edge]["weight"] = float(random.integers(1, 6))
    return nx.relabel_nodes(graph, {node: f"person {node}" for node in graph})


def labelled(graph: nx.Graph) -> LabelledNetwork:
    network, labels = from_networkx(graph, "circle")
    assert labels is not None
    return LabelledNetwork(network, labels, "circle", None, "friends")


def train_on(friends: LabelledNetwork, folder: Path, **changes: object) -> TrainedNetworkModel:
    recipe = network_recipe(None, {**TINY, **changes})
    split, _ = split_labelled(friends, recipe)
    return train_network_model(
        friends.network, friends.labels, split, recipe, folder, "friends", friends.target, friends.source
    )
