"""Graphs that the tests of the encodings share."""

from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor


class Batch(NamedTuple):
    edge_index: Tensor
    batch: Tensor
    sizes: list[int]

    @property
    def num_nodes(self) -> int:
        return sum(self.sizes)


def edges(*pairs: tuple[int, int]) -> Tensor:
    return torch.tensor(pairs, dtype=torch.long).view(-1, 2).t()


def both_ways(*pairs: tuple[int, int]) -> Tensor:
    return edges(*pairs, *((target, source) for source, target in pairs))


def random_edges(num_nodes: int, num_edges: int, seed: int = 0) -> Tensor:
    """Undirected, no edge twice, no self-loops; connected by a path when there are edges enough."""
    if num_nodes < 2:
        return edges()
    generator = torch.Generator().manual_seed(seed)
    path = torch.stack([torch.arange(num_nodes - 1), torch.arange(1, num_nodes)])
    pairs = torch.cat([path, torch.randint(num_nodes, (2, num_edges), generator=generator)], dim=1)[:, :num_edges]
    pairs = pairs[:, pairs[0] != pairs[1]].sort(dim=0).values.unique(dim=1)
    return torch.cat([pairs, pairs.flip(0)], dim=1)


def side_by_side(graphs: list[tuple[Tensor, int]]) -> Batch:
    sizes = [num_nodes for _, num_nodes in graphs]
    first = [sum(sizes[:i]) for i in range(len(sizes))]
    edge_index = torch.cat([edges(), *(graph + start for (graph, _), start in zip(graphs, first, strict=True))], dim=1)
    return Batch(edge_index, torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.long)), sizes)


def separately(batch: Batch) -> list[tuple[Tensor, int]]:
    """The graphs of a batch again."""
    graphs, first = [], 0
    for size in batch.sizes:
        inside = (batch.edge_index[0] >= first) & (batch.edge_index[0] < first + size)
        graphs.append((batch.edge_index[:, inside] - first, size))
        first += size
    return graphs


def many_sizes() -> Batch:
    """Undirected, of 1 to 500 nodes, several of the same size and two without nodes."""
    sizes = [7, 1, 0, 30, 500, 7, 2, 130, 0, 30, 7]
    return side_by_side([(random_edges(size, 2 * size, seed), size) for seed, size in enumerate(sizes)])


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """One to five directed graphs of none to six nodes; parallel edges, self-loops, isolated nodes are all likely."""
    graphs = []
    for _ in range(draw(st.integers(1, 5))):
        size = draw(st.integers(0, 6))
        node = st.integers(0, max(0, size - 1))
        graphs.append((edges(*(draw(st.lists(st.tuples(node, node), max_size=12)) if size else [])), size))
    graphs.append((edges((0, 1)), 2))  # the last graph of a batch has nodes
    return side_by_side(graphs)


def undirected(batch: Batch) -> Batch:
    """With every edge in both directions, once."""
    edge_index = torch.cat([batch.edge_index, batch.edge_index.flip(0)], dim=1).unique(dim=1)
    return batch._replace(edge_index=edge_index)
