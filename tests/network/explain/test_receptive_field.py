"""A node's part of a graph: the output is that of the whole graph, and nothing larger is taken."""

import numpy as np
import pytest
import torch

from gatlib.models import NodeArchitecture
from gatlib.network.explain.first_maps import behind_first_maps
from gatlib.network.explain.receptive_field import receptive_field
from tests.network.explain.small_networks import CLASSES, KINDS, graph_of, input_of, network_of

PATH = np.array([[0, 1, 1, 2, 2, 3, 3, 4], [1, 0, 2, 1, 3, 2, 4, 3]])  # 0 - 1 - 2 - 3 - 4


@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_part_of_a_graph_gives_the_output_of_the_whole(kind: str, directed: bool) -> None:
    network = network_of(kind)
    edges, nodes = graph_of(seed=3, directed=directed)
    x, edge_index, attr = input_of(network, edges, nodes)
    behind, first_maps = behind_first_maps(network, CLASSES)
    with torch.inference_mode():
        whole = network(x, edge_index, attr)
        for node in (0, 7, 20, nodes - 1):
            part = receptive_field(edges, nodes, node, network.settings)
            inputs = x[part.nodes] @ torch.from_numpy(first_maps).T
            found = behind(inputs, torch.from_numpy(part.edge_index), None if attr is None else attr[part.edges])
            torch.testing.assert_close(found[0], whole[node], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_path_is_taken_as_far_as_there_are_layers(layers: int) -> None:
    part = receptive_field(PATH, 5, 0, NodeArchitecture(num_layers=layers))
    assert part.nodes.tolist() == list(range(layers + 1))
    assert part.hops.tolist() == list(range(layers + 1))
    # The outermost hears nobody.
    assert sorted(part.edge_index.T.tolist()) == sorted(
        edge for edge in PATH.T.tolist() if edge[1] < layers and edge[0] <= layers
    )
    assert np.array_equal(part.nodes[part.edge_index], PATH[:, part.edges])


def test_a_gcn_needs_the_degrees_of_the_outermost() -> None:
    part = receptive_field(PATH, 5, 0, NodeArchitecture(num_layers=2, conv="gcn"))
    assert part.nodes.tolist() == [0, 1, 2, 3]
    assert [3, 2] in part.edge_index.T.tolist()


def test_edges_are_followed_against_their_direction() -> None:
    # 0 -> 1 -> 2 and 2 -> 3: what 2 depends on is 1 and 0.
    part = receptive_field(np.array([[0, 1, 2], [1, 2, 3]]), 4, 2, NodeArchitecture(num_layers=2))
    assert part.nodes.tolist() == [2, 1, 0]


def test_global_attention_takes_all_nodes_and_those_without_a_path_last() -> None:
    edges = np.array([[2, 3], [3, 2]])
    part = receptive_field(edges, 5, 3, NodeArchitecture(global_attention=True))
    assert part.nodes.tolist() == [3, 2, 0, 1, 4]
    assert part.hops.tolist() == [0, 1, -1, -1, -1]


def test_an_isolated_node_is_a_part_of_its_own() -> None:
    part = receptive_field(np.zeros((2, 0), dtype=np.int64), 3, 1, NodeArchitecture())
    assert (part.nodes.tolist(), part.edge_index.shape) == ([1], (2, 0))
