import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatlib.nn.edge_set import adjacent_edges

edges_of_graphs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(edges_of_graphs)
def test_adjacent_edges(edges: list[tuple[int, int]]) -> None:
    edge_index = torch.tensor(edges, dtype=torch.long).view(-1, 2).t()
    numbers = range(len(edges))
    expected = [(e, f) for f in numbers for e in numbers if set(edges[e]) & set(edges[f])]
    assert list(zip(*adjacent_edges(edge_index, num_nodes=6).tolist(), strict=True)) == expected


@pytest.mark.parametrize("edges", [[[0], [3]], [[-1], [0]]])
def test_edges_out_of_range_are_refused(edges: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="edge_index must hold nodes from 0 to 2"):
        adjacent_edges(torch.tensor(edges), num_nodes=3)
