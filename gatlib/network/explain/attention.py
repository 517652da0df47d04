"""The attention weights that a node gives its neighbours, layer by layer."""

from typing import Any

from torch import Tensor, nn

from gatlib.models import NodeAttentionNetwork
from gatlib.nn import GATConv, GATv2Conv, TransformerConv


def attention_weights(
    network: NodeAttentionNetwork, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, node: int
) -> tuple[Tensor, list[Tensor]]:
    r"""The weights :math:`\alpha_{ij}` of the edges into a node, as each layer of the network applies them.

    They are those of its equation (GAT: Veličković et al., ICLR 2018; GATv2: Brody et al., ICLR 2022; UniMP: Shi et
    al., IJCAI 2021). In each layer and head they are not negative and sum to one, the weight of the node for itself
    included where the network adds self-loops. They say how a layer mixes its input; that a weight is high does not
    mean that the prediction hangs on it (Jain and Wallace, NAACL 2019): see :mod:`gatlib.network.explain.occlusion`.

    Args:
        network: in evaluation mode.
        x: node features.
        edge_index: the graph.
        edge_attr: edge features, if the network takes them.
        node: the node :math:`i`.

    Returns:
        the nodes :math:`j`, and for each layer their weights; no layers where the network has no attention.

    Shapes:
        - **x:** ``[N, F]``, **edge_index:** ``[2, E]``, **edge_attr:** ``[E, D]``
        - **output:** ``[m]``, and ``[m, heads]`` for each layer
    """
    candidates = [*(layer.conv for layer in network.layers), network.readout]
    convs = [conv for conv in candidates if isinstance(conv, GATConv | GATv2Conv | TransformerConv)]
    if not convs:
        return edge_index.new_zeros(0), []
    inputs: list[tuple[Any, ...]] = []

    def keep(_: nn.Module, given: tuple[Any, ...]) -> None:
        inputs.append(given)

    hooks = [conv.register_forward_pre_hook(keep) for conv in convs]
    try:
        network(x, edge_index, edge_attr)
    finally:
        for hook in hooks:
            hook.remove()
    weights = []
    for conv, given in zip(convs, inputs, strict=True):
        _, (edges, alpha) = conv(*given, return_attention_weights=True)
        into = edges[1] == node
        weights.append(alpha[into])
    return edges[0, into], weights
