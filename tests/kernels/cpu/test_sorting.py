"""Sorted edges: stable by target, consistent by source, and never a node that there is not."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatlib.kernels.cpu.sorting import SortedGraph, sort_edges

few = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Tensor, int, int]:
    num_sources, num_targets = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    edges = []
    if num_sources > 0 and num_targets > 0:
        node = st.tuples(st.integers(0, num_sources - 1), st.integers(0, num_targets - 1))
        edges = draw(st.lists(node, max_size=20))
    return torch.tensor(edges, dtype=torch.long).view(-1, 2).t(), num_sources, num_targets


def random_graph(num_sources: int = 9, num_targets: int = 7, num_edges: int = 60) -> tuple[Tensor, int, int]:
    generator = torch.Generator().manual_seed(5)
    ends = [torch.randint(nodes, (num_edges,), generator=generator) for nodes in (num_sources, num_targets)]
    return torch.stack(ends), num_sources, num_targets


def by_lists(edge_index: Tensor, num_sources: int, num_targets: int, loops: bool) -> list[list[tuple[int, int]]]:
    """The (source, edge) of each target in the order of the edges; added self-loops come last."""
    into: list[list[tuple[int, int]]] = [[] for _ in range(num_targets)]
    edges = edge_index.t().tolist()
    for number, (j, i) in enumerate(edges):
        if not loops or i != j:
            into[i].append((j, number))
    for i in range(min(num_sources, num_targets) if loops else 0):
        into[i].append((i, len(edges) + i))
    return into


def assert_sorted(graph: SortedGraph, into: list[list[tuple[int, int]]], num_sources: int, num_edges: int) -> None:
    rowptr, col, edge, colptr, row, slot = (tensor.tolist() for tensor in graph.adjacency)
    spans = list(pairwise(rowptr))
    assert rowptr[0] == 0
    assert [list(zip(col[a:b], edge[a:b], strict=True)) for a, b in spans] == into
    assert len(col) == len(edge) == len(row) == len(slot) == rowptr[-1] == colptr[-1]
    # By source, stable again: the slots of each source rise.
    assert colptr[0] == 0
    by_source = [slot[a:b] for a, b in pairwise(colptr)]
    assert by_source == [[t for t, source in enumerate(col) if source == j] for j in range(num_sources)]
    target_of = [i for i, (a, b) in enumerate(spans) for _ in range(a, b)]
    assert row == [target_of[t] for t in slot]
    assert graph.max_degree == max((len(edges) for edges in into), default=0)
    assert graph.num_edges == num_edges


def check(edge_index: Tensor, num_sources: int, num_targets: int, loops: bool) -> None:
    graph = sort_edges(edge_index, num_sources, num_targets, loops)
    num_edges = edge_index.size(1) + (min(num_sources, num_targets) if loops else 0)
    assert_sorted(graph, by_lists(edge_index, num_sources, num_targets, loops), num_sources, num_edges)


@few
@given(graph=graphs(), loops=st.booleans())
def test_any_graph(graph: tuple[Tensor, int, int], loops: bool) -> None:
    check(*graph, loops)


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("sizes", [(9, 7), (7, 9), (8, 8)])
def test_random_graph(sizes: tuple[int, int], loops: bool) -> None:
    check(*random_graph(*sizes), loops)


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("sizes", [(0, 0), (0, 3), (3, 0), (2, 3)])
def test_no_edges(sizes: tuple[int, int], loops: bool) -> None:
    check(torch.empty(2, 0, dtype=torch.long), *sizes, loops)


def test_kinds_of_numbers() -> None:
    adjacency = sort_edges(*random_graph(), False).adjacency
    small, large = torch.int32, torch.int64
    assert [tensor.dtype for tensor in adjacency] == [large, small, small, large, small, small]


@pytest.mark.parametrize(
    "laid_out",
    [
        lambda edges: edges.t().contiguous().t(),
        lambda edges: edges.repeat_interleave(2, dim=1)[:, ::2],
        lambda edges: edges.flip(0).flip(0),
        lambda edges: torch.cat([edges, edges])[:2],
    ],
    ids=["[E, 2].t()", "every other column", "flipped twice", "rows of a longer tensor"],
)
def test_memory_layout_does_not_matter(laid_out: object) -> None:
    edge_index, *sizes = random_graph()
    found, expected = (sort_edges(edges, *sizes, True) for edges in (laid_out(edge_index), edge_index))
    for a, b in zip(found.adjacency, expected.adjacency, strict=True):
        assert torch.equal(a, b)


def test_caller_memory_is_not_kept() -> None:
    edge_index, num_sources, num_targets = random_graph()
    graph, before = sort_edges(edge_index, num_sources, num_targets, False), edge_index.clone()
    edge_index.fill_(-1)
    into = by_lists(before, num_sources, num_targets, False)
    assert_sorted(graph, into, num_sources, before.size(1))


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("bad", [-1, -(2**40), 2**31 + 1, 2**40, "first too large"])
@pytest.mark.parametrize(("row", "name", "num_nodes"), [(0, "source", 9), (1, "target", 7)])
def test_nodes_that_are_not_there(row: int, name: str, num_nodes: int, bad: int | str, loops: bool) -> None:
    edge_index, num_sources, num_targets = random_graph()
    edge_index[row, -1] = num_nodes if isinstance(bad, str) else bad
    with pytest.raises(ValueError, match=f"edge_index must hold {name} nodes from 0 to {num_nodes - 1} in row {row}"):
        sort_edges(edge_index, num_sources, num_targets, loops)
    if loops:  # a self-loop that would be left out is looked at too
        with pytest.raises(ValueError, match="edge_index must hold source nodes"):
            sort_edges(torch.full((2, 1), 99), num_sources, num_targets, loops)
