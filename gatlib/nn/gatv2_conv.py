"""GATv2 (Brody et al., 2022): `torch_geometric.nn.GATv2Conv` without its messages."""

from functools import partial
from typing import ClassVar

import torch_geometric.nn as pyg
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.typing import Adj, OptTensor, PairTensor, SparseTensor

from gatlib.nn.functional import Implementation, edge_attention
from gatlib.nn.message_passing import (
    append_loop_attr,
    check_channels,
    check_num_nodes,
    graph_with_weights,
    has_static_features,
    join_heads,
    needs_message_passing,
    source_target_edges,
    to_csr_if_csc,
)
from gatlib.nn.projection import project


class GATv2Conv(pyg.GATv2Conv):
    r"""The attention layer of `"How Attentive are Graph Attention Networks?" <https://arxiv.org/abs/2105.14491>`_.

    .. math::
        \mathbf{x}'_i = \mathbf{b} + \sum_{j \in \mathcal{N}(i) \cup \{i\}}
        \alpha_{ij} \mathbf{W}_l \mathbf{x}_j, \qquad
        \alpha_{ij} = \underset{j}{\mathrm{softmax}} \; \mathbf{a}^\top \mathrm{LeakyReLU} \left(
        \mathbf{W}_r \mathbf{x}_i + \mathbf{W}_l \mathbf{x}_j + \mathbf{W}_e \mathbf{e}_{ij} \right)

    for every head, heads concatenated or averaged. Because :math:`\mathbf{a}` comes after the LeakyReLU,
    which neighbour ranks first may depend on the node that asks; in GAT it cannot. :math:`\mathbf{W}_l` and
    :math:`\mathbf{W}_r` have biases of their own, left out here.

    Constructor, parameters, initialisation and results are those of `torch_geometric.nn.GATv2Conv`, of which
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
        edge_dim (int, optional): Features per edge. Default: None.
        fill_value (float, Tensor or str): Edge features of the added self-loops: a value, or how to make one
            from the edges that point to the node ("add", "mean", "min", "max", "mul"). Default: "mean".
        bias (bool): Add learned vectors to the projections and to the output. Default: True.
        share_weights (bool): Let :math:`\mathbf{W}_r` be :math:`\mathbf{W}_l`. Default: False.
        residual (bool): Add a learned linear map of the target node's own features. Default: False.
        **kwargs: Arguments of `torch_geometric.nn.MessagePassing`; an `aggr` other than a sum, for one, takes
            the way of PyG.

    Attributes:
        implementation: What computes the attention; see `gatlib.nn.functional.edge_attention`. Set
            ``conv.implementation = "reference"`` for second derivatives. Default: ``"auto"``.

    Shapes:
        - **x:** :math:`(N, F)`, or :math:`((N_s, F_s), (N_t, F_t))` for a bipartite graph
        - **edge_index:** :math:`(2, E)`, or the transposed sparse adjacency matrix :math:`(N_t, N_s)`
        - **edge_attr:** :math:`(E, D)`
        - **output:** :math:`(N_t, H \cdot C)`, or :math:`(N_t, C)` with ``concat=False``
    """

    implementation: Implementation = "auto"

    # For what these four lines are, see `GATConv`.
    propagate_type: ClassVar = {"x": "PairTensor", "alpha": "Tensor"}
    edge_updater_type: ClassVar = {"x": "PairTensor", "edge_attr": "OptTensor"}
    propagate = MessagePassing.propagate
    edge_updater = MessagePassing.edge_updater

    def forward(
        self,
        x: Tensor | PairTensor,
        edge_index: Adj,
        edge_attr: OptTensor = None,
        return_attention_weights: bool | None = None,
    ) -> Tensor | tuple[Tensor, tuple[Tensor, Tensor]] | tuple[Tensor, SparseTensor]:
        r"""Attends to the neighbours of every target node.

        Args:
            x: Node features, or the pair (source, target).
            edge_index: The graph: source and target of every edge, `EdgeIndex`, or transposed sparse matrix.
            edge_attr: Edge features. Default: None.
            return_attention_weights: If true, also return `(edge_index, attention weights [E, H])` with the
                self-loops added and after dropout. Default: None.
        """
        if needs_message_passing(self, pyg.GATv2Conv, x, edge_index):
            return super().forward(x, edge_index, edge_attr, return_attention_weights)
        edge_index = to_csr_if_csc(edge_index)

        # 1. Project the nodes. The order is PyG's: layers that initialise lazily draw in it.
        x_source, x_target = (x, x) if isinstance(x, Tensor) else x
        assert not has_static_features(x), (
            "Static graphs not supported in 'GATv2Conv': x must have shape [nodes, channels]"
        )
        assert x_target is not None
        check_channels(x, self.lin_l, self.lin_r)
        residual = None if self.res is None else self.res(x_target)
        if x_target is not x_source:
            nodes = [self.lin_l(x_source), self.lin_r(x_target)]
        else:
            nodes = project(x_source, *((self.lin_l,) if self.lin_r is self.lin_l else (self.lin_l, self.lin_r)))
        nodes = [node.view(-1, self.heads, self.out_channels) for node in nodes]
        key, query = nodes[0], nodes[-1]

        # 2. Read the graph.
        check_num_nodes(self, edge_index, None, key, query)
        edges, edge_attr = source_target_edges(self, edge_index, edge_attr)
        edge_weight = None
        if edge_attr is not None:
            assert self.lin_edge is not None, "Edge features were given to a layer without 'edge_dim'"
            if self.add_self_loops:
                edge_attr = append_loop_attr(self, edges, edge_attr, key.size(0), query.size(0))
            edge_attr = edge_attr.view(-1, 1) if edge_attr.dim() == 1 else edge_attr
            edge_weight = self.lin_edge.weight

        # 3. Attend.
        attend = partial(
            edge_attention,
            query,
            key,
            key,
            edges,
            score="additive-dynamic",
            att=self.att.squeeze(0),
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
