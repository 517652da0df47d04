"""Laws that every encoding of the nodes obeys, whatever the graphs."""

import pytest
import torch
from hypothesis import given, settings
from small_graphs import Batch, batches, edges, many_sizes, separately
from torch import Tensor

from gatlib.nn.encodings.degree import DegreeEncoding
from gatlib.nn.encodings.graph_blocks import dense_blocks, graph_pointers, large_graphs
from gatlib.nn.encodings.laplacian import SignInvariantEncoding, heat_kernel_encoding, laplacian_encoding
from gatlib.nn.encodings.random_walk import random_walk_encoding

TIMES = (0.1, 1.0, 10.0)


def degrees(edge_index: Tensor, batch: Tensor | None, num_nodes: int) -> Tensor:
    torch.manual_seed(0)
    return DegreeEncoding(4, 5)(edge_index, num_nodes=num_nodes)


def sign_invariant(edge_index: Tensor, batch: Tensor | None, num_nodes: int) -> Tensor:
    """Of vectors that are numbered as the nodes are, whatever the basis of an eigenvector."""
    torch.manual_seed(0)
    encoding = SignInvariantEncoding(3, 4)
    return encoding(random_walk_encoding(edge_index, 3, batch, num_nodes=num_nodes) - 0.5, edge_index)


ENCODINGS = {
    "random walk": lambda edge_index, batch, n: random_walk_encoding(edge_index, 9, batch, num_nodes=n),
    "heat kernel": lambda edge_index, batch, n: heat_kernel_encoding(edge_index, TIMES, batch, num_nodes=n),
    "degree": degrees,
    "sign invariant": sign_invariant,
}
every_encoding = pytest.mark.parametrize("name", ENCODINGS)
few = settings(max_examples=25, deadline=None, derandomize=True)
close = {"rtol": 0, "atol": 1e-6}


def check_permutation(name: str, graphs: Batch) -> None:
    """Nodes change places within their graph."""
    generator = torch.Generator().manual_seed(0)
    old_of_new = torch.cat([torch.randperm(size, generator=generator) for size in graphs.sizes])
    first = torch.tensor(graphs.sizes).cumsum(0) - torch.tensor(graphs.sizes)
    old_of_new += first[graphs.batch]
    edge_index = old_of_new.argsort()[graphs.edge_index]
    edge_index = edge_index[:, torch.randperm(edge_index.size(1), generator=generator)]
    found = ENCODINGS[name](edge_index, graphs.batch, graphs.num_nodes)
    expected = ENCODINGS[name](graphs.edge_index, graphs.batch, graphs.num_nodes)
    torch.testing.assert_close(found, expected[old_of_new], **close)


def check_batching(name: str, graphs: Batch) -> None:
    together = ENCODINGS[name](graphs.edge_index, graphs.batch, graphs.num_nodes)
    alone = [ENCODINGS[name](edge_index, None, size) for edge_index, size in separately(graphs)]
    torch.testing.assert_close(together, torch.cat(alone), **close)


@every_encoding
@few
@given(graphs=batches())
def test_renumbered_nodes_give_renumbered_encodings(name: str, graphs: Batch) -> None:
    check_permutation(name, graphs)


@every_encoding
@few
@given(graphs=batches())
def test_batching_changes_nothing(name: str, graphs: Batch) -> None:
    check_batching(name, graphs)


@every_encoding
def test_laws_hold_up_to_500_nodes(name: str) -> None:
    check_permutation(name, many_sizes())
    check_batching(name, many_sizes())


def check_spaces(found: Tensor, expected: Tensor, values: Tensor) -> None:
    """All eigenvectors of a graph but the first span the same space for each eigenvalue, whatever its basis."""
    there_are = max(0, len(found) - 1)
    assert not found[:, there_are:].any()
    values = values[:there_are]
    lowest = len(found) - values.sum()  # the eigenvalue of the first: the matrix has ones on its diagonal
    for value in values:
        if (value - lowest).abs() > 1e-3:  # else one vector of its space is left out
            vectors = (part[:, :there_are][:, (values - value).abs() < 1e-3] for part in (found, expected))
            torch.testing.assert_close(*(own @ own.t() for own in vectors), rtol=0, atol=1e-5)


