"""A score for each pair: of both directions alike or not, whatever the blocks, and whatever the order of the nodes."""

import pytest
import torch
from torch import Tensor

from gatlib.models import LinkAttentionNetwork, NodeArchitecture, link_attention_network

SETTINGS = NodeArchitecture(hidden_channels=8, heads=2, dropout=0.0)


@pytest.fixture
def graph() -> tuple[Tensor, Tensor, Tensor]:
    """x, edge_index and pairs of a random graph."""
    torch.manual_seed(0)
    return torch.randn(12, 5), torch.randint(12, (2, 40)), torch.randint(12, (2, 30))


@pytest.mark.parametrize("directed", [False, True])
def test_only_directed_pairs_differ_from_their_reverse(directed: bool, graph: tuple[Tensor, Tensor, Tensor]) -> None:
    x, edge_index, pairs = graph
    network = LinkAttentionNetwork(SETTINGS, 5, directed).eval()
    there, back = network(x, edge_index, pairs), network(x, edge_index, pairs.flip(0))
    assert there.shape == (30,)
    assert torch.equal(there, back) != directed


def test_blocks_and_the_order_of_nodes_change_nothing(
    graph: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, edge_index, pairs = graph
    network = LinkAttentionNetwork(SETTINGS, 5)
    whole = network(x, edge_index, pairs)
    monkeypatch.setattr(link_attention_network, "_BLOCK", 7)
    torch.testing.assert_close(network.eval()(x, edge_index, pairs), whole)
    order = torch.randperm(12)
    place = order.argsort()
    torch.testing.assert_close(network(x[order], place[edge_index], place[pairs]), whole)
    assert network(x, edge_index, pairs[:, :0]).shape == (0,)
