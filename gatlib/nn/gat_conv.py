"""Graph attention networks (Velickovic et al., 2018): `torch_geometric.nn.GATConv` without its messages."""

from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
import torch_geometric.nn as pyg
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.typing import Adj, OptPairTensor, OptTensor, Size, SparseTensor

from gatlib.nn.functional import Implementation, edge_attention
from gatlib.nn.message_passing import (
    append_loop_attr,
    check_channels,
    check_num_nodes,
    graph_with_weights,
    has_static_features,
    is_plain_linear,
    join_heads,
    needs_message_passing,
    source_target_edges,
    to_csr_if_csc,
)

# So few numbers are made faster than avoided.
SMALL = 2**20


class GATConv(pyg.GATConv):
    r"""The graph attention layer of `"Graph Attention Networks" <https://arxiv.org/abs/1710.10903>`_.

    .. math::
        \mathbf{x}'_i = \mathbf{b} + \sum_{j \in \mathcal{N}(i) \cup \{i\}}
        \alpha_{ij} \mathbf{W}_s \mathbf{x}_j, \qquad
        \alpha_{ij} = \underset{j}{\mathrm{softmax}} \; \mathrm{LeakyReLU} \left(
        \mathbf{a}_t^\top \mathbf{W}_t \mathbf{x}_i + \mathbf{a}_s^\top \mathbf{W}_s \mathbf{x}_j
        + \mathbf{a}_e^\top \mathbf{W}_e \mathbf{e}_{ij} \right)

    for every head, heads concatenated or averaged. :math:`\mathbf{W}_s = \mathbf{W}_t` unless the graph is
    bipartite; the last term is there if `edge_dim` is given.

    Constructor, parameters, initialisation and results are those of `torch_geometric.nn.GATConv`, of which
    this is a subclass; either loads the other's `state_dict`. The difference is that no tensor of shape
    [edges, heads, channels] outlives its use, and that dropout, under the same seed, ignores other neighbours; see
    `gatlib.nn.functional.edge_attention`.

    Args:
        in_channels (int or tuple): Features per node, a pair (source, target) for a bipartite graph; -1 to
            take them from the first input.
        out_channels (int): Features per node and head that come out.
        heads (int): Number of attention heads. Default: 1.
        concat (bool): Concatenate the heads; average them otherwise. Default: True.
        negative_slope (float): Slope of the LeakyReLU. Default: 0.2.
        dropout (float): Probability of ignoring a neighbour in training. Default: 0.
        add_self_loops (bool): Replace the self-loops of the graph by one for each node. Default: True.
        edge_dim (int, optional): Features per edge; without it edge features are ignored. Default: None.
        fill_value (float, Tensor or str): Edge features of the added self-loops: a value, or how to make one
            from the edges that point to the node ("add", "mean", "min", "max", "mul"). Default: "mean".
        bias (bool): Add a learned vector to the output. Default: True.
        residual (bool): Add a learned linear map of the target node's own features. Default: False.
        **kwargs: Arguments of `torch_geometric.nn.MessagePassing`; an `aggr` other than a sum, for one, takes
            the way of PyG.

    Attributes:
        implementation: What computes the attention; see `gatlib.nn.functional.edge_attention`. Set
            ``conv.implementation = "reference"`` for second derivatives. Default: ``"auto"``.

    Shapes:
        - **x:** :math:`(N, F)`, or :math:`((N_s, F_s), (N_t, F_t))` for a bipartite graph, whose second part
          may be None
        - **edge_index:** :math:`(2, E)`, or the transposed sparse adjacency matrix :math:`(N_t, N_s)`
        - **edge_attr:** :math:`(E, D)`
        - **output:** :math:`(N_t, H \cdot C)`, or :math:`(N_t, C)` with ``concat=False``
    """

    implementation: Implementation = "auto"

    # PyG generates code from these. Left to itself, it looks for them in the source of the class called GATConv
    # and finds ours instead of its own.
    propagate_type: ClassVar = {"x": "OptPairTensor", "alpha": "Tensor"}
    edge_updater_type: ClassVar = {"alpha": "OptPairTensor", "edge_attr": "OptTensor"}
    # The parent's may be generated code by now, and that cannot explain: start from the original, as it did.
    propagate = MessagePassing.propagate
    edge_updater = MessagePassing.edge_updater

    def forward(
        self,
        x: Tensor | OptPairTensor,
        edge_index: Adj,
        edge_attr: OptTensor = None,
        size: Size = None,
        return_attention_weights: bool | None = None,
    ) -> Tensor | tuple[Tensor, tuple[Tensor, Tensor]] | tuple[Tensor, SparseTensor]:
        r"""Attends to the neighbours of every target node.

        Args:
            x: Node features, or the pair (source, target).
            edge_index: The graph: source and target of every edge, `EdgeIndex`, or transposed sparse matrix.
            edge_attr: Edge features. Default: None.
            size: Number of (source, target) nodes, where it cannot be read off `x`. Default: None.
            return_attention_weights: If true, also return `(edge_index, attention weights [E, H])` with the
                self-loops added and after dropout. Default: None.
        """
        if needs_message_passing(self, pyg.GATConv, x, edge_index):
            return super().forward(x, edge_index, edge_attr, size, return_attention_weights)
        edge_index = to_csr_if_csc(edge_index)

        # 1. Project the nodes. The order is PyG's: layers that initialise lazily draw in it.
        x_source, x_target = (x, x) if isinstance(x, Tensor) else x
        assert not has_static_features(x), (
            "Static graphs not supported in 'GATConv': x must have shape [nodes, channels]"
        )
        lin_source, lin_target = (self.lin_src, self.lin_dst) if self.lin is None else (self.lin, self.lin)
        check_channels(x, lin_source, lin_target)
        residual = self.res(x_target) if self.res is not None and x_target is not None else None
        source = target = lin_source(x_source).view(-1, self.heads, self.out_channels)
        if x_target is None:
            target = None
        elif x_target is not x_source or lin_target is not lin_source:
            target = lin_target(x_target).view(-1, self.heads, self.out_channels)

        # 2. Read the graph.
        num_targets = check_num_nodes(self, edge_index, size, source, target)
        edges, edge_attr = source_target_edges(self, edge_index, edge_attr)

        # 3. Attend. A score is the sum of a number for each end and one for the edge.
        if target is source:
            key, query = _attended(x_source, lin_source, source, [self.att_src, self.att_dst])
        else:
            (key,) = _attended(x_source, lin_source, source, [self.att_src])
            if x_target is None or target is None:
                query = key.new_zeros(num_targets, self.heads, 1)
            else:
                (query,) = _attended(x_target, lin_target, target, [self.att_dst])
        edge_weight = None
        if self.lin_edge is None:
            edge_attr = None
        elif edge_attr is not None:
            if self.add_self_loops:
                edge_attr = append_loop_attr(self, edges, edge_attr, source.size(0), num_targets)
            edge_attr = edge_attr.view(-1, 1) if edge_attr.dim() == 1 else edge_attr
            weight = self.lin_edge.weight.view(self.heads, self.out_channels, -1)
            edge_weight = torch.bmm(self.att_edge.transpose(0, 1), weight).squeeze(1)  # [H, D]
        attend = partial(
            edge_attention,
            query,
            key,
            source,
            edges,
            score="additive",
            edge_attr=edge_attr,
            edge_weight=edge_weight,
            negative_slope=self.negative_slope,
            dropout=self.dropout if self.training else 0.0,
            add_self_loops=self.add_self_loops,
            implementation=self.implementation,
        )
        if return_attention_weights:
            out, alpha = attend(return_attention_weights=True)
        else:
            out, alpha = attend(), None

        # 4. Join the heads.
        out = join_heads(out, self.concat, [residual, self.bias])
        return out if alpha is None else (out, graph_with_weights(self, edge_index, edges, alpha))


def _attended(x: Tensor, lin: pyg.Linear, projected: Tensor, atts: list[Tensor]) -> list[Tensor]:
    """a · W x, one number [N, H, 1] for every node and head, for each vector a [1, H, C].

    On a large graph as (a W) · x, where nothing of the size of W x, here `projected` [N, H, C], is made.
    """
    is_small = torch.compiler.is_compiling() or projected.numel() < SMALL  # a compiler makes it in passing
    if is_small or not is_plain_linear(lin) or x.is_sparse or x.dtype != projected.dtype:  # the last: autocast
        return [(projected * att).sum(dim=-1, keepdim=True) for att in atts]
    _, heads, channels = projected.shape
    folded = torch.bmm(torch.cat(atts).transpose(0, 1), lin.weight.view(heads, channels, -1))
    numbers = F.linear(x, folded.flatten(end_dim=1)).view(-1, heads, len(atts), 1)
    return list(numbers.unbind(dim=2))