@few
@given(graphs=batches())
def test_laplacian_eigenvalues_and_spaces_obey_them_too(graphs: Batch) -> None:
    vectors, values = laplacian_encoding(graphs.edge_index, 6, graphs.batch, num_nodes=graphs.num_nodes)
    first = 0
    for i, (edge_index, size) in enumerate(separately(graphs)):
        alone, its_values = laplacian_encoding(edge_index, 6, num_nodes=size)
        torch.testing.assert_close(values[i], its_values[0], **close)
        check_spaces(vectors[first : first + size], alone, its_values[0])
        new_of_old = torch.arange(size).flip(0)
        torch.testing.assert_close(
            laplacian_encoding(new_of_old[edge_index], 6, num_nodes=size)[1][0], values[i], **close
        )
        first += size


@pytest.mark.parametrize("max_nodes", [0, 2, 7, 1000])
@pytest.mark.parametrize("block_entries", [1, 100, 2**20])
def test_every_graph_is_in_one_block_or_large(
    max_nodes: int, block_entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatlib.nn.encodings.graph_blocks.BLOCK_ENTRIES", block_entries)
    graphs = many_sizes()
    ptr = graph_pointers(graphs.edge_index, graphs.batch, graphs.num_nodes)
    expected = torch.zeros(graphs.num_nodes, graphs.num_nodes).index_put(
        tuple(graphs.edge_index), torch.ones(graphs.edge_index.size(1)), accumulate=True
    )
    seen = []
    for block in dense_blocks(graphs.edge_index, ptr, max_nodes, torch.float32):
        assert block.adjacency.numel() <= max(block_entries, block.nodes.size(1) ** 2)
        for graph, nodes, adjacency in zip(*block, strict=True):
            assert nodes.numel() <= max_nodes
            assert torch.equal(adjacency, expected[nodes][:, nodes])
            assert (graphs.batch[nodes] == graph).all()
            seen.append(nodes)
    for large in large_graphs(graphs.edge_index, ptr, max_nodes):
        assert large.num_nodes > max_nodes
        nodes = torch.arange(large.nodes.start, large.nodes.stop)
        assert (graphs.batch[nodes] == large.graph).all()
        matrix = torch.zeros(len(nodes), len(nodes))
        matrix[tuple(large.edge_index)] = 1
        assert torch.equal(matrix, expected[nodes][:, nodes])
        seen.append(nodes)
    assert torch.equal(torch.cat(seen).sort().values, torch.arange(graphs.num_nodes))


spectral_and_walk = pytest.mark.parametrize(
    "encode",
    [
        lambda *graph, **nodes: random_walk_encoding(graph[0], 3, *graph[1:], **nodes),
        lambda *graph, **nodes: laplacian_encoding(graph[0], 3, *graph[1:], **nodes)[0],
        lambda *graph, **nodes: heat_kernel_encoding(graph[0], TIMES, *graph[1:], **nodes),
    ],
    ids=["random walk", "laplacian", "heat kernel"],
)


@spectral_and_walk
def test_without_nodes(encode) -> None:
    assert encode(edges(), num_nodes=0).shape == (0, 3)
    assert encode(edges(), torch.empty(0, dtype=torch.long), num_nodes=0).shape == (0, 3)


@spectral_and_walk
def test_bad_graphs_are_refused(encode) -> None:
    with pytest.raises(ValueError, match=r"edge_index must hold target nodes from 0 to 1 in row 1; found 2 to 2"):
        encode(edges((0, 2)), num_nodes=2)
    with pytest.raises(
        ValueError, match=r"edge_index must be int64 of shape \[2, E\]; found float32 of shape \[2, 1\]"
    ):
        encode(edges((0, 1)).float(), num_nodes=2)
    with pytest.raises(ValueError, match=r"edge_index must be int64 of shape \[2, E\]; found None"):
        encode(None, num_nodes=2)
    with pytest.raises(ValueError, match="found edge 1 from graph 0 to graph 1"):
        encode(edges((0, 1), (1, 2)), torch.tensor([0, 0, 1]), num_nodes=3)
    with pytest.raises(ValueError, match="batch must be sorted"):
        encode(edges((0, 1)), torch.tensor([1, 1, 0]), num_nodes=3)
    with pytest.raises(ValueError, match=r"batch must be int64 of shape \[3\]"):
        encode(edges((0, 1)), torch.tensor([0, 0]), num_nodes=3)
    with pytest.raises(ValueError, match="num_nodes must be 0 or more; found -1"):
        encode(edges(), num_nodes=-1)
