"""Neighbours taken away: answers worked by hand, and the graph without the edges given to the network itself."""

import numpy as np
import pytest
import torch

from gatlib.models import NodeArchitecture, NodeAttentionNetwork
from gatlib.network.explain import occlusion
from gatlib.network.explain.occlusion import logits_without
from gatlib.network.explain.receptive_field import receptive_field
from tests.network.explain.small_networks import KINDS, graph_of, input_of, network_of


def mean_network() -> NodeAttentionNetwork:
    """A GAT of one layer that puts out the mean of the features of a node and its neighbours."""
    settings = NodeArchitecture(conv="gat", num_layers=1, output_heads=1)
    network = NodeAttentionNetwork(settings, 2, 2)
    for tensor in network.state_dict().values():
        tensor.zero_()  # attention too: it is the same for all
    network.readout.lin.weight.data.copy_(torch.eye(2))
    return network.eval()


def test_a_star_worked_by_hand() -> None:
    # 1, 2 and 3 round 0; (0 + 3 + 6 + 9) / 4 and (4 + 0 + 0 + 8) / 4.
    x = torch.tensor([[0.0, 4.0], [3.0, 0.0], [6.0, 0.0], [9.0, 8.0]])
    edges = torch.tensor([[0, 1, 0, 2, 0, 3], [1, 0, 2, 0, 3, 0]])
    network, hops = mean_network(), torch.tensor([0, 1, 1, 1])
    torch.testing.assert_close(network(x, edges)[0], torch.tensor([4.5, 3.0]))
    without = logits_without(network, x, edges, None, hops, torch.tensor([3, 1]))
    torch.testing.assert_close(without, torch.tensor([[(0 + 3 + 6) / 3, 4 / 3], [(0 + 6 + 9) / 3, 12 / 3]]))


def test_a_direct_neighbour_keeps_its_other_edges_and_a_farther_one_loses_all() -> None:
    # 0 - 1 - 2 - 0 and 1 - 3 - 4.
    pairs = [(0, 1), (1, 2), (0, 2), (1, 3), (3, 4)]
    edges = torch.tensor([pair for a, b in pairs for pair in ((a, b), (b, a))]).T
    lost = occlusion._edges_of(torch.tensor([1, 3]), torch.tensor([0, 1, 1, 2, 3]), edges)
    gone = [{tuple(edge) for edge in edges[:, row].T.tolist()} for row in lost]
    assert gone == [{(0, 1), (1, 0)}, {(1, 3), (3, 1), (3, 4), (4, 3)}]


@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_the_network_says_of_the_graph_without_the_edges(
    kind: str, directed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(kind)
    edges, nodes = graph_of(seed=5, directed=directed)
    x, edge_index, attr = input_of(network, edges, nodes)
    node = int(np.bincount(edges[1], minlength=nodes).argmax())
    part = receptive_field(edges, nodes, node, network.settings)
    neighbours = np.flatnonzero((part.hops > 0) & (part.hops <= network.settings.num_layers))
    assert set(part.hops[neighbours]) == set(range(1, network.settings.num_layers + 1))
    arguments = (
        network,
        x[part.nodes],
        torch.from_numpy(part.edge_index),
        None if attr is None else attr[part.edges],
        torch.from_numpy(part.hops),
        torch.from_numpy(neighbours),
    )
    with torch.inference_mode():
        found = logits_without(*arguments)
        for row, place in enumerate(neighbours):
            other = int(part.nodes[place])
            touches = (edges == other).any(axis=0)
            if part.hops[place] == 1:
                touches &= (edges == node).any(axis=0)
            expected = network(x, edge_index[:, ~touches], None if attr is None else attr[~touches])[node]
            torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-5)
        monkeypatch.setattr(occlusion, "_AT_ONCE", 3 * (len(part.nodes) + part.edge_index.shape[1]))
        torch.testing.assert_close(logits_without(*arguments), found, atol=1e-5, rtol=1e-5)


def test_nobody_is_taken_away_from_a_node_without_neighbours() -> None:
    network, nobody = mean_network(), torch.zeros(0, dtype=torch.int64)
    edges = torch.zeros(2, 0, dtype=torch.int64)
    assert logits_without(network, torch.ones(1, 2), edges, None, torch.tensor([0]), nobody).shape == (0, 2)
