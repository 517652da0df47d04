"""Batches of random graphs, whole and cut into their graphs."""

import torch
from torch import Tensor

SIZES = [3, 0, 1, 17, 500, 40, 0, 8]  # also the large ones, graphs of one node and of none


def batch_of(sizes: list[int]) -> Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.long))


def random_edges(sizes: list[int], seed: int = 0) -> Tensor:
    """Three edges for each node, within its graph; some parallel, some self-loops, and none from its first node."""
    generator = torch.Generator().manual_seed(seed)
    edges, first = [torch.empty(2, 0, dtype=torch.long)], 0
    for size in sizes:
        if size > 1:
            source = torch.randint(1, size, (3 * size,), generator=generator)
            edges.append(first + torch.stack([source, torch.randint(size, (3 * size,), generator=generator)]))
        first += size
    return torch.cat(edges, dim=1)


def cut(batch: Tensor, edge_index: Tensor, graph: int) -> tuple[Tensor, Tensor]:
    """The nodes of one graph, and its edges counted from its first node."""
    nodes = (batch == graph).nonzero().squeeze(1)
    first = int(nodes[0]) if nodes.numel() > 0 else 0
    return nodes, edge_index[:, batch[edge_index[1]] == graph] - first


def permutation_within(batch: Tensor, seed: int = 0) -> Tensor:
    """A new order of the nodes of each graph; the graphs stay where they are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.argsort(batch + torch.rand(batch.numel(), generator=generator))
