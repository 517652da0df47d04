"""Neighbourhoods: whole ones are PyG's, drawn ones are parts of them, and any part is as likely as any other."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.utils import k_hop_subgraph

from gatlib.nn.neighbours import Neighbourhood, NeighbourSampler

few = settings(max_examples=40, deadline=None, derandomize=True)
Graph = tuple[int, list[tuple[int, int]], list[int]]  # number of nodes, edges, nodes asked for
graphs = st.integers(1, 12).flatmap(
    lambda num_nodes: st.tuples(
        st.just(num_nodes),
        st.lists(st.tuples(*[st.integers(0, num_nodes - 1)] * 2), max_size=40),
        st.lists(st.integers(0, num_nodes - 1), min_size=1, unique=True),
    )
)


def edges_of(pairs: list[tuple[int, int]]) -> torch.Tensor:
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t().contiguous()


def check_order(around: Neighbourhood) -> None:
    """Nodes step by step, and each edge to a node of the steps that it is counted with."""
    assert around.num_nodes[-1] == len(around.nodes) == len(set(around.nodes.tolist()))
    assert around.num_edges[-1] == len(around.edges)
    for step, (first, last) in enumerate(pairwise([0, *around.num_edges])):
        sources, targets = around.edge_index[:, first:last]
        fewest = around.num_nodes[step - 1] if step else 0
        assert all(fewest <= target < around.num_nodes[step] for target in targets)
        assert all(source < around.num_nodes[step + 1] for source in sources)


@few
@given(graphs, st.integers(1, 3))
def test_a_whole_neighbourhood_is_that_of_pyg(graph: Graph, steps: int) -> None:
    num_nodes, pairs, seeds = graph
    edge_index = edges_of(pairs)
    around = NeighbourSampler(edge_index, num_nodes).sample(np.array(seeds), steps)
    check_order(around)
    assert around.nodes[: len(seeds)].tolist() == seeds
    assert torch.equal(around.nodes[around.edge_index], edge_index[:, around.edges])
    reached = k_hop_subgraph(seeds, steps, edge_index, num_nodes=num_nodes)[0]
    assert sorted(around.nodes.tolist()) == reached.tolist()
    # All edges to the nodes that are not the last to be reached, each once.
    inner = set(around.nodes[: around.num_nodes[-2]].tolist())
    assert sorted(around.edges.tolist()) == [number for number, pair in enumerate(pairs) if pair[1] in inner]


@few
@given(graphs, st.integers(1, 4), st.integers(0, 9))
def test_what_is_drawn_are_edges_of_the_graph(graph: Graph, at_most: int, seed: int) -> None:
    num_nodes, pairs, seeds = graph
    edge_index = edges_of(pairs)
    sampler = NeighbourSampler(edge_index, num_nodes)
    around, again = (sampler.sample(np.array(seeds), 2, at_most, np.random.default_rng(seed)) for _ in range(2))
    check_order(around)
    assert torch.equal(around.nodes[around.edge_index], edge_index[:, around.edges])
    assert len(set(around.edges.tolist())) == len(around.edges)
    degree = edge_index[1].bincount(minlength=num_nodes)
    inner = around.nodes[: around.num_nodes[1]]
    drawn = around.edge_index[1].bincount(minlength=len(inner))[: len(inner)]
    assert torch.equal(drawn, degree[inner].clamp(max=at_most))
    assert all(torch.equal(one, other) for one, other in zip(around[:3], again[:3], strict=True))


def test_any_neighbours_are_as_likely_as_any_others() -> None:
    # Five neighbours, of which three are drawn: ten ways.
    sampler = NeighbourSampler(edges_of([(leaf, 0) for leaf in range(1, 6)]), 6)
    random, draws = np.random.default_rng(0), 5000
    counts = dict.fromkeys(combinations(range(5), 3), 0)
    for _ in range(draws):
        edges = sampler.sample(np.array([0]), 1, 3, random).edges
        counts[tuple(sorted(edges.tolist()))] += 1
    expected = draws / len(counts)
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 21.7  # of 9 degrees of freedom, 0.99


def test_edges_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="edge_index"):
        NeighbourSampler(edges_of([(0, 3)]), 3)
