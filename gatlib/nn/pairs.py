"""Pairs of nodes as the edges of a graph, for attention beyond the neighbours.

Whatever takes an `edge_index`, such as `gatlib.nn.functional.edge_attention`, attends to these pairs instead: all
within each graph, or those within some hops.
"""

from typing import Any

import torch
from torch import Tensor

from gatlib.kernels.one_node import one_node, runs_now
from gatlib.kernels.remembered import remembered
from gatlib.kernels.sorted_edges import remember_sorted, sorted_edges
from gatlib.nn.batches import check_within_graphs, pointers


def all_pairs(batch: Tensor | None, num_nodes: int) -> Tensor:
    r"""Every ordered pair of nodes of the same graph, each node with itself included.

    Args:
        batch: The graph of every node, not falling; None for one graph.
        num_nodes: :math:`N`.

    Shapes:
        - **batch:** :math:`(N)`
        - **output:** :math:`(2, P)` with :math:`P = \sum_g n_g^2`: source and target as in `edge_index`, in the order
          of the targets and, for each, of the sources. For a single graph that is a row-major matrix
          [target, source].
    """
    ptr = pointers(batch, num_nodes)
    if runs_now(ptr):
        pairs = remembered(_all_pairs, ptr)
    else:
        pairs = _pairs_of_graphs(ptr, None if batch is not None else num_nodes)
    return pairs if batch is None else pairs.to(batch.device)


def pairs_within(edge_index: Tensor, num_hops: int, *, num_nodes: int) -> tuple[Tensor, Tensor]:
    r"""The pairs whose source reaches the target in at most so many steps along the edges.

    Every node reaches itself in none, so one hop gives the edges, without duplicates, and a self-loop for each node;
    as many hops as the diameter give all pairs of nodes between which there is a way.

    Args:
        edge_index: The graph.
        num_hops: The most steps, 0 or more.
        num_nodes: :math:`N`.

    Shapes:
        - **edge_index:** :math:`(2, E)`
        - **output:** the pairs :math:`(2, P)`, in the order of the targets, and the number of steps of each
          :math:`(P)`, int64.

    Raises:
        ValueError: `num_hops` is negative, or an edge out of range.
    """
    if num_hops < 0:
        raise ValueError(f"num_hops must be 0 or more; found {num_hops}.")
    if runs_now(edge_index):
        return remembered(_search, edge_index, num_hops, num_nodes)
    return _pairs_within(edge_index, num_hops, num_nodes)


def pairs_of_edges(edge_index: Tensor, batch: Tensor | None, num_nodes: int) -> Tensor:
    r"""Which of all pairs each edge is, so that what is known of edges can be added to the bias of pairs:
    ``bias.index_add(0, pairs_of_edges(edge_index, batch, num_nodes), of_edges)``.

    Args:
        edge_index: The graphs; no edge leads from one to another.
        batch: The graph of every node, not falling; None for one graph.
        num_nodes: :math:`N`.

    Shapes:
        - **edge_index:** :math:`(2, E)`, **batch:** :math:`(N)`
        - **output:** :math:`(E)`, int64, columns of :func:`all_pairs`

    Raises:
        ValueError: `batch` is not sorted, or an edge is out of range or between two graphs.
    """
    ptr = pointers(batch, num_nodes).to(edge_index.device)
    check_within_graphs(edge_index, batch, num_nodes)
    source, target = edge_index
    graph = torch.zeros_like(target) if batch is None else batch[target]
    size, first = ptr.diff(), ptr[graph]
    begin = (size * size).cumsum(dim=0) - size * size
    return begin[graph] + (target - first) * size[graph] + source - first


def shortest_path_distances(edge_index: Tensor, batch: Tensor | None, num_nodes: int) -> Tensor:
    r"""How many steps along the edges it takes from source to target.

    Args:
        edge_index: The graphs; no edge leads from one to another.
        batch: The graph of every node, not falling; None for one graph.
        num_nodes: :math:`N`.

    Shapes:
        - **edge_index:** :math:`(2, E)`, **batch:** :math:`(N)`
        - **output:** :math:`(P)`, int64, in the order of :func:`all_pairs`; -1 where there is no way.

    Raises:
        ValueError: `batch` is not sorted, or an edge is out of range or between two graphs.
    """
    return _shortest_path_distances(edge_index, batch, num_nodes)


def _fake_pairs_of_graphs(ptr: Tensor, num_nodes: int | None) -> Tensor:
    return ptr.new_empty(2, _some_size() if num_nodes is None else num_nodes * num_nodes)


@one_node("(Tensor ptr, SymInt? num_nodes) -> Tensor", _fake_pairs_of_graphs)
def _pairs_of_graphs(ptr: Tensor, num_nodes: int | None) -> Tensor:
    """As `all_pairs`; `num_nodes` is given where there is one graph, and says how many pairs there will be."""
    return _all_pairs(ptr)


def _fake_pairs_within(edge_index: Tensor, num_hops: int, num_nodes: int) -> tuple[Tensor, Tensor]:
    num_pairs = _some_size()
    pairs = edge_index.new_empty(2, num_pairs, dtype=torch.int64)
    return pairs, pairs.new_empty(num_pairs)


@one_node("(Tensor edge_index, SymInt num_hops, SymInt num_nodes) -> (Tensor, Tensor)", _fake_pairs_within)
def _pairs_within(edge_index: Tensor, num_hops: int, num_nodes: int) -> tuple[Tensor, Tensor]:
    pairs, distance = remembered(_search, edge_index, num_hops, num_nodes)
    return pairs.clone(), distance.clone()


def _fake_distances(edge_index: Tensor, batch: Tensor | None, num_nodes: int) -> Tensor:
    return edge_index.new_empty(num_nodes * num_nodes if batch is None else _some_size(), dtype=torch.int64)


@one_node("(Tensor edge_index, Tensor? batch, SymInt num_nodes) -> Tensor", _fake_distances)
def _shortest_path_distances(edge_index: Tensor, batch: Tensor | None, num_nodes: int) -> Tensor:
    ptr = pointers(batch, num_nodes)
    check_within_graphs(edge_index, batch, num_nodes)
    from gatlib.kernels.cpu.pairs import distances_of_all_pairs

    return distances_of_all_pairs(_sorted(edge_index, num_nodes), ptr).to(edge_index.device)


def _some_size() -> Any:
    return torch.library.get_ctx().new_dynamic_size()


def _search(edge_index: Tensor, num_hops: int, num_nodes: int) -> tuple[Tensor, Tensor]:
    from gatlib.kernels import cpu
    from gatlib.kernels.cpu.pairs import pairs_within

    graph = cpu.sort_edges(edge_index.cpu().long(), num_nodes, num_nodes, False)
    pairs, distance = pairs_within(graph, num_hops)
    return pairs.to(edge_index.device), distance.to(edge_index.device)


def _sorted(edge_index: Tensor, num_nodes: int) -> Any:
    from gatlib.kernels import cpu

    return sorted_edges(cpu, edge_index.cpu().long(), num_nodes, num_nodes, False)


def _all_pairs(ptr: Tensor) -> Tensor:
    from gatlib.kernels import cpu
    from gatlib.kernels.cpu.pairs import all_pairs

    edge_index, graph = all_pairs(ptr)
    num_nodes = int(ptr[-1])
    remember_sorted(cpu, edge_index, num_nodes, num_nodes, graph)
    return edge_index
