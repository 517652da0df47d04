"""The adjacency of a graph from its list of edges, on the device of that list."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatlib.kernels.edge_range import check_range
from gatlib.kernels.interface import Adjacency


class SortedGraph(NamedTuple):
    adjacency: Adjacency
    num_edges: int  # the caller's and the self-loops added; the adjacency may have fewer


def sort_edges(edge_index: Tensor, num_sources: int, num_targets: int, add_self_loops: bool) -> SortedGraph:
    """Raises ValueError if an edge points to a node that there is not."""
    check_range(edge_index, num_sources, num_targets)
    num_edges, device = edge_index.size(1), edge_index.device
    num_loops = min(num_sources, num_targets) if add_self_loops else 0
    index_type = torch.int32 if num_edges + num_loops < 2**31 else torch.int64
    source, target = edge_index.int()
    edge = torch.arange(num_edges + num_loops, dtype=index_type, device=device)
    if add_self_loops:
        loops = torch.arange(num_loops, dtype=torch.int32, device=device)
        kept = (source != target).nonzero().squeeze(1)
        source, target = torch.cat([source[kept], loops]), torch.cat([target[kept], loops])
        edge = torch.cat([edge[kept], edge[num_edges:]])

    target, by_target = torch.sort(target, stable=True)
    # Sorting by source what is sorted by target lets the second walk read the rows of targets in ascending order.
    col = source[by_target]
    source, slot = torch.sort(col, stable=True)
    adjacency = Adjacency(
        rowptr=_pointers(target, num_targets),
        col=col,
        edge=edge[by_target],
        colptr=_pointers(source, num_sources),
        row=target[slot],
        slot=slot.to(index_type),
    )
    return SortedGraph(adjacency, num_edges + num_loops)


def _pointers(nodes: Tensor, num_nodes: int) -> Tensor:
    """Where each node begins in a sorted list of nodes, and where the last one ends."""
    return torch.searchsorted(nodes, torch.arange(num_nodes + 1, dtype=nodes.dtype, device=nodes.device))
