"""Attention of every node to all nodes of its own graph, or to those within some hops; without padding."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatlib.kernels.full_attention import dot_product_attention, full_attention
from gatlib.kernels.interface import Normaliser, Score
from gatlib.nn.batches import by_size, pointers
from gatlib.nn.checks import check_heads, check_nodes
from gatlib.nn.functional import Implementation, edge_attention
from gatlib.nn.pairs import all_pairs, pairs_within
from gatlib.nn.projection import project_columns, runs_now_on_cpu

Weights = tuple[Tensor, Tensor]  # pairs [2, P] and the attention weights [P, H]


class _PairAttention(nn.Module):
    """Multi-head attention over pairs of nodes, with the parameters of `torch.nn.MultiheadAttention`."""

    implementation: Implementation = "auto"

    def __init__(
        self,
        channels: int,
        heads: int = 1,
        *,
        score: Score = "dot",
        normaliser: Normaliser = "softmax",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_heads(channels, heads)
        self.channels, self.heads = channels, heads
        self.score, self.normaliser, self.dropout = score, normaliser, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * channels)) if bias else None
        self.out_proj = nn.Linear(channels, channels, bias)
        num_vectors = {"dot": 0, "additive-dynamic": 1, "additive": 2}[score]
        self.att = nn.Parameter(torch.empty(num_vectors, heads, channels // heads)) if num_vectors else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `torch.nn.MultiheadAttention` draws them."""
        nn.init.xavier_uniform_(self.in_proj_weight)
        self.out_proj.reset_parameters()
        if self.in_proj_bias is not None:
            nn.init.zeros_(self.in_proj_bias)
            nn.init.zeros_(self.out_proj.bias)
        if self.att is not None:
            nn.init.xavier_uniform_(self.att)

    def extra_repr(self) -> str:
        return f"{self.channels}, heads={self.heads}, score={self.score!r}, normaliser={self.normaliser!r}"

    def _project(self, x: Tensor) -> list[Tensor]:
        """Query, key and value, [N, H, C / H] each."""
        check_nodes(x, self.channels)
        nodes = project_columns(x, self.in_proj_weight, self.in_proj_bias, [self.channels] * 3)
        return [node.view(-1, self.heads, self.channels // self.heads) for node in nodes]

    def _over_pairs(
        self, nodes: list[Tensor], pairs: Tensor, bias: Tensor | None, return_attention_weights: bool
    ) -> Tensor | tuple[Tensor, Weights]:
        if not return_attention_weights:
            return self.out_proj(self._attend(nodes, pairs, bias))
        out, weights = self._attend(nodes, pairs, bias, return_attention_weights=True)
        return self.out_proj(out), (pairs, weights)

    def _attend(
        self, nodes: list[Tensor], pairs: Tensor, bias: Tensor | None = None, return_attention_weights: bool = False
    ) -> Any:
        """The heads side by side, [N, C], and the weights [P, H] if they are wanted."""
        query, key, value = nodes
        att = None
        if self.score == "additive-dynamic" and self.att is not None:
            att = self.att[0]
        elif self.att is not None:
            query = (query * self.att[0]).sum(dim=-1, keepdim=True)
            key = (key * self.att[1]).sum(dim=-1, keepdim=True)
        attend = partial(
            edge_attention,
            query,
            key,
            value,
            pairs,
            score=self.score,
            att=att,
            bias=bias,
            normaliser=self.normaliser,
            dropout=self.dropout if self.training else 0.0,
            implementation=self.implementation,
        )
        if not return_attention_weights:
            return attend().flatten(start_dim=1)
        out, weights = attend(return_attention_weights=True)
        return out.flatten(start_dim=1), weights


class FullAttention(_PairAttention):
    r"""Multi-head attention of every node to all nodes of its graph, itself included.

    .. math::
        \mathbf{x}'_i = \mathbf{b}_o + \mathbf{W}_o \Big\Vert_{h=1}^{H} \sum_{j \in \mathcal{V}(i)}
        \alpha^h_{ij} \mathbf{v}^h_j, \qquad
        \alpha^h_{ij} = \underset{j}{\mathrm{softmax}} \left( \frac{\mathbf{q}^{h \top}_i
        \mathbf{k}^h_j}{\sqrt{C / H}} + b^h_{ij} \right)

    where :math:`\mathcal{V}(i)` are the nodes of the graph that node :math:`i` belongs to,
    :math:`\mathbf{q}, \mathbf{k}, \mathbf{v}` are projections of :math:`\mathbf{x}`, and :math:`b` is an optional bias,
    such as the embedded shortest-path distance of `Graphormer <https://arxiv.org/abs/2106.05234>`_. Nodes of other
    graphs have no influence at all, and no graph is padded to the size of another.

    Parameters have the names and shapes of `torch.nn.MultiheadAttention`
    (`Vaswani et al. <https://arxiv.org/abs/1706.03762>`_), whose `state_dict` can be loaded, and for
    ``score="dot"`` the results are those of that layer under a block-diagonal mask.

    Args:
        channels (int): Features per node that come in and go out.
        heads (int): Number of attention heads, which divides `channels`. Default: 1.
        score (str): How a query and a key become a score, as for `edge_attention`: ``"dot"``, ``"additive"``
            (:math:`\mathrm{LeakyReLU}(\mathbf{a}_q^\top \mathbf{q}_i + \mathbf{a}_k^\top \mathbf{k}_j)`) or
            ``"additive-dynamic"`` (:math:`\mathbf{a}^\top \mathrm{LeakyReLU}(\mathbf{q}_i + \mathbf{k}_j)`).
            Default: ``"dot"``.
        normaliser (str): ``"softmax"``, ``"relu"``, ``"sigmoid"`` or ``"sparsemax"``. Default: ``"softmax"``.
        dropout (float): Probability of ignoring a node in training. Default: 0.
        bias (bool): Add learned vectors to the projections. Default: True.

    Attributes:
        implementation: ``"auto"`` takes, for a plain softmax of dot products, kernels of its own on the CPU, and
            PyTorch's attention over all graphs of exactly equal size at once on a GPU, in half precision and under
            dropout. Everything else goes over the pairs of nodes by `gatlib.nn.functional.edge_attention`, and so
            does all for its other implementations.

    Shapes:
        - **x:** :math:`(N, C)`
        - **batch:** :math:`(N)`, not falling
        - **pair_bias:** :math:`(P, H)`, in the order of `gatlib.nn.all_pairs`
        - **output:** :math:`(N, C)`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def forward(
        self,
        x: Tensor,
        batch: Tensor | None = None,
        *,
        pair_bias: Tensor | None = None,
        return_attention_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Weights]:
        r"""Attends to all nodes of the same graph.

        Args:
            x: Node features.
            batch: The graph of every node; None for one graph.
            pair_bias: Added to the score of each pair and head, in the order of `gatlib.nn.all_pairs`.
            return_attention_weights: Also return `(pairs [2, P], attention weights [P, H])`, after dropout.
                Default: False.
        """
        is_plain = self.score == "dot" and self.normaliser == "softmax" and self.implementation == "auto"
        is_plain = is_plain and pair_bias is None and not return_attention_weights
        # How many graphs there are of each size is data, which a graph compiler cannot look at.
        if is_plain and (batch is None or self._is_fused(x) or not torch.compiler.is_compiling()):
            return self.out_proj(self._plain(x, batch))
        return self._over_pairs(self._project(x), all_pairs(batch, x.size(0)), pair_bias, return_attention_weights)

    def _is_fused(self, x: Tensor) -> bool:
        """Whether the kernels for full attention take this, where nothing forbids."""
        drops = self.training and self.dropout > 0
        in_full = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
        return x.device.type == "cpu" and in_full and not drops

    def _plain(self, x: Tensor, batch: Tensor | None) -> Tensor:
        """The heads side by side, [N, C]."""
        check_nodes(x, self.channels)
        if batch is None and torch.compiler.is_compiling():
            return self._blocks(F.linear(x, self.in_proj_weight, self.in_proj_bias), [(1, x.size(0))])
        ptr = pointers(batch, x.size(0))
        if torch.compiler.is_compiling() or (self._is_fused(x) and runs_now_on_cpu(x) and self._fills_threads(ptr)):
            return full_attention(F.linear(x, self.in_proj_weight, self.in_proj_bias), ptr, self.heads)
        if x.size(0) == 0:
            return x
        order, inverse, shapes = by_size(ptr)
        projected = F.linear(x.index_select(0, order.to(x.device)), self.in_proj_weight, self.in_proj_bias)
        return self._blocks(projected, shapes).index_select(0, inverse.to(x.device))

    def _fills_threads(self, ptr: Tensor) -> bool:
        """A graph and head is one piece of work: with fewer than threads, PyTorch's attention uses all threads.

        For gradients it would hold all weights, however large a graph is.
        """
        return torch.is_grad_enabled() or (ptr.numel() - 1) * self.heads >= torch.get_num_threads()

    def _blocks(self, projected: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        """PyTorch's own attention, over all graphs of exactly equal size at once: from [N, 3 C] to [N, C]."""
        dropout = self.dropout if self.training else 0.0
        parts = []
        for block, shape in zip(projected.split([graphs * nodes for graphs, nodes in shapes]), shapes, strict=True):
            out = dot_product_attention(block.view(*shape, 3, self.heads, -1), dropout)  # [G, H, n, C / H]
            parts.append(out.transpose(1, 2).reshape(-1, self.channels))
        return torch.cat(parts)


class TruncatedAttention(_PairAttention):
    r"""Multi-head attention of every node to the nodes that reach it within some hops, itself included.

    The equation is that of :class:`FullAttention`, with the sum over the nodes from which at most `num_hops` edges lead
    to node :math:`i`. One hop is attention over the edges and a self-loop; as many as the diameter, or more, are
    attention to the whole of a connected graph.

    Args:
        channels (int): Features per node that come in and go out.
        heads (int): Number of attention heads, which divides `channels`. Default: 1.
        num_hops (int): How far a node sees, 0 or more.
        score, normaliser, dropout, bias: As for :class:`FullAttention`.

    Shapes:
        - **x:** :math:`(N, C)`
        - **edge_index:** :math:`(2, E)`
        - **output:** :math:`(N, C)`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def __init__(
        self,
        channels: int,
        heads: int = 1,
        *,
        num_hops: int,
        score: Score = "dot",
        normaliser: Normaliser = "softmax",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__(channels, heads, score=score, normaliser=normaliser, dropout=dropout, bias=bias)
        if num_hops < 0:
            raise ValueError(f"num_hops must be 0 or more; found {num_hops}.")
        self.num_hops = num_hops

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, num_hops={self.num_hops}"

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        *,
        hop_bias: Tensor | None = None,
        return_attention_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Weights]:
        r"""Attends to the nodes within `num_hops`.

        Args:
            x: Node features.
            edge_index: The graph, or a batch of graphs.
            hop_bias: Added to the scores of each head: a row for every number of hops from 0 to `num_hops`,
                [num_hops + 1, H].
            return_attention_weights: Also return `(pairs [2, P], attention weights [P, H])`, after dropout.
                Default: False.
        """
        nodes = self._project(x)
        pairs, distance = pairs_within(edge_index, self.num_hops, num_nodes=x.size(0))
        bias = None if hop_bias is None else hop_bias[distance]
        return self._over_pairs(nodes, pairs, bias, return_attention_weights)
