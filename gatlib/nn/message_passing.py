"""What the layers share with PyG's message passing: when to defer to it, and how it reads a graph."""

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.index import ptr2index
from torch_geometric.nn import Linear, MessagePassing
from torch_geometric.nn.aggr import SumAggregation
from torch_geometric.typing import Adj, OptTensor, Size
from torch_geometric.utils import is_torch_sparse_tensor

# The steps of message passing that a subclass may override, and that edge attention replaces.
STEPS = ("message", "edge_update", "aggregate", "update", "message_and_aggregate")
HOOKED_STEPS = ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")


def needs_message_passing(conv: MessagePassing, pyg_class: type, x: object, edge_index: Adj) -> bool:
    """Whether this call asks for something that only PyG's own message passing can do.

    Edge attention never makes the messages, so whatever looks at them, replaces them, or sums them up
    differently goes the way of `pyg_class`.
    """
    flow_reversed_between_two_sets = conv.flow == "target_to_source" and not isinstance(x, Tensor)
    return (
        not isinstance(edge_index, Tensor)  # torch_sparse.SparseTensor
        or flow_reversed_between_two_sets  # PyG's own reading of this is peculiar, and not ours to improve
        or conv.explain is True
        or conv.decomposed_layers > 1
        or type(conv.aggr_module) is not SumAggregation
        or any(getattr(conv, f"_{step}_forward_pre_hooks") for step in HOOKED_STEPS)
        or any(getattr(conv, f"_{step}_forward_hooks") for step in HOOKED_STEPS)
        or any(_is_overridden(conv, step, pyg_class) for step in STEPS)
        or not _is_plain_linear(conv.lin_edge)
    )


def _is_overridden(conv: MessagePassing, step: str, pyg_class: type) -> bool:
    """Whether a subclass, or this very instance, brings its own version of a step."""
    return getattr(getattr(conv, step), "__func__", None) is not getattr(pyg_class, step)


def _is_plain_linear(lin_edge: torch.nn.Module | None) -> bool:
    """Whether the weight of `lin_edge` is all there is to it.

    An adapter in its place does more, and so does a forward hook, such as lazy initialisation is.
    """
    if lin_edge is None:
        return True
    return type(lin_edge) is Linear and not lin_edge._forward_pre_hooks and not lin_edge._forward_hooks


def to_csr_if_csc(edge_index: Tensor) -> Tensor:
    """Brings CSC, which PyG's self-loop functions refuse, into a layout that they take."""
    return edge_index.to_sparse_csr() if edge_index.layout == torch.sparse_csc else edge_index


def source_target_edges(
    conv: MessagePassing,
    edge_index: Tensor,
    edge_attr: OptTensor,
) -> tuple[Tensor, OptTensor]:
    """Brings a graph in any form PyG takes to `edge_index` [2, E] (source, target) and `edge_attr`.

    A sparse matrix is the transposed adjacency matrix: rows are targets. Its values, if vectors, are edge
    features.
    """
    if is_torch_sparse_tensor(edge_index):
        adj_t = edge_index
        if adj_t.layout == torch.sparse_coo:
            target, source = adj_t.indices()
        else:
            source = adj_t.col_indices()
            target = ptr2index(adj_t.crow_indices(), output_size=source.numel())
        if edge_attr is None and adj_t.values().dim() > 1:
            edge_attr = adj_t.values()
        return torch.stack([source, target]), edge_attr
    if isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    return (edge_index if conv.flow == "source_to_target" else edge_index.flip(0)), edge_attr


def check_num_nodes(
    conv: MessagePassing,
    edge_index: Tensor,
    size: Size,
    source: Tensor,
    target: Tensor | None,
) -> int:
    """Holds the node tensors against `size` or the shape of the graph; returns the number of targets."""
    sizes: list[int | None] = conv._check_input(edge_index, size)
    i, j = (1, 0) if conv.flow == "source_to_target" else (0, 1)
    conv._set_size(sizes, j, source)
    if target is not None:
        conv._set_size(sizes, i, target)
    num_targets = sizes[j] if sizes[i] is None else sizes[i]
    assert num_targets is not None
    return num_targets
