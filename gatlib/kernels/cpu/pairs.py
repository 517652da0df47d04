"""Pairs of nodes as edges: all pairs within each graph, and those that a few steps join."""

import numpy as np
import torch
from torch import Tensor

from gatlib.kernels.cpu.arguments import graph_addresses
from gatlib.kernels.cpu.compiled import compiled, inlined
from gatlib.kernels.cpu.lanes import pointer
from gatlib.kernels.cpu.sorting import SortedGraph
from gatlib.kernels.cpu.spans import spans
from gatlib.kernels.interface import Adjacency

UNREACHABLE = -1


def all_pairs(ptr: Tensor) -> tuple[Tensor, SortedGraph]:
    """Every ordered pair of nodes within a graph as an edge, by target and then by source; and the same, sorted.

    Args:
        ptr: Where the nodes of each graph begin, [graphs + 1].
    """
    sizes, num_nodes = ptr.diff(), int(ptr[-1])
    num_pairs = int((sizes * sizes).sum())
    index_type = torch.int32 if num_pairs < 2**31 else torch.int64
    edge_index = torch.empty(2, num_pairs, dtype=torch.int64)
    rowptr, colptr = (torch.empty(num_nodes + 1, dtype=torch.int64) for _ in range(2))
    col, row = (torch.empty(num_pairs, dtype=torch.int32) for _ in range(2))
    edge, slot = (torch.empty(num_pairs, dtype=index_type) for _ in range(2))
    adjacency = Adjacency(rowptr, col, edge, colptr, row, slot)
    addresses = graph_addresses(adjacency)
    no_edge = np.int32(0) if index_type == torch.int32 else np.int64(0)
    _fill_all_pairs(sizes.numel(), ptr.data_ptr(), num_pairs, edge_index.data_ptr(), addresses, no_edge)
    max_degree = int(sizes.max()) if sizes.numel() > 0 else 0
    graph_spans = spans(rowptr)
    return edge_index, SortedGraph(adjacency, addresses, graph_spans, graph_spans, max_degree, num_pairs)


def pairs_within(graph: SortedGraph, num_hops: int) -> tuple[Tensor, Tensor]:
    """The pairs whose source reaches the target in at most `num_hops` steps, by target, and how many it takes."""
    rowptr, col = graph.adjacency.rowptr, graph.adjacency.col
    num_nodes = rowptr.numel() - 1
    counts = torch.zeros(num_nodes + 1, dtype=torch.int64)
    room = torch.empty(3, num_nodes, dtype=torch.int64)
    edges = (num_nodes, num_hops, rowptr.data_ptr(), col.data_ptr())
    _count_pairs_within(edges, room.data_ptr(), counts.data_ptr())
    begins = counts.cumsum(dim=0)
    num_pairs = int(begins[-1])
    edge_index, distance = torch.empty(2, num_pairs, dtype=torch.int64), torch.empty(num_pairs, dtype=torch.int64)
    _fill_pairs_within(edges, room.data_ptr(), num_pairs, edge_index.data_ptr(), distance.data_ptr())
    return edge_index, distance


def distances_of_all_pairs(graph: SortedGraph, ptr: Tensor) -> Tensor:
    """Steps from source to target, in the order of `all_pairs`; -1 where there is no way.

    No edge may lead from one graph to another.
    """
    rowptr, col = graph.adjacency.rowptr, graph.adjacency.col
    num_nodes, sizes = rowptr.numel() - 1, ptr.diff()
    distance = torch.full((int((sizes * sizes).sum()),), UNREACHABLE)
    room = torch.empty(3, num_nodes, dtype=torch.int64)
    edges = (num_nodes, num_nodes, rowptr.data_ptr(), col.data_ptr())
    _fill_distances(edges, room.data_ptr(), sizes.numel(), ptr.data_ptr(), distance.data_ptr())
    return distance


@compiled
def _fill_all_pairs(num_graphs, ptr, num_pairs, edge_index, adjacency, no_edge):
    integer, small = np.int64(0), np.int32(0)
    ptr, edge_index = pointer(ptr, integer), pointer(edge_index, integer)
    rowptr, colptr = pointer(adjacency.rowptr, integer), pointer(adjacency.colptr, integer)
    col, row = pointer(adjacency.col, small), pointer(adjacency.row, small)
    edge, slot = pointer(adjacency.edge, no_edge), pointer(adjacency.slot, no_edge)
    t = 0
    for graph in range(num_graphs):
        first, last, begin = ptr[graph], ptr[graph + 1], t
        for i in range(first, last):
            rowptr[i] = t
            colptr[i] = t
            for j in range(first, last):
                edge_index[t] = j
                edge_index[num_pairs + t] = i
                col[t] = j
                row[t] = j
                edge[t] = t
                slot[t] = begin + (j - first) * (last - first) + i - first  # where the pair from i to j is
                t += 1
    rowptr[ptr[num_graphs]] = t
    colptr[ptr[num_graphs]] = t


@inlined
def search(edges, room, i):
    """A breadth-first search against the edges that point to i; returns how many nodes it met.

    Leaves those nodes in the first part of `room`, in the order met, and the steps of each node met in the second; the
    third part says in whose search a node was last met.
    """
    num_nodes, num_hops, rowptr, col = edges
    rowptr, col = pointer(rowptr, np.int64(0)), pointer(col, np.int32(0))
    met, steps, met_from = 0, num_nodes, 2 * num_nodes
    room[met] = i
    room[steps + i] = 0
    room[met_from + i] = i
    count, head = 1, 0
    while head < count:
        j = room[head]
        head += 1
        if room[steps + j] < num_hops:
            for t in range(rowptr[j], rowptr[j + 1]):
                k = np.int64(col[t])
                if room[met_from + k] != i:
                    room[met_from + k] = i
                    room[steps + k] = room[steps + j] + 1
                    room[count] = k
                    count += 1
    return count


@inlined
def forget(num_nodes, room):
    for i in range(num_nodes):
        room[2 * num_nodes + i] = -1


@compiled
def _count_pairs_within(edges, room, counts):
    room, counts = pointer(room, np.int64(0)), pointer(counts, np.int64(0))
    forget(edges[0], room)
    for i in range(edges[0]):
        counts[i + 1] = search(edges, room, i)


@compiled
def _fill_pairs_within(edges, room, num_pairs, edge_index, distance):
    room, edge_index = pointer(room, np.int64(0)), pointer(edge_index, np.int64(0))
    distance = pointer(distance, np.int64(0))
    forget(edges[0], room)
    t = 0
    for i in range(edges[0]):
        for position in range(search(edges, room, i)):
            j = room[position]
            edge_index[t] = j
            edge_index[num_pairs + t] = i
            distance[t] = room[edges[0] + j]
            t += 1


@compiled
def _fill_distances(edges, room, num_graphs, ptr, distance):
    room, ptr, distance = pointer(room, np.int64(0)), pointer(ptr, np.int64(0)), pointer(distance, np.int64(0))
    forget(edges[0], room)
    begin = 0
    for graph in range(num_graphs):
        first, last = ptr[graph], ptr[graph + 1]
        size = last - first
        for i in range(first, last):
            for position in range(search(edges, room, i)):
                j = room[position]
                distance[begin + (i - first) * size + j - first] = room[edges[0] + j]
        begin += size * size
