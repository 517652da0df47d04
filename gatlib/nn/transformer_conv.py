"""UniMP's graph transformer (Shi et al., 2021): `torch_geometric.nn.TransformerConv` without its messages."""

from functools import partial
from typing import ClassVar

import torch
import torch_geometric.nn as pyg
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.typing import Adj, OptTensor, PairTensor, SparseTensor

from gatlib.nn.functional import Implementation, edge_attention
from gatlib.nn.message_passing import (
    check_channels,
    check_num_nodes,
    has_static_features,
    join_heads,
    needs_message_passing,
    source_target_edges,
    to_csr_if_csc,
)
from gatlib.nn.projection import project


class TransformerConv(pyg.TransformerConv):
    r"""The graph transformer layer of `"Masked Label Prediction: Unified Message Passing Model for
    Semi-Supervised Classification" <https://arxiv.org/abs/2009.03509>`_.

    .. math::
        \mathbf{m}_i = \sum_{j \in \mathcal{N}(i)} \alpha_{ij} (\mathbf{W}_v \mathbf{x}_j + \mathbf{W}_e
        \mathbf{e}_{ij}), \qquad \alpha_{ij} = \underset{j}{\mathrm{softmax}} \; \frac{
        (\mathbf{W}_q \mathbf{x}_i)^\top (\mathbf{W}_k \mathbf{x}_j + \mathbf{W}_e \mathbf{e}_{ij})}{\sqrt{C}}

    for every head, heads concatenated or averaged; :math:`\mathbf{e}_{ij}` is there if `edge_dim` is given.
    With :math:`\mathbf{r}_i = \mathbf{W}_r \mathbf{x}_i`, the layer returns
    :math:`\mathbf{m}_i + \mathbf{r}_i`, or with ``beta=True``

    .. math::
        \mathbf{x}'_i = \beta_i \mathbf{r}_i + (1 - \beta_i) \mathbf{m}_i, \qquad
        \beta_i = \sigma \left(
        \mathbf{w}^\top [\mathbf{m}_i, \mathbf{r}_i, \mathbf{m}_i - \mathbf{r}_i] \right)

    Constructor, parameters, initialisation and results are those of `torch_geometric.nn.TransformerConv`, of
    which this is a subclass; either loads the other's `state_dict`. The difference is that no tensor of shape
    [edges, heads, channels] outlives its use, and that dropout, under the same seed, ignores other neighbours; see
    `gatlib.nn.functional.edge_attention`.

    Args:
        in_channels (int or tuple): Features per node, a pair (source, target) for a bipartite graph; -1 to
            take them from the first input.
        out_channels (int): Features per node and head that come out.
        heads (int): Number of attention heads. Default: 1.
        concat (bool): Concatenate the heads; average them otherwise. Default: True.
        beta (bool): Weigh neighbours against the node itself as above. Default: False.
        dropout (float): Probability of ignoring a neighbour in training. Default: 0.
        edge_dim (int, optional): Features per edge. Default: None.
        bias (bool): Add learned vectors to the projections. Default: True.
        root_weight (bool): Add :math:`\mathbf{r}_i`; without it, `beta` is off too. Default: True.
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

    # For what these two lines are, see `GATConv`.
    propagate_type: ClassVar = {
        "query": "Tensor",
        "key": "Tensor",
        "value": "Tensor",
        "edge_attr": "OptTensor",
    }
    propagate = MessagePassing.propagate

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
            edge_attr: Edge features; required if, and only if, the layer has `edge_dim`. Default: None.
            return_attention_weights: If True or False, but not None, also return
                `(edge_index, attention weights [E, H])`, before dropout. Default: None.
        """
        if has_static_features(x):  # in PyG an error by luck, and only with `root_weight`
            raise RuntimeError("Static graphs not supported in 'TransformerConv': x must have shape [nodes, channels]")
        if needs_message_passing(self, pyg.TransformerConv, x, edge_index):
            return super().forward(x, edge_index, edge_attr, return_attention_weights)
        edge_index = to_csr_if_csc(edge_index)
        edges, edge_attr = source_target_edges(self, edge_index, edge_attr)
        if self.lin_edge is None and edge_attr is not None:
            # PyG adds such features to the values as they are, whatever they broadcast to.
            return super().forward(x, edge_index, edge_attr, return_attention_weights)

        # 1. Project the nodes. The order is PyG's: layers that initialise lazily draw in it.
        x_source, x_target = (x, x) if isinstance(x, Tensor) else x
        check_channels(x, self.lin_key, self.lin_query)
        if x_source is x_target:
            nodes = project(x_source, self.lin_query, self.lin_key, self.lin_value)
        else:
            nodes = [self.lin_query(x_target), self.lin_key(x_source), self.lin_value(x_source)]
        query, key, value = (projected.view(-1, self.heads, self.out_channels) for projected in nodes)

        # 2. Attend.
        check_num_nodes(self, edge_index, None, key, query)
        edge_weight = None
        if self.lin_edge is not None:
            assert edge_attr is not None, "A layer with 'edge_dim' needs edge features"
            edge_weight = self.lin_edge.weight
        attend = partial(
            edge_attention,
            query,
            key,
            value,
            edges,
            score="dot",
            edge_attr=edge_attr,
            edge_weight=edge_weight,
            implementation=self.implementation,
        )
        dropout = self.dropout if self.training else 0.0
        alpha = None
        if not isinstance(return_attention_weights, bool):
            out = attend(dropout=dropout)
        else:
            out, alpha = attend(dropout=dropout, return_attention_weights=True)
            if dropout > 0:
                _, alpha = attend(return_attention_weights=True)

        # 3. Join the heads, and the node itself.
        root = project(x_target, self.lin_skip)[0] if self.root_weight else None
        if root is None or self.lin_beta is None:
            out = join_heads(out, self.concat, [root])
        else:
            out = join_heads(out, self.concat, [])
            beta = self.lin_beta(torch.cat([out, root, out - root], dim=-1)).sigmoid()
            out = beta * root + (1 - beta) * out

        return out if alpha is None else (out, (edge_index, alpha))
