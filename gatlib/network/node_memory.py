"""What a network over a whole graph takes, and the way to go where that is not there.

The figures were measured on graphs of 100,000 to 500,000 nodes, see experiments/speed/LOG.md.
"""

import torch
from torch import Tensor, nn

from gatlib.models import NodeArchitecture, NodeAttentionNetwork
from gatlib.models.node_inference import layer_by_layer
from gatlib.network import memory
from gatlib.threads import one_thread_if_small

# Self-loops are added to a copy of the edges, and the kernels keep the edges sorted in two orders.
_BYTES_PER_EDGE = 32


def over_whole_graph(network: nn.Module, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
    """``network(x, edge_index, edge_attr)`` without gradients, layer by layer if it would take half of free memory.

    Args:
        network: in evaluation mode; one that is no :class:`~gatlib.models.NodeAttentionNetwork` is called as it is.
        x, edge_index, edge_attr: as the network takes them.
    """
    if isinstance(network, NodeAttentionNetwork):
        needed = forward_bytes(network.settings, x.size(0), edge_index.size(1))
        if needed > free_memory_on(x.device.type) / 2:
            return layer_by_layer(network, x, edge_index, edge_attr)
    with one_thread_if_small(x.size(0) + edge_index.size(1)):
        return network(x, edge_index, edge_attr)


def forward_bytes(settings: NodeArchitecture, num_nodes: int, num_edges: int) -> int:
    """What the layers take at most in one pass without gradients over the whole graph, beside the graph."""
    vectors = 6 + 2 * settings.feed_forward + 5 * settings.global_attention
    vectors += settings.num_layers * settings.jumping_knowledge
    return num_nodes * vectors * 4 * settings.hidden_channels + num_edges * bytes_per_edge(settings)


def bytes_per_edge(settings: NodeArchitecture) -> int:
    """What a layer takes for each edge, beside the edge."""
    # PyG's convolution makes messages.
    return _BYTES_PER_EDGE + (8 * settings.hidden_channels if settings.conv == "gcn" else 0)


def free_memory_on(device: str) -> int:
    """Bytes that are free where a network runs, ``cpu`` or ``cuda``."""
    return torch.cuda.mem_get_info()[0] if device == "cuda" else memory.free_memory()
