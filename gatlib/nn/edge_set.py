"""Edges as the tokens of attention, as in edge-set attention."""

import torch
from torch import Tensor
from torch_geometric.utils import coalesce

from gatlib.kernels.one_node import one_node
from gatlib.nn.pairs import all_pairs


def adjacent_edges(edge_index: Tensor, *, num_nodes: int) -> Tensor:
    r"""Which edges share a node: the graph over which `edge-set attention
    <https://doi.org/10.1038/s41467-025-60252-z>`_ restricts attention.

    .. math::
        \{ (e, f) : e, f \in \mathcal{E}, \; e \cap f \ne \emptyset \}

    Every edge is adjacent to itself, and to its reverse. A node of :math:`d` edges makes up to :math:`d^2` pairs.

    Args:
        edge_index: The graph.
        num_nodes: :math:`N`.

    Shapes:
        - **edge_index:** :math:`(2, E)`
        - **output:** :math:`(2, P)`, numbers of edges, by the second of the two and then the first, without duplicates

    Raises:
        ValueError: An edge is out of range.
    """
    return _adjacent_edges(edge_index, num_nodes)


def _fake_adjacent_edges(edge_index: Tensor, num_nodes: int) -> Tensor:
    return edge_index.new_empty(2, torch.library.get_ctx().new_dynamic_size())


@one_node("(Tensor edge_index, SymInt num_nodes) -> Tensor", _fake_adjacent_edges)
def _adjacent_edges(edge_index: Tensor, num_nodes: int) -> Tensor:
    if edge_index.numel() > 0 and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < num_nodes:
        raise ValueError(
            f"edge_index must hold nodes from 0 to {num_nodes - 1}; "
            f"found {int(edge_index.min())} to {int(edge_index.max())}."
        )
    # Each edge is at two nodes. Sorted by node, those at the same one are all pairs of a group.
    node, place = edge_index.flatten().sort(stable=True)
    edge = place % max(edge_index.size(1), 1)
    pairs = edge[all_pairs(node, node.numel())]
    return coalesce(pairs, num_nodes=edge_index.size(1), sort_by_row=False)
