"""The part of a network that the output of one node depends on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlib.models import NodeArchitecture


@dataclass(frozen=True)
class ReceptiveField:
    """A part of a graph; the node itself is its node 0."""

    nodes: NDArray[np.int64]  # [n], numbers in the whole graph, by hops
    hops: NDArray[np.int64]  # [n], steps along the edges to node 0; -1 where no path leads there
    edge_index: NDArray[np.int64]  # [2, e], numbers in the part
    edges: NDArray[np.int64]  # [e], numbers in the whole graph


def receptive_field(
    edge_index: NDArray[np.int64], num_nodes: int, node: int, architecture: NodeArchitecture
) -> ReceptiveField:
    """The part of a graph for which a network gives a node the same output as for the whole graph.

    These are the nodes within as many steps, against the direction of the edges, as there are layers, and the edges
    into all but the outermost of them. ``gcn`` divides by the degrees of both ends, so it needs the edges into the
    outermost too; with global attention every node sees all others. Normalisation is no reason for more: in
    evaluation mode it is by numbers of the training.

    Shapes:
        - **edge_index:** ``[2, E]``
    """
    source, target = edge_index
    steps = num_nodes if architecture.global_attention else architecture.num_layers + (architecture.conv == "gcn")
    hops = np.full(num_nodes, -1, dtype=np.int64)
    hops[node] = 0
    for step in range(1, steps + 1):
        found = source[hops[target] == step - 1]
        found = found[hops[found] < 0]
        if not len(found):
            break
        hops[found] = step
    if architecture.global_attention:
        edges = np.arange(edge_index.shape[1])
        members = np.arange(num_nodes)
    else:
        edges = np.flatnonzero((hops[target] >= 0) & (hops[target] < steps))
        members = np.flatnonzero(hops >= 0)
    # Those that no path leads from come last.
    nodes = members[np.argsort(np.where(hops[members] < 0, num_nodes, hops[members]), kind="stable")]
    place = np.empty(num_nodes, dtype=np.int64)
    place[nodes] = np.arange(len(nodes))
    return ReceptiveField(nodes, hops[nodes], place[edge_index[:, edges]], edges)
