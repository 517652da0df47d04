"""The graphs of a batch as matrices: dense, those of equal size together, or one by one where they are large."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gatlib.nn.batches import check_within_graphs, pointers

BLOCK_ENTRIES = 2**20  # of the matrices of one block; what fits the cache is multiplied faster
VECTOR_ENTRIES = 2**22  # of the unit vectors that travel together through a large graph


class DenseBlock(NamedTuple):
    """Graphs of exactly the same number of nodes.

    Shapes: ``graphs`` ``[G]``; ``nodes`` ``[G, n]``, their numbers in the batch; ``adjacency`` ``[G, n, n]``, how many
    edges lead from row to column.
    """

    graphs: Tensor
    nodes: Tensor
    adjacency: Tensor


class LargeGraph(NamedTuple):
    """One graph, its nodes numbered from 0 in `edge_index`, which are `nodes` in the batch."""

    graph: int
    nodes: slice
    edge_index: Tensor

    @property
    def num_nodes(self) -> int:
        return self.nodes.stop - self.nodes.start


def graph_pointers(edge_index: Tensor, batch: Tensor | None, num_nodes: int) -> Tensor:
    """Where the nodes of each graph begin, [graphs + 1] int64 on the CPU.

    Raises:
        ValueError: `batch` is not sorted, or an edge is out of range or leads from one graph to another.
    """
    if not isinstance(edge_index, Tensor) or edge_index.dtype != torch.int64 or edge_index.shape[:-1] != (2,):
        found = (
            f"{edge_index.dtype} of shape {list(edge_index.shape)}" if isinstance(edge_index, Tensor) else edge_index
        )
        raise ValueError(f"edge_index must be int64 of shape [2, E]; found {str(found).removeprefix('torch.')}.")
    if num_nodes < 0:
        raise ValueError(f"num_nodes must be 0 or more; found {num_nodes}.")
    ptr = pointers(batch, num_nodes)
    check_within_graphs(edge_index, batch, num_nodes)
    return ptr


def dense_blocks(edge_index: Tensor, ptr: Tensor, max_nodes: int, dtype: torch.dtype) -> Iterator[DenseBlock]:
    """All graphs of 1 to `max_nodes` nodes, no matrix padded; one block at a time is in memory."""
    device, size = edge_index.device, ptr.diff()
    order = size.argsort(stable=True)
    order = order[(size[order] > 0) & (size[order] <= max_nodes)]
    _, counts = size[order].unique_consecutive(return_counts=True)
    blocks = [
        block
        for same_size in order.split(counts.tolist())
        for block in same_size.split(max(1, BLOCK_ENTRIES // max(1, int(size[same_size[0]]) ** 2)))
    ]

    # Think of all the matrices as one row of numbers, block after block: an edge is a place in it.
    entries = size[order].square()
    start = torch.full_like(size, -1)  # of every graph; those that are left out have none
    start[order] = entries.cumsum(0) - entries
    block_start = [int(start[block[0]]) for block in blocks]
    graph = torch.arange(size.numel()).repeat_interleave(size).to(device)[edge_index[0]]
    start, first, width = start.to(device)[graph], ptr.to(device)[graph], size.to(device)[graph]
    place = start + (edge_index[0] - first) * width + edge_index[1] - first
    place = place[start >= 0].sort().values
    cuts = torch.searchsorted(place, torch.tensor([*block_start, int(entries.sum())], device=device)).tolist()

    for i, block in enumerate(blocks):
        n = int(size[block[0]])
        filled = place[cuts[i] : cuts[i + 1]] - block_start[i]
        adjacency = filled.bincount(minlength=len(block) * n * n).view(-1, n, n).to(dtype)
        nodes = ptr[block].unsqueeze(1) + torch.arange(n)
        yield DenseBlock(block.to(device), nodes.to(device), adjacency)


def large_graphs(edge_index: Tensor, ptr: Tensor, max_nodes: int) -> Iterator[LargeGraph]:
    """The graphs of more than `max_nodes` nodes, which :func:`dense_blocks` leaves out."""
    for graph in (ptr.diff() > max_nodes).nonzero().flatten().tolist():
        first, end = ptr[graph : graph + 2].tolist()
        inside = (edge_index[0] >= first) & (edge_index[0] < end)
        yield LargeGraph(graph, slice(first, end), edge_index[:, inside] - first)


def sparse_matrix(edge_index: Tensor, weight: Tensor, num_nodes: int) -> Tensor:
    """[N, N] in COO; parallel edges add up."""
    return torch.sparse_coo_tensor(edge_index, weight, (num_nodes, num_nodes), check_invariants=False).coalesce()


def unit_vectors(matrix: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The columns of the identity of the size of `matrix`, some at a time: which, [C], and themselves, [N, C].

    A function of a large sparse matrix is dense; through these its diagonal is found in bounded memory.
    """
    num_nodes = matrix.size(0)
    for columns in torch.arange(num_nodes, device=matrix.device).split(max(1, VECTOR_ENTRIES // num_nodes)):
        vectors = torch.zeros(num_nodes, columns.numel(), dtype=matrix.dtype, device=matrix.device)
        vectors[columns, torch.arange(columns.numel(), device=matrix.device)] = 1
        yield columns, vectors
