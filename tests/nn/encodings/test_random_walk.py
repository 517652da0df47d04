"""The random walk encoding against PyG's, and answers worked by hand."""

import pytest
import torch
from hypothesis import given, settings
from small_graphs import Batch, batches, both_ways, edges, many_sizes, random_edges, separately
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import AddRandomWalkPE

from gatlib.nn.encodings import random_walk
from gatlib.nn.encodings.random_walk import random_walk_encoding

few = settings(max_examples=25, deadline=None, derandomize=True)
close = {"rtol": 0, "atol": 1e-6}


def of_pyg(graphs: Batch, num_steps: int) -> Tensor:
    transform = AddRandomWalkPE(num_steps)
    found = [transform(Data(edge_index=graph, num_nodes=size)).random_walk_pe for graph, size in separately(graphs)]
    return torch.cat(found)


@pytest.mark.parametrize("num_steps", [1, 2, 5, 20])
def test_same_as_pyg(num_steps: int) -> None:
    graphs = many_sizes()
    found = random_walk_encoding(graphs.edge_index, num_steps, graphs.batch, num_nodes=graphs.num_nodes)
    torch.testing.assert_close(found, of_pyg(graphs, num_steps), **close)


@few
@given(graphs=batches())
def test_same_as_pyg_with_directed_edges_and_self_loops(graphs: Batch) -> None:
    graphs = graphs._replace(edge_index=graphs.edge_index.unique(dim=1))
    found = random_walk_encoding(graphs.edge_index, 7, graphs.batch, num_nodes=graphs.num_nodes)
    torch.testing.assert_close(found, of_pyg(graphs, 7), **close)


def test_parallel_edges_each_count() -> None:
    # From 0, two of three ways lead to 1, from where there is only the way back; 2 is a dead end.
    edge_index = edges((0, 1), (0, 1), (0, 2), (1, 0))
    found = random_walk_encoding(edge_index, 4, num_nodes=3)
    torch.testing.assert_close(found, torch.tensor([[0, 2 / 3, 0, 4 / 9], [0, 2 / 3, 0, 4 / 9], [0, 0, 0, 0]]), **close)


def test_star_by_hand() -> None:
    # The centre is back after every two steps, a leaf then with probability 1/3.
    found = random_walk_encoding(both_ways((0, 1), (0, 2), (0, 3)), 4, num_nodes=4)
    third = 1 / 3
    torch.testing.assert_close(found, torch.tensor([[0.0, 1, 0, 1]] + 3 * [[0, third, 0, third]]), **close)


@pytest.mark.parametrize("vector_entries", [1, 100, 2**22])
@few
@given(graphs=batches())
def test_large_graphs_are_no_different(vector_entries: int, graphs: Batch) -> None:
    arguments = graphs.edge_index, 6, graphs.batch
    expected = random_walk_encoding(*arguments, num_nodes=graphs.num_nodes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_walk, "MAX_DENSE_NODES", 2)
        patch.setattr("gatlib.nn.encodings.graph_blocks.VECTOR_ENTRIES", vector_entries)
        torch.testing.assert_close(random_walk_encoding(*arguments, num_nodes=graphs.num_nodes), expected, **close)


def test_graph_beyond_the_dense_limit() -> None:
    edge_index = random_edges(600, 1500)
    found = random_walk_encoding(edge_index, 5, num_nodes=600)
    expected = AddRandomWalkPE(5)(Data(edge_index=edge_index, num_nodes=600)).random_walk_pe
    torch.testing.assert_close(found, expected, **close)


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="num_steps must be 1 or more; found 0"):
        random_walk_encoding(edges(), 0, num_nodes=1)
