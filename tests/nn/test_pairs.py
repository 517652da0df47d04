from collections.abc import Callable

import networkx as nx
import pytest
import torch
from batches_of_graphs import batch_of, random_edges
from hypothesis import given, settings
from hypothesis import strategies as st

from gatlib.kernels import cpu
from gatlib.kernels.sorted_edges import sorted_edges
from gatlib.nn.batches import pointers
from gatlib.nn.pairs import (
    all_pairs,
    pairs_of_edges,
    pairs_within,
    shortest_path_distances,
)

few = settings(max_examples=40, deadline=None, derandomize=True)
sizes_of_graphs = st.lists(st.integers(0, 6), max_size=5)


@few
@given(sizes_of_graphs)
def test_all_pairs(sizes: list[int]) -> None:
    batch = batch_of(sizes)
    expected = [(j, i) for i in range(len(batch)) for j in range(len(batch)) if batch[i] == batch[j]]
    assert list(zip(*all_pairs(batch, len(batch)).tolist(), strict=True)) == expected


def test_all_pairs_of_one_graph() -> None:
    assert all_pairs(None, 2).tolist() == [[0, 1, 0, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("sizes", [[], [0], [1], [3, 0, 5, 1, 3], [70, 80]], ids=str)
def test_pairs_come_sorted(sizes: list[int]) -> None:
    """What is remembered of them is what sorting would find."""
    batch = batch_of(sizes)
    pairs = all_pairs(batch, len(batch))
    remembered = sorted_edges(cpu, pairs, len(batch), len(batch), False)
    found = cpu.sort_edges(pairs, len(batch), len(batch), False)
    for a, b in zip(remembered.adjacency, found.adjacency, strict=True):
        assert torch.equal(a, b)
    assert remembered[2:] == found[2:]


def test_the_same_batch_gives_the_same_pairs() -> None:
    batch = batch_of([3, 2])
    pairs = all_pairs(batch, 5)
    assert all_pairs(batch, 5) is pairs
    batch[2] = 1
    assert all_pairs(batch, 5).size(1) == 4 + 9


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    num_nodes = draw(st.integers(0, 8))
    nodes = st.integers(0, max(num_nodes - 1, 0))
    return num_nodes, draw(st.lists(st.tuples(nodes, nodes), max_size=16)) if num_nodes > 0 else []


def distances(num_nodes: int, edges: list[tuple[int, int]]) -> dict[tuple[int, int], int]:
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(num_nodes))
    return {(j, i): steps for j, reached in nx.all_pairs_shortest_path_length(graph) for i, steps in reached.items()}


def edge_index_of(edges: list[tuple[int, int]]) -> torch.Tensor:
    return torch.tensor(edges, dtype=torch.long).view(-1, 2).t()


@few
@given(graphs(), st.integers(0, 9))
def test_pairs_within(graph: tuple[int, list[tuple[int, int]]], num_hops: int) -> None:
    num_nodes, edges = graph
    pairs, steps = pairs_within(edge_index_of(edges), num_hops, num_nodes=num_nodes)
    found = dict(zip(zip(*pairs.tolist(), strict=True), steps.tolist(), strict=True))
    assert found == {pair: n for pair, n in distances(*graph).items() if n <= num_hops}
    assert len(found) == pairs.size(1)
    assert pairs[1].tolist() == sorted(pairs[1].tolist())


@few
@given(graphs())
def test_shortest_path_distances(graph: tuple[int, list[tuple[int, int]]]) -> None:
    num_nodes, edges = graph
    steps = shortest_path_distances(edge_index_of(edges), None, num_nodes)
    expected = distances(*graph)
    found = dict(zip(zip(*all_pairs(None, num_nodes).tolist(), strict=True), steps.tolist(), strict=True))
    assert found == {pair: expected.get(pair, -1) for pair in found}


def test_distances_in_a_batch() -> None:
    #   0 -> 1 -> 2    3    4 <-> 5
    edge_index, batch = torch.tensor([[0, 1, 4, 5], [1, 2, 5, 4]]), torch.tensor([0, 0, 0, 1, 3, 3])
    found = shortest_path_distances(edge_index, batch, 6)
    assert found.tolist() == [0, -1, -1, 1, 0, -1, 2, 1, 0, 0, 0, 1, 1, 0]


@pytest.mark.parametrize("sizes", [[3, 0, 5, 1], [4]], ids=str)
def test_pairs_of_edges(sizes: list[int]) -> None:
    batch, edge_index = batch_of(sizes), random_edges(sizes)
    positions = pairs_of_edges(edge_index, batch, len(batch))
    assert torch.equal(all_pairs(batch, len(batch))[:, positions], edge_index)
    if len(sizes) == 1:
        assert torch.equal(pairs_of_edges(edge_index, None, len(batch)), positions)


@pytest.mark.parametrize("function", [shortest_path_distances, pairs_of_edges])
def test_edges_between_graphs_are_refused(function: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="found edge 1 from graph 0 to graph 1"):
        function(torch.tensor([[0, 0], [1, 2]]), torch.tensor([0, 0, 1]), 3)


@pytest.mark.parametrize("edges", [[[0], [3]], [[-1], [0]]])
def test_edges_out_of_range_are_refused(edges: list[list[int]]) -> None:
    edge_index = torch.tensor(edges)
    with pytest.raises(ValueError, match="edge_index must hold"):
        pairs_within(edge_index, 2, num_nodes=3)
    for batch in (None, torch.zeros(3, dtype=torch.long)):
        with pytest.raises(ValueError, match="edge_index must hold"):
            shortest_path_distances(edge_index, batch, 3)


def test_a_negative_number_of_hops_is_refused() -> None:
    with pytest.raises(ValueError, match="num_hops must be 0 or more; found -1"):
        pairs_within(torch.tensor([[0], [1]]), -1, num_nodes=2)


@few
@given(sizes_of_graphs)
def test_pointers(sizes: list[int]) -> None:
    batch = batch_of(sizes)
    while sizes and sizes[-1] == 0:  # of graphs after the last node, a batch knows nothing
        sizes = sizes[:-1]
    assert pointers(batch, len(batch)).tolist() == [sum(sizes[:i]) for i in range(len(sizes) + 1)]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.tensor([0, 1, 0]), "found graph 0 after graph 1 at node 2"),
        (torch.tensor([-1, 0, 0]), "found -1"),
        (torch.tensor([0, 0]), r"shape \[3\].* found int64 of shape \[2\]"),
        (torch.zeros(3), "found float32"),
        (torch.zeros(3, 1, dtype=torch.long), r"of shape \[3, 1\]"),
    ],
    ids=["not sorted", "negative", "too short", "float", "matrix"],
)
def test_batches_that_are_none_are_refused(batch: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"batch must .*{message}"):
        pointers(batch, 3)
