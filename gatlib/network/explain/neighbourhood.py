"""The part of an explanation that fits into a picture: which nodes, where they lie, what they look like."""

import math
from dataclasses import dataclass

import networkx as nx
import numpy as np

from gatlib.network.explain.explanation import Neighbour, NodeExplanation
from gatlib.network.network import Network, counted

MOST_NODES = 40
#: Of the classes, by their place among those of the model (matplotlib's tab20, the strong colours first).
COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
    "#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#c49c94", "#f7b6d2", "#c7c7c7", "#dbdb8d", "#9edae5",
)  # fmt: skip
_NEXT_RING = 0.8  # from one ring to the next, when the first has radius 1


@dataclass(frozen=True)
class Neighbourhood:
    """The explained node with its most important neighbours."""

    graph: nx.Graph  # of node ids; directed where the network is
    shown: dict[str, Neighbour]  # in the order of their places round the node, without it
    position: dict[str, tuple[float, float]]  # the explained node at (0, 0), one ring for each hop
    left_out: int  # nodes within reach that are not shown


def neighbourhood(explanation: NodeExplanation, network: Network) -> Neighbourhood:
    """The most important neighbours of a node, each with a path to it, on rings round it.

    Each node has a place of its own round the circle, beside the one that leads to the middle, so that names, written
    outwards, lie between other nodes and not over them.

    Args:
        explanation: of the node.
        network: the graph that it was made from.
    """
    listed = {neighbour.node: neighbour for neighbour in explanation.neighbours}
    graph = _edges_among([explanation.node, *listed], network)
    hops = {explanation.node: 0} | {node: neighbour.hops for node, neighbour in listed.items()}
    rank = {node: place for place, node in enumerate(hops)}
    parent: dict[str, str] = {}  # the most important one that leads to the middle
    for node in listed:
        nearer = [other for other in graph.successors(node) if hops[other] == hops[node] - 1]
        if nearer:
            parent[node] = min(nearer, key=rank.__getitem__)
    chosen: dict[str, None] = {}
    for node in listed:
        path = [node]
        while path[-1] in parent and parent[path[-1]] != explanation.node:
            path.append(parent[path[-1]])
        new = [each for each in path if each not in chosen]
        if path[-1] in parent and len(chosen) + len(new) < MOST_NODES:
            chosen.update(dict.fromkeys(new))
    order = _round_the_node(explanation.node, chosen, parent, listed)
    drawn = graph.subgraph([explanation.node, *order])
    return Neighbourhood(
        graph=drawn.copy() if network.directed else drawn.to_undirected(),
        shown={node: listed[node] for node in order},
        position={explanation.node: (0.0, 0.0)} | _places(order, hops),
        left_out=explanation.num_within_reach - len(order),
    )


def legend_classes(explanation: NodeExplanation, shown: Neighbourhood) -> list[str]:
    """The classes that a picture needs colours for, in the order of the model."""
    found = {explanation.prediction, explanation.known} | {
        name for neighbour in shown.shown.values() for name in (neighbour.prediction, neighbour.known)
    }
    return [name for name in explanation.probabilities if name in found]


def line_weights(explanation: NodeExplanation, shown: Neighbourhood) -> dict[str, float]:
    """How wide the line from each direct neighbour to the node is, 0 to 1: its attention, else its importance."""
    found = {
        name: abs(neighbour.importance or 0.0) if neighbour.mean_attention is None else neighbour.mean_attention
        for name, neighbour in shown.shown.items()
        if neighbour.hops == 1
    }
    return relative(found)


def sizes(shown: Neighbourhood) -> dict[str, float]:
    """How large each neighbour is drawn, 0 to 1."""
    return relative({name: abs(neighbour.importance or 0.0) for name, neighbour in shown.shown.items()})


def relative(values: dict[str, float]) -> dict[str, float]:
    """Values as shares of the highest."""
    highest = max(values.values(), default=0.0) or 1.0
    return {name: value / highest for name, value in values.items()}


def captions(shown: Neighbourhood) -> list[str]:
    """What sizes mean, and how many nodes are left out."""
    if not shown.shown:
        return ["no neighbours"]
    left_out = [f"{counted(shown.left_out, 'further node')} left out"] if shown.left_out else []
    return ["size: importance of the neighbour", *left_out]


def has_rings(explanation: NodeExplanation, shown: Neighbourhood) -> bool:
    """Whether a node of the picture is known to be of another class than predicted."""
    pairs = [(neighbour.known, neighbour.prediction) for neighbour in shown.shown.values()]
    return any(known not in (None, found) for known, found in [(explanation.known, explanation.prediction), *pairs])


def colour_of(name: str | None, explanation: NodeExplanation) -> str:
    """The colour of a class; grey of one that the model does not know."""
    classes = list(explanation.probabilities)
    return COLOURS[classes.index(name) % len(COLOURS)] if name in classes else "#bbbbbb"


def short(text: str, most: int = 24) -> str:
    """A text in one line that any font can try, cut to a length."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _edges_among(nodes: list[str], network: Network) -> nx.DiGraph:
    wanted = set(nodes)
    numbers = [number for number, node in enumerate(network.ids) if node in wanted]
    member = np.zeros(network.num_nodes, dtype=bool)
    member[numbers] = True
    source, target = network.edge_index
    kept = member[source] & member[target]
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((network.ids[a], network.ids[b]) for a, b in network.edge_index[:, kept].T.tolist())
    return graph


def _round_the_node(
    centre: str, chosen: dict[str, None], parent: dict[str, str], listed: dict[str, Neighbour]
) -> list[str]:
    """Each node, then those that hang on it; classes side by side."""
    children: dict[str, list[str]] = {}
    for node in sorted(chosen, key=lambda node: listed[node].prediction):
        children.setdefault(parent[node], []).append(node)
    order: list[str] = []
    waiting = children.get(centre, [])[::-1]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += children.get(node, [])[::-1]
    return order


def _places(order: list[str], hops: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Angles in the order given, wider the nearer to the middle."""
    radius = {node: 1 + _NEXT_RING * (hops[node] - 1) for node in order}
    whole = sum(1 / radius[node] for node in order)
    places, passed = {}, 0.0
    for node in order:
        angle = 2 * math.pi * (passed + 0.5 / radius[node]) / whole
        passed += 1 / radius[node]
        places[node] = radius[node] * math.cos(angle), radius[node] * math.sin(angle)
    return places
