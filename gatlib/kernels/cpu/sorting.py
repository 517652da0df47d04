"""Sorts the edges of a graph by target and by source, in time linear in their number."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatlib.kernels.cpu.arguments import Graph, graph_addresses
from gatlib.kernels.cpu.compiled import compiled
from gatlib.kernels.cpu.lanes import pointer
from gatlib.kernels.cpu.spans import spans
from gatlib.kernels.edge_range import check_range
from gatlib.kernels.interface import Adjacency


class SortedGraph(NamedTuple):
    adjacency: Adjacency
    addresses: Graph
    target_spans: list[tuple[int, int]]
    source_spans: list[tuple[int, int]]
    max_degree: int
    num_edges: int  # the caller's and the self-loops added


def sort_edges(edge_index: Tensor, num_sources: int, num_targets: int, add_self_loops: bool) -> SortedGraph:
    """Raises ValueError if an edge points to a node that there is not."""
    edges = edge_index.contiguous()
    num_edges = edges.size(1)
    num_loops = min(num_sources, num_targets) if add_self_loops else 0
    index_type = torch.int32 if num_edges + num_loops < 2**31 else torch.int64
    rowptr = torch.empty(num_targets + 1, dtype=torch.int64)
    colptr = torch.empty(num_sources + 1, dtype=torch.int64)
    next_slot = torch.empty(max(num_sources, num_targets), dtype=torch.int64)
    no_edge = np.int32(0) if index_type == torch.int32 else np.int64(0)

    sizes = (num_edges, num_sources, num_targets, num_loops)
    num_slots = _count(sizes, edges.data_ptr(), rowptr.data_ptr(), colptr.data_ptr())
    if num_slots < 0:
        check_range(edges, num_sources, num_targets)
    col, row = torch.empty(num_slots, dtype=torch.int32), torch.empty(num_slots, dtype=torch.int32)
    edge, slot = torch.empty(num_slots, dtype=index_type), torch.empty(num_slots, dtype=index_type)
    adjacency = Adjacency(rowptr, col, edge, colptr, row, slot)
    _place(sizes, edges.data_ptr(), graph_addresses(adjacency), next_slot.data_ptr(), no_edge)
    degrees = rowptr.diff()
    max_degree = int(degrees.max()) if num_targets > 0 else 0
    return SortedGraph(
        adjacency, graph_addresses(adjacency), spans(rowptr), spans(colptr), max_degree, num_edges + num_loops
    )


@compiled
def _count(sizes, edges, rowptr, colptr):
    """Where the edges of every node will begin; returns how many there are, or -1 if one is out of range."""
    num_edges, num_sources, num_targets, num_loops = sizes
    integer = np.int64(0)
    edges, rowptr, colptr = pointer(edges, integer), pointer(rowptr, integer), pointer(colptr, integer)
    for i in range(num_targets + 1):
        rowptr[i] = integer
    for j in range(num_sources + 1):
        colptr[j] = integer
    for e in range(num_edges):
        j, i = edges[e], edges[num_edges + e]
        if j < 0 or j >= num_sources or i < 0 or i >= num_targets:
            return -1
        if i != j or num_loops == 0:
            rowptr[i + 1] += 1
            colptr[j + 1] += 1
    for i in range(num_loops):
        rowptr[i + 1] += 1
        colptr[i + 1] += 1
    for i in range(num_targets):
        rowptr[i + 1] += rowptr[i]
    for j in range(num_sources):
        colptr[j + 1] += colptr[j]
    return rowptr[num_targets]


@compiled
def _place(sizes, edges, adjacency, next_slot, no_edge):
    num_edges, num_sources, num_targets, num_loops = sizes
    integer, small = np.int64(0), np.int32(0)
    edges, next_slot = pointer(edges, integer), pointer(next_slot, integer)
    rowptr, colptr = pointer(adjacency.rowptr, integer), pointer(adjacency.colptr, integer)
    col, row = pointer(adjacency.col, small), pointer(adjacency.row, small)
    edge, slot = pointer(adjacency.edge, no_edge), pointer(adjacency.slot, no_edge)
    for i in range(num_targets):
        next_slot[i] = rowptr[i]
    for e in range(num_edges + num_loops):
        if e < num_edges:
            j, i = edges[e], edges[num_edges + e]
            if i == j and num_loops > 0:
                continue
        else:
            j = i = e - num_edges
        t = next_slot[i]
        next_slot[i] = t + 1
        col[t] = j
        edge[t] = e
    # The other order by a walk over this one, whose reads and, for each source, writes are in sequence.
    for j in range(num_sources):
        next_slot[j] = colptr[j]
    for i in range(num_targets):
        for t in range(rowptr[i], rowptr[i + 1]):
            s = next_slot[col[t]]
            next_slot[col[t]] = s + 1
            row[s] = i
            slot[s] = t
