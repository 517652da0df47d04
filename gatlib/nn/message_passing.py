"""What the layers share with PyG's message passing: when to defer to it, and how it reads a graph."""

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.index import ptr2index
from torch_geometric.nn import Linear, MessagePassing
from torch_geometric.nn.aggr import SumAggregation
from torch_geometric.typing import Adj, OptTensor, PairTensor, Size
from torch_geometric.utils import (
    add_self_loops,
    is_torch_sparse_tensor,
    remove_self_loops,
    to_torch_coo_tensor,
    to_torch_csr_tensor,
)
from torch_geometric.utils.loop import compute_loop_attr
from torch_geometric.utils.sparse import set_sparse_value

from gatlib.kernels.remembered import remembered
from gatlib.nn.checks import describe

# The steps of message passing that a subclass may override, and that edge attention replaces.
STEPS = ("message", "edge_update", "aggregate", "update", "message_and_aggregate")
HOOKS = tuple(
    f"_{step}_forward_{kind}"
    for step in ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")
    for kind in ("pre_hooks", "hooks")
)


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
        or any(getattr(conv, hooks) for hooks in HOOKS)
        or _overrides(conv, pyg_class)
        or not is_plain_linear(conv.lin_edge)
    )


def _overrides(conv: MessagePassing, pyg_class: type) -> bool:
    """Whether a subclass, or this very instance, brings its own version of a step."""
    own, of_class = vars(conv), type(conv)
    return any(step in own or getattr(of_class, step) is not getattr(pyg_class, step) for step in STEPS)


