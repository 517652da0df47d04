"""The spectral encodings against plain linear algebra and PyG, and answers worked by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from small_graphs import Batch, batches, both_ways, edges, many_sizes, random_edges, separately, undirected
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE
from torch_geometric.utils import degree, get_laplacian, to_dense_adj

from gatlib.nn.encodings import laplacian
from gatlib.nn.encodings.laplacian import (
    SignInvariantEncoding,
    flip_signs,
    heat_kernel_encoding,
    laplacian_encoding,
)

few = settings(max_examples=25, deadline=None, derandomize=True)
close = {"rtol": 0, "atol": 1e-6}
TIMES = (0.0, 0.3, 2.0, 40.0)


def laplacian_of_pyg(edge_index: Tensor, num_nodes: int) -> Tensor:
    edge_index, weight = get_laplacian(edge_index, normalization="sym", dtype=torch.float64, num_nodes=num_nodes)
    dense = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    return dense.index_put(tuple(edge_index), weight, accumulate=True)


def check_eigenvectors(graphs: Batch, matrices: list[Tensor], num_vectors: int) -> None:
    """Orthonormal solutions of L u = λ u, the smallest first, all that there are."""
    vectors, values = laplacian_encoding(graphs.edge_index, num_vectors, graphs.batch, num_nodes=graphs.num_nodes)
    assert vectors.shape == (graphs.num_nodes, num_vectors)
    assert values.shape == (len(graphs.sizes), num_vectors)
    for own, own_values, matrix in zip(vectors.double().split(graphs.sizes), values.double(), matrices, strict=True):
        there_are = max(0, min(num_vectors, len(matrix) - 1))
        assert not own[:, there_are:].any()
        assert not own_values[there_are:].any()
        own, own_values = own[:, :there_are], own_values[:there_are]
        expected = torch.linalg.eigvalsh(matrix)[1 : there_are + 1]
        torch.testing.assert_close(own_values, expected, **close)
        torch.testing.assert_close(matrix @ own, own * own_values, **close)
        torch.testing.assert_close(own.t() @ own, torch.eye(there_are, dtype=torch.float64), **close)


def test_eigenvectors_up_to_500_nodes() -> None:
    graphs = many_sizes()
    check_eigenvectors(graphs, [laplacian_of_pyg(*graph) for graph in separately(graphs)], num_vectors=8)


@few
@given(graphs=batches())
def test_eigenvectors_with_self_loops_and_parallel_edges(graphs: Batch) -> None:
    doubled = torch.cat([graphs.edge_index, graphs.edge_index.flip(0)], dim=1)
    graphs = graphs._replace(edge_index=doubled)
    check_eigenvectors(graphs, [laplacian_of_pyg(*graph) for graph in separately(graphs)], num_vectors=4)


@few
@given(graphs=batches())
def test_an_edge_counts_in_both_directions(graphs: Batch) -> None:
    doubled = torch.cat([graphs.edge_index, graphs.edge_index.flip(0)], dim=1)
    _, values = laplacian_encoding(graphs.edge_index, 4, graphs.batch, num_nodes=graphs.num_nodes)
    _, expected = laplacian_encoding(doubled, 4, graphs.batch, num_nodes=graphs.num_nodes)
    torch.testing.assert_close(values, expected, **close)
    heat = heat_kernel_encoding(graphs.edge_index, TIMES, graphs.batch, num_nodes=graphs.num_nodes)
    torch.testing.assert_close(heat, heat_kernel_encoding(doubled, TIMES, graphs.batch, num_nodes=graphs.num_nodes))


def test_same_as_pyg_up_to_signs() -> None:
    edge_index = random_edges(40, 70)  # no eigenvalue twice
    data = Data(edge_index=edge_index, num_nodes=40)
    expected = AddLaplacianEigenvectorPE(6, is_undirected=True)(data).laplacian_eigenvector_pe.float()
    found, _ = laplacian_encoding(edge_index, 6, num_nodes=40)
    torch.testing.assert_close(found.abs(), expected.abs(), rtol=0, atol=1e-5)  # PyG's is of float32
    torch.testing.assert_close((found * expected).sum(0).abs(), torch.ones(6), rtol=0, atol=1e-5)


def test_path_by_hand() -> None:
    # L of a path of three has the eigenvalues 0, 1, 2: (1, √2, 1)/2, (1, 0, -1)/√2 and (1, -√2, 1)/2.
    vectors, values = laplacian_encoding(both_ways((0, 1), (1, 2)), 3, num_nodes=3)
    torch.testing.assert_close(values, torch.tensor([[1.0, 2.0, 0.0]]), **close)
    root = math.sqrt(0.5)
    expected = torch.tensor([[root, 0.5, 0], [0, -root, 0], [-root, 0.5, 0]])
    torch.testing.assert_close(vectors * vectors[0].sign(), expected, **close)


def test_heat_by_hand() -> None:
    # Two nodes: eigenvalues 0 and 2, each vector half on each node. A node alone keeps its heat, with a self-loop too.
    found = heat_kernel_encoding(both_ways((0, 1), (2, 2)), TIMES, num_nodes=4)
    times = torch.tensor(TIMES)
    pair = (1 + (-2 * times).exp()) / 2
    torch.testing.assert_close(found, torch.stack([pair, pair, times**0, times**0]), **close)


@few
@given(graphs=batches())
def test_heat_is_the_exponential_of_the_matrix(graphs: Batch) -> None:
    graphs = undirected(graphs)
    found = heat_kernel_encoding(graphs.edge_index, TIMES, graphs.batch, num_nodes=graphs.num_nodes)
    for own, (edge_index, size) in zip(found.split(graphs.sizes), separately(graphs), strict=True):
        for column, time in enumerate(TIMES):
            expected = torch.linalg.matrix_exp(-time * laplacian_of_pyg(edge_index, size)).diagonal().float()
            neighbours = degree(edge_index[0][edge_index[0] != edge_index[1]], size)
            expected = expected.where(neighbours > 0, 1)  # PyG's matrix has a one there
            torch.testing.assert_close(own[:, column], expected, **close)


@pytest.mark.parametrize("vector_entries", [1, 100, 2**22])
@few
@given(graphs=batches())
def test_large_graphs_are_no_different(vector_entries: int, graphs: Batch) -> None:
    times = (*TIMES, 1000.0)
    with pytest.MonkeyPatch.context() as patch:
        expected = heat_kernel_encoding(graphs.edge_index, times, graphs.batch, num_nodes=graphs.num_nodes)
        _, values = laplacian_encoding(graphs.edge_index, 3, graphs.batch, num_nodes=graphs.num_nodes)
        patch.setattr(laplacian, "MAX_DENSE_NODES", 2)
        patch.setattr("gatlib.nn.encodings.graph_blocks.VECTOR_ENTRIES", vector_entries)
        heat = heat_kernel_encoding(graphs.edge_index, times, graphs.batch, num_nodes=graphs.num_nodes)
        torch.testing.assert_close(heat, expected, **close)
        _, found = laplacian_encoding(graphs.edge_index, 3, graphs.batch, num_nodes=graphs.num_nodes)
        torch.testing.assert_close(found, values, **close)


def test_lanczos_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laplacian, "MAX_DENSE_NODES", 100)
    graphs = many_sizes()  # 130 and 500 are beyond that
    check_eigenvectors(graphs, [laplacian_of_pyg(*graph) for graph in separately(graphs)], num_vectors=5)
    again = [laplacian_encoding(graphs.edge_index, 5, graphs.batch, num_nodes=graphs.num_nodes) for _ in range(2)]
    assert torch.equal(again[0][0], again[1][0])


def test_lanczos_finds_an_eigenvalue_as_often_as_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laplacian, "MAX_DENSE_NODES", 100)
    ring = both_ways(*((i, (i + 1) % 50) for i in range(50)))
    _, values = laplacian_encoding(torch.cat([ring, ring + 50, ring + 100], dim=1), 8, num_nodes=150)
    first = 1 - math.cos(2 * math.pi / 50)
    torch.testing.assert_close(values[0], torch.tensor([0.0, 0.0, *6 * [first]]), **close)


def test_repeated_eigenvalues_do_not_disturb_the_heat_kernel() -> None:
    # All eigenvalues of a complete graph but the first are equal; every node is in the same place.
    complete = edges(*((i, j) for i in range(6) for j in range(6) if i != j))
    found = heat_kernel_encoding(complete, TIMES, num_nodes=6)
    expected = (1 + 5 * np.exp(-1.2 * np.array(TIMES))) / 6
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32).expand(6, -1), **close)
    assert (to_dense_adj(complete)[0].sum(0) == 5).all()


def test_flipped_signs_are_one_for_each_graph_and_vector() -> None:
    torch.manual_seed(0)
    batch = torch.arange(200).repeat_interleave(3)
    batch = batch[batch != 7]  # a graph without nodes
    flipped = flip_signs(torch.ones(len(batch), 2, dtype=torch.float64), batch)
    assert flipped.dtype == torch.float64
    assert set(flipped.unique().tolist()) == {-1.0, 1.0}
    by_graph = flipped.view(-1, 3, 2)
    assert (by_graph == by_graph[:, :1]).all()
    assert not torch.equal(by_graph[..., 0], by_graph[..., 1])
    assert 0.35 < (by_graph[:, 0] > 0).double().mean() < 0.65
    alone = flip_signs(torch.ones(5, 40))
    assert (alone == alone[0]).all()
    assert alone.unique().numel() == 2


@few
@given(graphs=batches())
def test_sign_invariant_to_the_last_bit(graphs: Batch) -> None:
    torch.manual_seed(0)
    encoding = SignInvariantEncoding(4, 8)
    vectors, _ = laplacian_encoding(graphs.edge_index, 4, graphs.batch, num_nodes=graphs.num_nodes)
    expected = encoding(vectors, graphs.edge_index)
    assert expected.shape == (graphs.num_nodes, 8)
    assert torch.equal(encoding(vectors * torch.tensor([-1.0, 1, -1, 1]), graphs.edge_index), expected)
    assert torch.equal(encoding(-vectors, graphs.edge_index), expected)


def test_which_nodes_are_on_the_same_side_is_seen() -> None:
    torch.manual_seed(0)
    encoding = SignInvariantEncoding(1, 8)
    path = both_ways((0, 1), (1, 2))
    together, apart = torch.tensor([[1.0], [1], [-1]]), torch.tensor([[1.0], [-1], [1]])
    assert not torch.allclose(encoding(together, path), encoding(apart, path), atol=1e-4)


def test_gradients_of_sign_invariant_encoding() -> None:
    torch.manual_seed(0)
    encoding = SignInvariantEncoding(2, 3).double()
    vectors = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    edge_index = both_ways((0, 1), (1, 2))
    assert torch.autograd.gradcheck(lambda vectors: encoding(vectors, edge_index), [vectors])
    encoding(vectors, edge_index).sum().backward()
    assert all(parameter.grad is not None for parameter in encoding.parameters())


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="num_vectors must be 1 or more; found 0"):
        laplacian_encoding(edges(), 0, num_nodes=1)
    for times in ((), (1.0, -1.0), (float("nan"),), (float("inf"),)):
        with pytest.raises(ValueError, match="times must be one or more finite numbers, none negative"):
            heat_kernel_encoding(edges(), times, num_nodes=1)
    with pytest.raises(ValueError, match=r"eigenvectors must have shape \[N, 3\]; found \[5, 2\]"):
        SignInvariantEncoding(3, 4)(torch.ones(5, 2), edges())
    with pytest.raises(ValueError, match=r"batch must be int64 of shape \[5\]"):
        flip_signs(torch.ones(5, 2), torch.zeros(4, dtype=torch.long))
