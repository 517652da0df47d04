"""PyG's tools that look inside a layer or rebuild it work on ours as on its own."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.explain.algorithm import AttentionExplainer

import gatlib.nn

LAYERS = ("GATConv", "GATv2Conv", "TransformerConv")
EDGES = torch.tensor([[0, 0, 1, 1, 4, 3, 2, 3], [0, 1, 2, 2, 2, 0, 3, 1]])


class Net(torch.nn.Module):
    def __init__(self, conv: torch.nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.conv(x, edge_index)


def pair(name: str, *args: Any, **options: Any) -> list[Net]:
    """PyG's layer and ours, made from the same seed."""
    nets = []
    for library in (pyg, gatlib.nn):
        torch.manual_seed(12)
        nets.append(Net(getattr(library, name)(*args, heads=2, **options)))
    return nets


@pytest.mark.parametrize("algorithm", [AttentionExplainer, lambda: GNNExplainer(epochs=3)], ids=["attention", "GNN"])
@pytest.mark.parametrize("name", LAYERS)
def test_explainers_say_the_same(name: str, algorithm: Callable[[], Any]) -> None:
    x, masks = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), []
    for net in pair(name, 3, 4):
        explainer = Explainer(
            net,
            algorithm(),
            explanation_type="model",
            edge_mask_type="object",
            model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
        )
        torch.manual_seed(0)
        masks.append(explainer(x, EDGES).edge_mask)
    torch.testing.assert_close(masks[1], masks[0])
    assert masks[0].any()


@pytest.mark.parametrize("name", LAYERS)
def test_to_hetero_and_deepcopy(name: str) -> None:
    metadata = (["a", "b"], [("a", "to", "b"), ("b", "back", "a")])
    options = {} if name == "TransformerConv" else {"add_self_loops": False}
    generator = torch.Generator().manual_seed(1)
    x = {"a": torch.randn(5, 3, generator=generator), "b": torch.randn(4, 3, generator=generator)}
    edges = {metadata[1][0]: EDGES, metadata[1][1]: EDGES.flip(0)}
    outputs = []
    for net in pair(name, (3, 3), 4, **options):
        torch.manual_seed(1)
        outputs.append(copy.deepcopy(pyg.to_hetero(net, metadata))(x, edges))
    for node_type in metadata[0]:
        torch.testing.assert_close(outputs[1][node_type], outputs[0][node_type])
