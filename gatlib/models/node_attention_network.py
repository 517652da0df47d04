"""A graph attention network for one big graph: one prediction per node."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch_geometric import nn as pyg
from torch_geometric.utils import add_self_loops, remove_self_loops

from gatlib.errors import InputError
from gatlib.kernels.remembered import remembered
from gatlib.models.node_architecture import NodeArchitecture
from gatlib.nn import GATConv, GATv2Conv, LinearAttention, TransformerConv
from gatlib.nn.dropout import Dropout
from gatlib.nn.neighbours import Neighbourhood
from gatlib.nn.sparse_linear import SparseLinear, drop_features, first_rows, taking_sparse_input


class _Edges(NamedTuple):
    """What a layer attends over."""

    edge_index: Tensor
    edge_attr: Tensor | None
    num_targets: int | None  # all lead to the first so many nodes, of which the layer puts out vectors; None: to all


class NodeLayer(nn.Module):
    r"""A hidden layer: attention over the edges, and where asked for, over all nodes, and a feed-forward network.

    .. math::
        \mathbf{H} &= \mathrm{Dropout}(\sigma(\mathrm{Norm}(\mathrm{Conv}(\mathbf{X}, \mathcal{E}) + \mathbf{X}
        \mathbf{W})))

        \mathbf{H}' &= \mathbf{H} + \mathrm{LinearAttention}(\mathrm{Norm}(\mathbf{H}))

        \mathbf{H}'' &= \mathbf{H}' + \mathrm{FFN}(\mathrm{Norm}(\mathbf{H}'))

    Without global attention and a feed-forward network it is the layer of tunedGNN (Luo et al., NeurIPS 2024).

    Args:
        settings: the architecture.
        in_channels: features per node that come in.
    """

    def __init__(self, settings: NodeArchitecture, in_channels: int) -> None:
        super().__init__()
        channels, heads = settings.hidden_channels, settings.heads
        self.conv = _conv(settings, in_channels, channels // heads, heads, concat=True)
        # A second linear map beside that of the MLP would add nothing.
        self.skip = SparseLinear(in_channels, channels) if settings.residual and settings.conv != "mlp" else None
        self.norm = _norm(settings)
        self.activation = nn.ReLU() if settings.activation == "relu" else nn.ELU()
        self.dropout = Dropout(settings.dropout)
        self.full = LinearAttention(channels, heads) if settings.global_attention else None
        self.full_norm = _norm(settings) if settings.global_attention else None
        width = settings.feed_forward * channels
        self.feed_forward = (
            nn.Sequential(
                _norm(settings), nn.Linear(channels, width), self.activation, self.dropout, nn.Linear(width, channels)
            )
            if width
            else None
        )

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, num_targets: int | None = None
    ) -> Tensor:
        """The vectors of all nodes, or of the first `num_targets` of them, to which all edges lead."""
        return self.over_nodes(self.over_edges(x, edge_index, edge_attr, num_targets))

    def over_edges(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, num_targets: int | None = None
    ) -> Tensor:
        """The first line above, which needs no nodes but the neighbours."""
        h = apply_conv(self.conv, x, edge_index, edge_attr, num_targets)
        if self.skip is not None:
            h = h + self.skip(first_rows(x, num_targets))
        return self.dropout(self.activation(self.norm(h)))

    def over_nodes(self, h: Tensor) -> Tensor:
        """The other two lines."""
        if self.full is not None and self.full_norm is not None:
            h = h + self.dropout(self.full(self.full_norm(h)))
        if self.feed_forward is not None:
            h = h + self.dropout(self.feed_forward(h))
        return h


class NodeAttentionNetwork(nn.Module):
    """Attention layers over one graph, and one output per node and class.

    With jumping knowledge (Xu et al., ICML 2018) the vectors of all layers are read side by side, of which the sum of
    them, as tunedGNN takes it, is a case. Every output depends on as many steps along the edges as there are layers,
    and on nothing beyond unless there is global attention.

    Args:
        settings: the architecture.
        in_channels: features per node.
        num_outputs: number of classes, or 1 for a value.
    """

    def __init__(self, settings: NodeArchitecture, in_channels: int, num_outputs: int) -> None:
        super().__init__()
        self.settings, self.in_channels, self.num_outputs = settings, in_channels, num_outputs
        num_hidden = settings.num_layers - (1 if settings.output_heads else 0)
        widths = [in_channels, *[settings.hidden_channels] * num_hidden]
        self.layers = nn.ModuleList(NodeLayer(settings, width) for width in widths[:num_hidden])
        if settings.output_heads:
            self.readout = _conv(settings, widths[-1], num_outputs, settings.output_heads, concat=False)
        else:
            num_read = num_hidden if settings.jumping_knowledge else 1
            self.readout = nn.Linear(num_read * widths[-1], num_outputs)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Logits or values of all nodes.

        Args:
            x: node features, dense or `torch.sparse_csr`; a sparse matrix is never made dense.
            edge_index: source and target of every edge; both directions of an undirected graph.
            edge_attr: edge features, if, and only if, the settings say how many.

        Shapes:
            - **x:** :math:`(N, F)`, **edge_index:** :math:`(2, E)`, **edge_attr:** :math:`(E, D)`
            - **output:** :math:`(N, C)`

        Raises:
            InputError: the features have another width than the network was made for.
        """
        self.check(x, edge_index, edge_attr)
        # Every node is a neighbour of its own.
        if self.settings.self_loops and self.settings.conv != "mlp":
            edge_index, edge_attr = with_self_loops(edge_index, edge_attr, x.size(0))
        return self._apply_layers(x, [_Edges(edge_index, edge_attr, None)] * self.settings.num_layers)

    def of_neighbourhood(self, x: Tensor, around: Neighbourhood, edge_attr: Tensor | None = None) -> Tensor:
        """Logits or values of the nodes that the neighbourhood is one of.

        Of a whole neighbourhood they are those that :meth:`forward` gives these nodes in evaluation mode. Each layer is
        applied to no more nodes than the next one needs. Global attention is to the nodes that the layer is applied to.

        Args:
            x: features of the nodes of the neighbourhood, dense or `torch.sparse_csr`.
            around: what :class:`gatlib.nn.neighbours.NeighbourSampler` found in ``num_layers`` steps.
            edge_attr: features of its edges.

        Shapes:
            - **x:** :math:`(n, F)`, **edge_attr:** :math:`(e, D)`
            - **output:** :math:`(B, C)`

        Raises:
            InputError: as :meth:`forward`; convolution ``gcn``, which needs the degrees of all nodes.
        """
        if self.settings.conv == "gcn":
            raise InputError("conv 'gcn' needs the degrees of all nodes: use another one for neighbourhoods")
        self.check(x, around.edge_index, edge_attr)
        edges = []
        for num_targets, num_edges in zip(around.num_nodes[-2::-1], around.num_edges[::-1], strict=True):
            edge_index = around.edge_index[:, :num_edges].contiguous()
            attr = None if edge_attr is None else edge_attr[:num_edges]
            if self.settings.self_loops:
                edge_index, attr = with_self_loops(edge_index, attr, num_targets)
            edges.append(_Edges(edge_index, attr, num_targets))
        return self._apply_layers(x, edges)

    def _apply_layers(self, x: Tensor, edges: list[_Edges]) -> Tensor:
        """From features to logits; there are edges for every layer, the last one included that puts out classes."""
        # 1. Layers.
        h = drop_features(x, self.settings.feature_dropout, self.training)
        states = []
        for layer, layer_edges in zip(self.layers, edges, strict=False):
            h = self._layer(layer, h, layer_edges)
            states.append(h)
        # 2. Classes.
        if self.settings.output_heads:
            return apply_conv(self.readout, h, *edges[-1])
        if self.settings.jumping_knowledge:
            h = torch.cat([state[: h.size(0)] for state in states], dim=1)
        return self.readout(h)

    def _layer(self, layer: nn.Module, h: Tensor, edges: _Edges) -> Tensor:
        if not (self.settings.checkpoint_activations and torch.is_grad_enabled()):
            return layer(h, *edges)
        return checkpoint(
            layer,
            h,
            *edges,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _without_statistics(layer)),
        )

    def check(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> None:
        if x.dim() != 2 or x.size(1) != self.in_channels:
            raise InputError(
                f"the node features have shape {list(x.shape)} where the network takes [nodes, {self.in_channels}]: "
                "give the features that it was trained with"
            )
        width = self.settings.edge_features
        found = None if edge_attr is None else list(edge_attr.shape)
        expected = [edge_index.size(1), width] if width else None
        if found != expected:
            raise InputError(
                f"the edge features have shape {found} where the network takes {expected}: "
                "set edge_features to their number, 0 for none"
            )


def _conv(settings: NodeArchitecture, in_channels: int, out_channels: int, heads: int, concat: bool) -> nn.Module:
    """Maps ``[N, in_channels]`` to ``[N, heads * out_channels]``, or to the mean over heads."""
    width = heads * out_channels if concat else out_channels
    if settings.conv == "mlp":
        return SparseLinear(in_channels, width)
    # Self-loops are added once, by the network.
    if settings.conv == "gcn":
        conv = pyg.GCNConv(in_channels, width, add_self_loops=False)
    else:
        edge_dim, dropout = settings.edge_features or None, settings.attention_dropout
        if settings.conv == "transformer":
            conv = TransformerConv(
                in_channels, out_channels, heads, concat, dropout=dropout, edge_dim=edge_dim, root_weight=False
            )
            conv.lin_skip = nn.Identity()  # which PyG makes whether it is asked for or not
        else:
            conv = (GATConv if settings.conv == "gat" else GATv2Conv)(
                in_channels, out_channels, heads, concat, dropout=dropout, edge_dim=edge_dim, add_self_loops=False
            )
    return taking_sparse_input(conv)


def apply_conv(
    conv: nn.Module, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, num_targets: int | None
) -> Tensor:
    targets = first_rows(x, num_targets)
    if isinstance(conv, SparseLinear):
        return conv(targets)
    nodes = x if num_targets is None else (x, targets)
    if isinstance(conv, pyg.GCNConv) or edge_attr is None:
        return conv(nodes, edge_index)
    return conv(nodes, edge_index, edge_attr)


def _norm(settings: NodeArchitecture) -> nn.Module:
    return {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}[settings.norm](
        settings.hidden_channels
    )


def with_self_loops(edge_index: Tensor, edge_attr: Tensor | None, num_nodes: int) -> tuple[Tensor, Tensor | None]:
    """The graph with one self-loop for each of the first nodes, with the mean of the features of the edges to it."""
    if edge_attr is not None:
        others, attr = remove_self_loops(edge_index, edge_attr)
        edge_attr = add_self_loops(others, attr, fill_value="mean", num_nodes=num_nodes)[1]
    # The same tensor each time, so that the kernels sort its edges once.
    return remembered(_with_self_loops, edge_index, num_nodes), edge_attr


def _with_self_loops(edge_index: Tensor, num_nodes: int) -> Tensor:
    return add_self_loops(remove_self_loops(edge_index)[0], num_nodes=num_nodes)[0]


@contextmanager
def _without_statistics(layer: nn.Module) -> Iterator[None]:
    """Batch normalisation has counted this batch already when a layer is computed again."""
    norms = [module for module in layer.modules() if isinstance(module, nn.BatchNorm1d)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
