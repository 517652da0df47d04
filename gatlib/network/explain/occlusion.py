"""What a neighbour matters: the prediction again, without its edges."""

import torch
from torch import Tensor

from gatlib.models import NodeAttentionNetwork
from gatlib.threads import one_thread_if_small

_AT_ONCE = 400_000  # nodes and edges of the graphs that are computed together


def logits_without(
    network: NodeAttentionNetwork,
    x: Tensor,
    edge_index: Tensor,
    edge_attr: Tensor | None,
    hops: Tensor,
    neighbours: Tensor,
) -> Tensor:
    r"""The outputs for node 0 of a graph, for each neighbour without its edges.

    Leaving out a part of the input and looking at the output is occlusion (Zeiler and Fergus, ECCV 2014); of the edges
    of a graph, it is the removal-based explanation of Covert et al. (JMLR 2021). It is exact: each row is what the
    network says of the graph in which those edges do not exist. Of a neighbour at one hop these are the edges between
    it and node 0, in both directions; of one farther away, all its edges. The features of the nodes stay as they are.

    Graphs without different edges are computed as the parts of one, as many as are small together; with global
    attention, which would see across, one after the other.

    Args:
        network: in evaluation mode.
        x: node features.
        edge_index: the graph.
        edge_attr: edge features, if the network takes them.
        hops: steps from each node to node 0.
        neighbours: the nodes to do without, each alone.

    Shapes:
        - **x:** ``[n, F]``, **edge_index:** ``[2, e]``, **edge_attr:** ``[e, D]``, **hops:** ``[n]``
        - **neighbours:** ``[k]``
        - **output:** ``[k, C]``
    """
    num_nodes, size = x.size(0), x.size(0) + edge_index.size(1)
    together = 1 if network.settings.global_attention else max(1, _AT_ONCE // size)
    rows = []
    for some in neighbours.split(together):
        kept = ~_edges_of(some, hops, edge_index)
        shift = torch.arange(len(some)).unsqueeze(1) * num_nodes
        graphs = torch.stack([(ends + shift)[kept] for ends in edge_index])
        attr = None if edge_attr is None else edge_attr.expand(len(some), -1, -1)[kept]
        with one_thread_if_small(len(some) * size):
            rows.append(network(x.repeat(len(some), 1), graphs, attr)[::num_nodes])
    return torch.cat(rows)


def _edges_of(neighbours: Tensor, hops: Tensor, edge_index: Tensor) -> Tensor:
    """Which edges each neighbour loses, ``[k, e]``."""
    source, target = edge_index
    node = neighbours.unsqueeze(1)
    to_or_from_it = (source == node) | (target == node)
    between = to_or_from_it & ((source == 0) | (target == 0))
    return torch.where(hops[node] == 1, between, to_or_from_it)
