"""Networks of every kind with random weights, and graphs for them."""

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from gatlib.models import NodeArchitecture, NodeAttentionNetwork

FEATURES, CLASSES = 5, 3
KINDS: dict[str, dict[str, object]] = {
    "gatv2": {},
    "gat, batch norm": {"conv": "gat", "norm": "batch"},
    "gat that puts out the classes": {"conv": "gat", "output_heads": 2, "norm": "none", "activation": "elu"},
    "a lone layer": {"conv": "gat", "output_heads": 2, "num_layers": 1},
    "transformer, weights": {"conv": "transformer", "edge_features": 1},
    "gatv2, weights, feed-forward": {"edge_features": 1, "feed_forward": 2, "jumping_knowledge": True},
    "no self-loops": {"self_loops": False, "residual": True},
    "gcn": {"conv": "gcn"},
    "gcn that puts out the classes": {"conv": "gcn", "output_heads": 1, "residual": False},
    "mlp": {"conv": "mlp"},
    "global attention": {"global_attention": True},
}


def network_of(kind: str, seed: int = 0) -> NodeAttentionNetwork:
    """Two layers of 8 channels and 2 heads, in evaluation mode; statistics of normalisation are random too."""
    settings = NodeArchitecture.model_validate({"hidden_channels": 8, "heads": 2, **KINDS[kind]})
    network = NodeAttentionNetwork(settings, FEATURES, CLASSES)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5)
            if name.endswith("running_var"):
                tensor.abs_().add_(0.1)
    return network.eval()


def graph_of(seed: int = 0, nodes: int = 40, directed: bool = False) -> tuple[np.ndarray, int]:
    """Edges sorted by source, and the number of nodes; one is isolated."""
    graph = nx.gnp_random_graph(nodes - 1, 3 / nodes, seed=seed, directed=directed)
    edges = np.array(sorted(graph.edges if directed else graph.to_directed().edges), dtype=np.int64)
    return edges.T.reshape(2, -1).copy(), nodes


def input_of(network: NodeAttentionNetwork, edges: np.ndarray, nodes: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Random features, and weights where the network takes them."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(nodes, FEATURES, generator=generator)
    width = network.settings.edge_features
    attr = torch.rand(edges.shape[1], width, generator=generator) if width else None
    return x, torch.from_numpy(edges), attr