def is_plain_linear(lin: torch.nn.Module | None) -> bool:
    """Whether the weight of `lin` is all there is to it.

    An adapter in its place does more, and so does a forward hook, such as lazy initialisation is.
    """
    if lin is None:
        return True
    return type(lin) is Linear and lin.bias is None and not lin._forward_pre_hooks and not lin._forward_hooks


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
    features. The same graph gives the same tensor object each time, so that a kernel knows a graph that it has sorted.
    """
    if is_torch_sparse_tensor(edge_index):
        if edge_attr is None and edge_index.values().dim() > 1:
            edge_attr = edge_index.values()
        return _edges_of_sparse(edge_index), edge_attr
    if isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    if conv.flow == "target_to_source":
        return remembered(_flipped, edge_index), edge_attr
    if edge_index.dtype == torch.int32:
        return remembered(Tensor.long, edge_index), edge_attr
    return edge_index, edge_attr


def _edges_of_sparse(adj_t: Tensor) -> Tensor:
    if adj_t.layout == torch.sparse_coo:
        return remembered(_flipped, adj_t, read=(adj_t.indices(),))
    return remembered(_edges_of_csr, adj_t, read=(adj_t.crow_indices(), adj_t.col_indices()))


def _edges_of_csr(pointers: Tensor, source: Tensor) -> Tensor:
    return torch.stack([source, ptr2index(pointers, output_size=source.numel())]).long()


def _flipped(edge_index: Tensor) -> Tensor:
    return edge_index.flip(0).long()


def append_loop_attr(
    conv: MessagePassing,
    edges: Tensor,
    edge_attr: Tensor,
    num_sources: int,
    num_targets: int,
) -> Tensor:
    """Adds the features of the self-loops to come, made from `conv.fill_value` as PyG's `add_self_loops` does.

    "mean" and the like are over the edges that point to the node, self-loops left out.
    """
    if edge_attr.size(0) != edges.size(1):
        raise ValueError(
            f"edge_attr must have {edges.size(1)} rows, one for each edge of edge_index; found {describe(edge_attr)}."
        )
    # Point to: that is row 1 of what the caller gave, whatever the flow.
    origin, node = edges if conv.flow == "source_to_target" else edges.flip(0)
    # The self-loops left out go to one node more than there is, so that no shape depends on the data.
    nowhere = max(num_sources, num_targets)
    points_to = torch.stack([origin, node.masked_fill(origin == node, nowhere)])
    loop_attr = compute_loop_attr(points_to, edge_attr, nowhere + 1, False, conv.fill_value)
    return torch.cat([edge_attr, loop_attr[: min(num_sources, num_targets)]])


def graph_with_weights(
    conv: MessagePassing,
    edge_index: Tensor,
    edges: Tensor,
    alpha: Tensor,
) -> tuple[Tensor, Tensor]:
    """The graph that `conv` attended over, in the form it was given, and the attention weights in that order.

    The weights of the caller's `edges` come first in `alpha`, then those of the added self-loops.
    """
    is_sparse = is_torch_sparse_tensor(edge_index)
    if not conv.add_self_loops:
        return set_sparse_value(edge_index, alpha) if is_sparse else edge_index, alpha
    num_edges, kept = edges.size(1), edges[0] != edges[1]
    num_loops = alpha.size(0) - num_edges
    alpha = torch.cat([alpha[:num_edges][kept], alpha[num_edges:]])
    if not is_sparse:
        return add_self_loops(remove_self_loops(edge_index)[0], num_nodes=num_loops)[0], alpha
    loops = torch.arange(num_loops, device=edges.device).expand(2, -1)
    indices = torch.cat([edges.flip(0)[:, kept], loops], dim=1)
    to_sparse = to_torch_coo_tensor if edge_index.layout == torch.sparse_coo else to_torch_csr_tensor
    adj_t = to_sparse(indices, alpha, tuple(edge_index.shape[:2]))
    return adj_t, adj_t.values()


def check_num_nodes(
    conv: MessagePassing,
    edge_index: Tensor,
    size: Size,
    source: Tensor,
    target: Tensor | None,
) -> int:
    """Holds the node tensors against `size` or the shape of the graph; returns the number of targets."""
    sizes: list[int | None] = conv._check_input(edge_index, size)
    if isinstance(edge_index, EdgeIndex) and getattr(conv, "add_self_loops", False):
        # From the self-loops, an `EdgeIndex` learns of nodes that it did not know.
        num_loops = source.size(0) if target is None else min(source.size(0), target.size(0))
        sizes = [None if num_nodes is None else max(num_nodes, num_loops) for num_nodes in sizes]
    i, j = (1, 0) if conv.flow == "source_to_target" else (0, 1)
    conv._set_size(sizes, j, source)
    if target is not None:
        conv._set_size(sizes, i, target)
    num_targets = sizes[j] if sizes[i] is None else sizes[i]
    assert num_targets is not None
    return num_targets


def has_static_features(x: Tensor | PairTensor) -> bool:
    """Whether nodes have anything but a vector each, such as the features of several graphs with the same edges."""
    return any(part is not None and part.dim() != 2 for part in ([x] if isinstance(x, Tensor) else x))


def check_channels(x: Tensor | PairTensor, *layers: torch.nn.Module) -> None:
    """Raises ValueError if what the layers are to project, source before target, has other channels than they take."""
    nodes = [x] * len(layers) if isinstance(x, Tensor) else x
    for part, layer in zip(nodes, layers, strict=False):
        # An adapter in the place of a layer may take something else.
        expected = int(layer.in_channels) if type(layer) is Linear else -1  # type: ignore[arg-type]
        if part is not None and expected > 0 and part.size(-1) != expected:
            raise ValueError(f"x must have {expected} channels, those of the layer; found {describe(part)}.")


def join_heads(out: Tensor, concat: bool, terms: list[Tensor | None]) -> Tensor:
    """Concatenates or averages the heads of `out` [N, H, C] and adds the terms that there are, [N, H * C or C]."""
    out = out if concat else out.mean(dim=1)
    for term in terms:
        if term is not None:
            term = term.view(-1, *out.shape[1:])
            # Where it lies if it can stay what it is: the backward pass does not need it.
            out = out.add_(term) if torch.promote_types(out.dtype, term.dtype) == out.dtype else out + term
    return out.flatten(start_dim=1)
