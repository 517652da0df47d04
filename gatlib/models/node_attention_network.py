"""A graph attention network for one big graph: one prediction per node."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch_geometric import nn as pyg
from torch_geometric.utils import add_self_loops, remove_self_loops

from gatlib.errors import InputError
from gatlib.models.node_architecture import NodeArchitecture
from gatlib.nn import GATConv, GATv2Conv, LinearAttention, TransformerConv
from gatlib.nn.dropout import Dropout
from gatlib.nn.remembered import remembered
from gatlib.nn.sparse_linear import SparseLinear, drop_features, taking_sparse_input


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

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
        h = _over_edges(self.conv, x, edge_index, edge_attr)
        if self.skip is not None:
            h = h + self.skip(x)
        h = self.dropout(self.activation(self.norm(h)))
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
        self.settings, self.in_channels = settings, in_channels
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
        self._check(x, edge_index, edge_attr)
        # 1. Every node is a neighbour of its own.
        if self.settings.self_loops and self.settings.conv != "mlp":
            edge_index, edge_attr = _with_self_loops(edge_index, edge_attr, x.size(0))
        # 2. Layers.
        h = drop_features(x, self.settings.feature_dropout, self.training)
        states = [h]
        for layer in self.layers:
            h = self._layer(layer, h, edge_index, edge_attr)
            states.append(h)
        # 3. Classes.
        if self.settings.output_heads:
            return _over_edges(self.readout, h, edge_index, edge_attr)
        return self.readout(torch.cat(states[1:], dim=1) if self.settings.jumping_knowledge else h)

    def _layer(self, layer: nn.Module, h: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
        if not (self.settings.checkpoint_activations and torch.is_grad_enabled()):
            return layer(h, edge_index, edge_attr)
        return checkpoint(
            layer,
            h,
            edge_index,
            edge_attr,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _without_statistics(layer)),
        )

    def _check(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> None:
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


def _over_edges(conv: nn.Module, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
    if isinstance(conv, SparseLinear):
        return conv(x)
    if isinstance(conv, pyg.GCNConv) or edge_attr is None:
        return conv(x, edge_index)
    return conv(x, edge_index, edge_attr)


def _norm(settings: NodeArchitecture) -> nn.Module:
    return {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}[settings.norm](
        settings.hidden_channels
    )


def _with_self_loops(edge_index: Tensor, edge_attr: Tensor | None, num_nodes: int) -> tuple[Tensor, Tensor | None]:
    """The graph with one self-loop for each node, whose features are the mean of those of the edges to it."""
    if edge_attr is not None:
        others, attr = remove_self_loops(edge_index, edge_attr)
        edge_attr = add_self_loops(others, attr, fill_value="mean", num_nodes=num_nodes)[1]
    # The same tensor each time, so that the kernels sort its edges once.
    known = remembered(_no_graphs, edge_index)
    if num_nodes not in known:
        with torch.inference_mode(False):  # training may come later
            known[num_nodes] = add_self_loops(remove_self_loops(edge_index)[0], num_nodes=num_nodes)[0]
    return known[num_nodes], edge_attr


def _no_graphs(_: Tensor) -> dict[int, Tensor]:
    return {}


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
