"""What the layers say of inputs that do not fit: the argument, what was expected, what was found."""

from typing import Any

import pytest
import torch

from gatlib.nn import GATConv, GATv2Conv, TransformerConv

LAYERS = [GATConv, GATv2Conv, TransformerConv]
EDGES = torch.tensor([[0, 1, 2], [1, 2, 3]])
every_layer = pytest.mark.parametrize("layer", LAYERS)


@every_layer
@pytest.mark.parametrize("num_edges", [2, 4])
def test_edge_attr_of_another_length(layer: Any, num_edges: int) -> None:
    conv = layer(8, 4, edge_dim=3)
    with pytest.raises(ValueError, match=rf"edge_attr must .*3.* found float32 of shape \[{num_edges}, 3\]"):
        conv(torch.randn(5, 8), EDGES, torch.randn(num_edges, 3))


@every_layer
def test_other_channels(layer: Any) -> None:
    with pytest.raises(ValueError, match=r"x must have 8 channels.* found float32 of shape \[5, 7\]"):
        layer(8, 4)(torch.randn(5, 7), EDGES)
    bipartite = layer((8, 6), 4, **({} if layer is TransformerConv else {"add_self_loops": False}))
    with pytest.raises(ValueError, match=r"x must have 6 channels.* found float32 of shape \[5, 8\]"):
        bipartite((torch.randn(5, 8), torch.randn(5, 8)), EDGES)


@every_layer
def test_other_edge_channels(layer: Any) -> None:
    with pytest.raises(ValueError, match=r"edge_attr|edge_weight"):
        layer(8, 4, edge_dim=3)(torch.randn(5, 8), EDGES, torch.randn(3, 2))


STATIC = {
    "several graphs": torch.randn(2, 5, 8),
    "one vector": torch.randn(8),
    "source": (torch.randn(2, 5, 8), torch.randn(5, 8)),
    "target": (torch.randn(5, 8), torch.randn(2, 5, 8)),
}


@every_layer
@pytest.mark.parametrize("x", STATIC.values(), ids=STATIC)
@pytest.mark.parametrize("concat", [True, False])
def test_features_that_are_not_a_vector_for_each_node(layer: Any, x: Any, concat: bool) -> None:
    """As PyG's layers, which assert it, all but `TransformerConv`, whose RuntimeError comes of adding up the result."""
    conv = layer(8 if isinstance(x, torch.Tensor) else (8, 8), 4, heads=2, concat=concat)
    kind = RuntimeError if layer is TransformerConv else AssertionError
    with pytest.raises(kind, match=rf"Static graphs not supported in '{layer.__name__}': x must have shape \[nodes, "):
        conv(x, EDGES)


def test_static_graphs_of_a_layer_without_root() -> None:
    """PyG answers here: the features of the second graph are nodes without edges."""
    with pytest.raises(RuntimeError, match="Static graphs"):
        TransformerConv(8, 4, root_weight=False)(STATIC["several graphs"], EDGES)
