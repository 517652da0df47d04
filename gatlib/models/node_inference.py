"""A network over a graph that is too big for it: layer by layer, some of the nodes at a time."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gatlib.models.node_attention_network import NodeAttentionNetwork, NodeLayer, apply_conv, with_self_loops
from gatlib.nn.neighbours import NeighbourSampler
from gatlib.nn.sparse_linear import take_rows

#: Nodes and edges to them at a time.
AT_A_TIME = 1 << 18

# From the vectors of some nodes, edges to the first of them, edge features and how many these are, to vectors of these.
_Step = Callable[[Tensor, Tensor, Tensor | None, int], Tensor]


def layer_by_layer(
    network: NodeAttentionNetwork,
    x: Tensor,
    edge_index: Tensor,
    edge_attr: Tensor | None = None,
    at_a_time: int = AT_A_TIME,
) -> Tensor:
    """What ``network(x, edge_index, edge_attr)`` gives in evaluation mode, in less memory and more time.

    Every layer is applied to all nodes before the next one is, as in the inference of GraphSAGE (Hamilton et al.,
    NeurIPS 2017), but to a part of them at a time, with all neighbours of these. Beside the graph, two vectors for each
    node are held. Global attention and feed-forward networks see all nodes at once. The baselines ``gcn`` and ``mlp``
    are computed as ever.

    Args:
        network: in evaluation mode.
        x, edge_index, edge_attr: as the network takes them.
        at_a_time: nodes, together with the edges to them, of which the vectors are made at a time; a single node with
            more edges is taken by itself.

    Raises:
        InputError: as the network does.
    """
    settings = network.settings
    if settings.conv in ("gcn", "mlp"):
        return network(x, edge_index, edge_attr)
    network.check(x, edge_index, edge_attr)
    sampler = NeighbourSampler(edge_index, x.size(0))

    def over_all_nodes(step: _Step, h: Tensor, width: int) -> Tensor:
        out = torch.empty(h.size(0), width, dtype=h.dtype, device=h.device)
        for first, last in _chunks(sampler.rowptr, at_a_time):
            around = sampler.sample(np.arange(first, last), steps=1).to(x.device)
            edges, attr = around.edge_index, None if edge_attr is None else edge_attr[around.edges]
            if settings.self_loops:
                edges, attr = with_self_loops(edges, attr, last - first)
            out[first:last] = step(take_rows(h, around.nodes), edges, attr, last - first)
        return out

    h, logits = x, None
    weights = _weights_of_layers(network)
    for layer, weight in zip(network.layers, weights, strict=True):
        assert isinstance(layer, NodeLayer)
        h = layer.over_nodes(over_all_nodes(layer.over_edges, h, settings.hidden_channels))
        if weight is not None:  # read now, so that h need not be kept
            logits = F.linear(h, weight) if logits is None else logits.add_(F.linear(h, weight))
    if settings.output_heads:
        return over_all_nodes(partial(apply_conv, network.readout), h, network.num_outputs)
    assert logits is not None
    assert isinstance(network.readout, nn.Linear)
    return logits.add_(network.readout.bias)


def _weights_of_layers(network: NodeAttentionNetwork) -> list[Tensor | None]:
    """What the classes are read off each layer with; None for a layer that they are not read off."""
    if not isinstance(network.readout, nn.Linear):
        return [None] * len(network.layers)
    read = network.readout.weight.split(network.settings.hidden_channels, dim=1)
    return [*[None] * (len(network.layers) - len(read)), *read]


def _chunks(rowptr: NDArray[np.int64], at_a_time: int) -> Iterator[tuple[int, int]]:
    """The first node of each chunk, and the first of the next one."""
    num_nodes = len(rowptr) - 1
    work = rowptr[1:] + np.arange(1, num_nodes + 1)  # of the nodes up to this one
    first = done = 0
    while first < num_nodes:
        last = max(first + 1, int(np.searchsorted(work, done + at_a_time, side="right")))
        yield first, last
        first, done = last, int(work[last - 1])
