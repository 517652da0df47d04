"""Attention pooling: from the nodes of each graph to one vector, each node with a learned weight.

The poolings without weights are PyG's: `global_add_pool`, `global_mean_pool`, `global_max_pool`. Those here are called
as they are.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import global_add_pool
from torch_geometric.utils import softmax

from gatlib.nn.batches import pointers
from gatlib.nn.checks import check_heads, check_nodes
from gatlib.nn.functional import Implementation, edge_attention
from gatlib.nn.projection import project_columns


class GatedAttentionPooling(nn.Module):
    r"""The gated pooling of `"Attention-based Deep Multiple Instance Learning" <https://arxiv.org/abs/1802.04712>`_.

    .. math::
        \mathbf{z}_g = \mathbf{W} \sum_{i \in g} \alpha_i \mathbf{x}_i, \qquad
        \alpha_i = \underset{i \in g}{\mathrm{softmax}} \; \mathbf{w}^\top \left( \tanh (\mathbf{V} \mathbf{x}_i) \odot
        \sigma (\mathbf{U} \mathbf{x}_i) \right)

    for the nodes :math:`i` of each graph :math:`g`. :math:`\mathbf{V}` and :math:`\mathbf{U}` have biases of their own,
    left out here. :math:`\mathbf{W}` is not in the paper; it is there if `out_channels` is given.

    Args:
        channels: Features per node.
        out_channels: Features per graph; None for those of a node, without :math:`\mathbf{W}`. Default: None.
        hidden_channels: Rows of :math:`\mathbf{V}` and :math:`\mathbf{U}`; None for as many as `channels`.
            Default: None.

    Shapes:
        - **x:** :math:`(N, C)`, **batch:** :math:`(N)`, not falling
        - **output:** :math:`(G, C)`, or :math:`(G, C_{\mathrm{out}})`, exactly zero for a graph without nodes; the
          attention weights :math:`(N, 1)`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def __init__(self, channels: int, out_channels: int | None = None, hidden_channels: int | None = None) -> None:
        super().__init__()
        hidden_channels = channels if hidden_channels is None else hidden_channels
        _check_at_least(1, channels=channels, hidden_channels=hidden_channels)
        if out_channels is not None:
            _check_at_least(1, out_channels=out_channels)
        self.channels = channels
        self.lin_hidden = nn.Linear(channels, hidden_channels)
        self.lin_gate = nn.Linear(channels, hidden_channels)
        self.lin_score = nn.Linear(hidden_channels, 1, bias=False)  # the softmax would take a bias away again
        # Without a bias, so that a graph without nodes stays zero.
        self.lin_out = nn.Identity() if out_channels is None else nn.Linear(channels, out_channels, bias=False)

    def forward(
        self,
        x: Tensor,
        batch: Tensor | None = None,
        num_graphs: int | None = None,
        *,
        return_attention_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Pools each graph.

        Args:
            x: Node features.
            batch: The graph of every node; None for one graph.
            num_graphs: Number of graphs, where the last ones may have no nodes; None for the last of `batch` and one.
            return_attention_weights: Also return the weight of every node in its graph. Default: False.
        """
        batch, num_graphs = _graphs(x, self.channels, batch, num_graphs)
        scores = self.lin_score(self.lin_hidden(x).tanh() * self.lin_gate(x).sigmoid())
        weights = softmax(scores, batch, num_nodes=num_graphs)
        out = self.lin_out(global_add_pool(weights * x, batch, num_graphs))
        return (out, weights) if return_attention_weights else out


class MultiheadAttentionPooling(nn.Module):
    r"""Learned queries attend to the nodes of each graph, as in the `Set Transformer <https://arxiv.org/abs/1810.00825>`_.

    .. math::
        \mathbf{z}_g = \Big\Vert_{r=1}^{Q} \left( \mathbf{b}_o + \mathbf{W}_o \Big\Vert_{h=1}^{H} \sum_{i \in g}
        \alpha^h_{ir} \mathbf{v}^h_i \right), \qquad
        \alpha^h_{ir} = \underset{i \in g}{\mathrm{softmax}} \; \frac{\mathbf{q}^{h \top}_r
        \mathbf{k}^h_i}{\sqrt{C / H}}

    where :math:`\mathbf{q}_r` are projections of the learned queries :math:`\mathbf{s}_r`, the same for all graphs, and
    :math:`\mathbf{k}_i, \mathbf{v}_i` of the nodes. This is the attention of the paper's PMA; the residual network
    around it is in :class:`SetTransformerPooling`. No graph is padded to the size of another.

    Parameters other than the queries have the names, the shapes and the initialisation of
    `torch.nn.MultiheadAttention` (`Vaswani et al. <https://arxiv.org/abs/1706.03762>`_), and the results for each graph
    are those of that layer.

    Args:
        channels: Features per node.
        heads: Number of attention heads, which divides `channels`. Default: 1.
        num_queries: Number of learned queries :math:`Q`, whose results are concatenated. Default: 1.
        dropout: Probability of ignoring a node in training, for each query and head. Default: 0.

    Attributes:
        implementation: What computes the attention; see `gatlib.nn.functional.edge_attention`. Set
            ``pooling.implementation = "reference"`` for second derivatives. Default: ``"auto"``.

    Shapes:
        - **x:** :math:`(N, C)`, **batch:** :math:`(N)`, not falling
        - **output:** :math:`(G, Q \cdot C)`, exactly zero for a graph without nodes; the attention weights
          :math:`(N, Q, H)`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    implementation: Implementation = "auto"

    def __init__(self, channels: int, heads: int = 1, num_queries: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        _check_at_least(1, channels=channels, num_queries=num_queries)
        check_heads(channels, heads)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be a probability from 0 to 1; found {dropout}.")
        self.channels, self.heads, self.num_queries, self.dropout = channels, heads, num_queries, dropout
        self.queries = nn.Parameter(torch.empty(num_queries, channels))
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.queries)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def extra_repr(self) -> str:
        return f"{self.channels}, heads={self.heads}, num_queries={self.num_queries}"

    def forward(
        self,
        x: Tensor,
        batch: Tensor | None = None,
        num_graphs: int | None = None,
        *,
        return_attention_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Pools each graph.

        Args:
            x: Node features.
            batch: The graph of every node; None for one graph.
            num_graphs: Number of graphs, where the last ones may have no nodes; None for the last of `batch` and one.
            return_attention_weights: Also return the weight of every node for each query and head, after dropout.
                Default: False.
        """
        batch, num_graphs = _graphs(x, self.channels, batch, num_graphs)
        # 1. Project the queries, a copy for each graph, and the nodes.
        channels, head_shape = self.channels, (-1, self.heads, self.channels // self.heads)
        weight, bias = self.in_proj_weight, self.in_proj_bias
        query = F.linear(self.queries, weight[:channels], bias[:channels]).expand(num_graphs, -1, -1)
        key, value = project_columns(x, weight[channels:], bias[channels:], [channels, channels])

        # 2. Attend over the graph whose edges lead from every node to the queries of its own graph.
        ranks = torch.arange(self.num_queries, device=x.device)
        source = torch.arange(x.size(0), device=x.device).repeat_interleave(self.num_queries)
        target = (batch.unsqueeze(-1) * self.num_queries + ranks).flatten()
        attend = partial(
            edge_attention,
            query.reshape(head_shape),
            key.view(head_shape),
            value.view(head_shape),
            torch.stack([source, target]),
            score="dot",
            dropout=self.dropout if self.training else 0.0,
            implementation=self.implementation,
        )
        if return_attention_weights:
            out, weights = attend(return_attention_weights=True)
        else:
            out, weights = attend(), None

        # 3. Join heads and queries. The bias is not for graphs without nodes.
        out = self.out_proj(out.flatten(start_dim=1)).view(num_graphs, self.num_queries * channels)
        out = _zero_without_nodes(out, batch)
        return out if weights is None else (out, weights.view(-1, self.num_queries, self.heads))


class SetTransformerPooling(nn.Module):
    r"""The decoder of the `Set Transformer <https://arxiv.org/abs/1810.00825>`_, over the nodes of each graph.

    .. math::
        \mathrm{PMA}(\mathbf{X}_g) &= \mathrm{MAB}(\mathbf{S}, \mathrm{ReLU}(\mathbf{X}_g \mathbf{W}_1 + \mathbf{b}_1))

        \mathrm{SAB}(\mathbf{Z}) &= \mathrm{MAB}(\mathbf{Z}, \mathbf{Z})

        \mathrm{MAB}(\mathbf{Z}, \mathbf{Y}) &= \mathrm{LayerNorm}(\mathbf{H} +
        \mathrm{ReLU}(\mathbf{H} \mathbf{W}_2 + \mathbf{b}_2)), \qquad
        \mathbf{H} = \mathrm{LayerNorm}(\mathbf{Z} + \mathrm{Multihead}(\mathbf{Z}, \mathbf{Y}, \mathbf{Y}))

    with learned queries :math:`\mathbf{S}`, :math:`Q` for each graph: they attend to the nodes
    (:class:`MultiheadAttentionPooling`) in PMA, then to each other in the self-attention blocks SAB. Their vectors are
    concatenated or averaged. The results are those of `torch_geometric.nn.aggr.SetTransformerAggregation` without
    encoder blocks; the nodes of a graph are not padded to the number of another. The feed-forward network that ends the
    paper's decoder is left to the readout.

    Args:
        channels: Features per node.
        heads: Number of attention heads, which divides `channels`.
        num_queries: Number of learned queries :math:`Q`. Default: 1.
        num_layers: Number of self-attention blocks, 0 or more. Default: 1.
        concat: Concatenate the queries; average them otherwise. Default: True.
        dropout: Probability of ignoring a node or a query in training, for each query and head. Default: 0.

    Attributes:
        attention: The attention over the nodes, a :class:`MultiheadAttentionPooling`.

    Shapes:
        - **x:** :math:`(N, C)`, **batch:** :math:`(N)`, not falling
        - **output:** :math:`(G, Q \cdot C)`, or :math:`(G, C)` with ``concat=False``, exactly zero for a graph without
          nodes; the attention weights of the nodes :math:`(N, Q, H)`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        num_queries: int = 1,
        num_layers: int = 1,
        concat: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_at_least(1, channels=channels)
        _check_at_least(0, num_layers=num_layers)
        self.channels, self.concat = channels, concat
        self.lin = nn.Linear(channels, channels)
        self.attention = MultiheadAttentionPooling(channels, heads, num_queries, dropout)
        self.feed_forward = _FeedForward(channels)
        self.blocks = nn.ModuleList(_SelfAttentionBlock(channels, heads, dropout) for _ in range(num_layers))

    def forward(
        self,
        x: Tensor,
        batch: Tensor | None = None,
        num_graphs: int | None = None,
        *,
        return_attention_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Pools each graph.

        Args:
            x: Node features.
            batch: The graph of every node; None for one graph.
            num_graphs: Number of graphs, where the last ones may have no nodes; None for the last of `batch` and one.
            return_attention_weights: Also return the weight of every node for each query and head of the first
                attention, after dropout. Default: False.
        """
        batch, num_graphs = _graphs(x, self.channels, batch, num_graphs)
        x, weights = self.lin(x).relu(), None
        if return_attention_weights:
            attended, weights = self.attention(x, batch, num_graphs, return_attention_weights=True)
        else:
            attended = self.attention(x, batch, num_graphs)
        queries = self.attention.queries
        z = self.feed_forward(queries, attended.view(num_graphs, *queries.shape))
        for block in self.blocks:
            z = block(z)
        out = z.flatten(start_dim=1) if self.concat else z.mean(dim=1)
        out = _zero_without_nodes(out, batch)
        return out if weights is None else (out, weights)


class _FeedForward(nn.Module):
    """What follows an attention in a MAB: residual and norm, feed-forward network, residual and norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.lin = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, z: Tensor, attended: Tensor) -> Tensor:
        h = self.norm1(z + attended)
        return self.norm2(h + self.lin(h).relu())


class _SelfAttentionBlock(nn.Module):
    """SAB, over the queries [G, Q, C] of each graph: as many in every one, so there is nothing to pad."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, dropout, batch_first=True)
        self.feed_forward = _FeedForward(channels)

    def forward(self, z: Tensor) -> Tensor:
        attended, _ = self.attention(z, z, z)  # with the weights, for what leaves them out has no second derivatives
        return self.feed_forward(z, attended)


def _graphs(x: Tensor, channels: int, batch: Tensor | None, num_graphs: int | None) -> tuple[Tensor, int]:
    """The graph of every node, and how many graphs there are."""
    check_nodes(x, channels)
    if num_graphs is None or not torch.compiler.is_compiling():  # how many graphs there are in `batch` is data
        found_graphs = pointers(batch, x.size(0)).numel() - 1
        if num_graphs is None:
            num_graphs = found_graphs
        elif num_graphs < found_graphs:
            raise ValueError(f"num_graphs must be at least {found_graphs}, the graphs of batch; found {num_graphs}.")
    if batch is None:
        batch = torch.zeros(x.size(0), dtype=torch.int64, device=x.device)
    return batch, num_graphs


def _zero_without_nodes(out: Tensor, batch: Tensor) -> Tensor:
    """`out` [G, C] with zeros in the rows that `batch` does not name."""
    is_empty = torch.ones(out.size(0), 1, dtype=torch.bool, device=out.device).index_fill(0, batch, False)
    return out.masked_fill(is_empty, 0)


def _check_at_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < least:
            raise ValueError(f"{name} must be {least} or more; found {number}.")
