"""How the graphs of a batch lie: one after the other, as PyG's `Batch` has them."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatlib.kernels.edge_range import check_range
from gatlib.kernels.one_node import one_node, runs_now
from gatlib.kernels.remembered import remembered


def pointers(batch: Tensor | None, num_nodes: int) -> Tensor:
    """Where the nodes of each graph begin, [graphs + 1] int64; graphs without nodes are there as well.

    Args:
        batch: The graph of every node, [N] int64, not falling; None for one graph.
        num_nodes: N.

    Raises:
        ValueError: `batch` is not that.
    """
    if batch is None:
        # Not of a list, which a graph compiler would take for numbers that never change.
        return torch.arange(2) * num_nodes
    if batch.dim() != 1 or batch.dtype != torch.int64 or batch.size(0) != num_nodes:
        raise ValueError(
            f"batch must be int64 of shape [{num_nodes}], a graph for every node; "
            f"found {str(batch.dtype).removeprefix('torch.')} of shape {list(batch.shape)}."
        )
    if runs_now(batch):
        return remembered(_pointers, batch)
    return _graph_pointers(batch)


def check_within_graphs(edge_index: Tensor, batch: Tensor | None, num_nodes: int) -> None:
    """Raises ValueError if an edge is out of range or leads from one graph to another."""
    check_range(edge_index, num_nodes, num_nodes)
    if batch is None or torch.compiler.is_compiling():  # what graph an edge is in is data
        return
    source, target = batch[edge_index]
    if not torch.equal(source, target):
        e = int((source != target).nonzero()[0])
        raise ValueError(
            f"edge_index must stay within each graph of batch; found edge {e} from graph {int(source[e])} to "
            f"graph {int(target[e])}."
        )


class BySize(NamedTuple):
    """The nodes in the order of the sizes of their graphs: those of all graphs of one size are one dense block."""

    order: Tensor  # [N]: the nodes in that order
    inverse: Tensor  # [N]: where each node went
    shapes: list[tuple[int, int]]  # graphs and nodes of each block


def by_size(ptr: Tensor) -> BySize:
    """Sorts the nodes of a batch by the size of their graphs."""
    return remembered(_by_size, ptr)


def _by_size(ptr: Tensor) -> BySize:
    sizes = ptr.diff()
    different, counts = sizes[sizes > 0].unique(return_counts=True)
    shapes = list(zip(counts.tolist(), different.tolist(), strict=True))
    order = sizes.repeat_interleave(sizes).argsort(stable=True)
    return BySize(order, order.argsort(), shapes)


def _fake_pointers(batch: Tensor) -> Tensor:
    return torch.empty(torch.library.get_ctx().new_dynamic_size(min=1), dtype=torch.int64)


@one_node("(Tensor batch) -> Tensor", _fake_pointers)
def _graph_pointers(batch: Tensor) -> Tensor:
    return remembered(_pointers, batch).clone()


def _pointers(batch: Tensor) -> Tensor:
    falls = (batch.diff() < 0).nonzero()
    if falls.numel() > 0:
        i = int(falls[0])
        raise ValueError(
            f"batch must be sorted, the nodes of a graph one after the other; "
            f"found graph {int(batch[i + 1])} after graph {int(batch[i])} at node {i + 1}."
        )
    if batch.numel() > 0 and int(batch[0]) < 0:
        raise ValueError(f"batch must count graphs from 0; found {int(batch[0])}.")
    num_graphs = int(batch[-1]) + 1 if batch.numel() > 0 else 0
    return torch.nn.functional.pad(batch.bincount(minlength=num_graphs).cumsum(dim=0), (1, 0)).cpu()
