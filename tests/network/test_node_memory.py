"""A graph that is too big for the memory at hand."""

import pytest
import torch

from gatlib.models import NodeArchitecture, NodeAttentionNetwork
from gatlib.network import memory, node_memory
from gatlib.network.node_memory import forward_bytes, over_whole_graph

NODES, EDGES = 50, 200


def a_network(**settings: object) -> NodeAttentionNetwork:
    torch.manual_seed(0)
    return NodeAttentionNetwork(NodeArchitecture.model_validate({"hidden_channels": 16, **settings}), 5, 3).eval()


def test_with_little_memory_the_answer_is_the_same_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = []
    by_layer = node_memory.layer_by_layer
    monkeypatch.setattr(node_memory, "layer_by_layer", lambda *inputs: ways.append("layers") or by_layer(*inputs))
    x, edge_index = torch.randn(NODES, 5), torch.randint(NODES, (2, EDGES))
    network = a_network(jumping_knowledge=True)
    with torch.inference_mode():
        whole = over_whole_graph(network, x, edge_index, None)
        assert torch.equal(whole, network(x, edge_index))
        assert ways == []
        needed = forward_bytes(network.settings, NODES, EDGES)
        monkeypatch.setattr(memory, "free_memory", lambda: 2 * needed - 2)
        torch.testing.assert_close(over_whole_graph(network, x, edge_index, None), whole, rtol=0, atol=1e-5)
        assert ways == ["layers"]
