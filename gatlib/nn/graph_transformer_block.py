"""One block of a graph transformer: attention over the edges, over all nodes, or both, and a feed-forward network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric import nn as pyg

from gatlib.nn.batches import pointers
from gatlib.nn.dropout import Dropout
from gatlib.nn.full_attention import FullAttention

# Norms that need to know which nodes belong together.
_NORMS_OF_GRAPHS = (pyg.GraphNorm, pyg.InstanceNorm, pyg.PairNorm, pyg.GraphSizeNorm, pyg.LayerNorm)


class GraphTransformerBlock(nn.Module):
    r"""A residual block with edge attention, full attention, or both in parallel.

    With the norm first (`Xiong et al. <https://arxiv.org/abs/2002.04745>`_)

    .. math::
        \mathbf{H}' &= \mathbf{H} + \mathrm{Local}(\mathrm{Norm}(\mathbf{H}), \mathcal{E})
        + \mathrm{Full}(\mathrm{Norm}(\mathbf{H}))

        \mathbf{H}'' &= \mathbf{H}' + \mathrm{FFN}(\mathrm{Norm}(\mathbf{H}'))

    and with ``norm_first=False`` the layer of `GPS <https://arxiv.org/abs/2205.12454>`_, which
    `torch_geometric.nn.GPSConv` is:

    .. math::
        \mathbf{H}' &= \mathrm{Norm}(\mathbf{H} + \mathrm{Local}(\mathbf{H}, \mathcal{E}))
        + \mathrm{Norm}(\mathbf{H} + \mathrm{Full}(\mathbf{H}))

        \mathbf{H}'' &= \mathrm{Norm}(\mathbf{H}' + \mathrm{FFN}(\mathbf{H}'))

    A term that is not asked for is left out. With ``gated=True`` each attention is multiplied by
    :math:`\sigma(\mathbf{W}_g \mathbf{H})`, of the input that it attends over, so that a node can turn down what it
    hears (`Qiu et al. <https://arxiv.org/abs/2505.06708>`_).

    Args:
        channels (int): Features per node that come in and go out.
        local (Module, optional): Attention, or any message passing, over the edges:
            ``local(x, edge_index)``, or ``local(x, edge_index, edge_attr)`` where there are edge features, with as many
            channels out as in. Default: None.
        full (bool or Module): Attention over all nodes of each graph; a module to use in place of a
            :class:`FullAttention` of `heads` heads, called as ``full(x, batch)``. Default: True.
        heads (int): Number of heads of the full attention. Default: 1.
        feed_forward (int): Width of the hidden layer of the feed-forward network, in `channels`; 0 for none.
            Default: 2.
        activation (callable): Makes the activation of the feed-forward network. Default: `torch.nn.GELU`.
        norm (callable, optional): Makes a norm of so many channels: `torch.nn.LayerNorm`, `torch.nn.BatchNorm1d`,
            `torch_geometric.nn.GraphNorm`; None for none. Default: `torch.nn.LayerNorm`.
        norm_first (bool): Normalise what goes into each part, or each sum. Default: True.
        gated (bool): Multiply attention by gates. Default: False.
        dropout (float): Probability of zeroing what comes out of each part, and out of the hidden layer.
            Default: 0.
        attention_dropout (float): Probability of ignoring a node in the full attention. Default: 0.
        drop_path (float): Probability, in training, of leaving out each part for a whole graph; what stays is
            scaled up to match (stochastic depth, `Huang et al. <https://arxiv.org/abs/1603.09382>`_). Default: 0.

    Shapes:
        - **x:** :math:`(N, C)`, **edge_index:** :math:`(2, E)`, **edge_attr:** :math:`(E, D)`
        - **batch:** :math:`(N)`, not falling; None for one graph
        - **output:** :math:`(N, C)`

    Raises:
        ValueError: There is neither `local` nor `full`, or an argument does not fit.
    """

    def __init__(
        self,
        channels: int,
        local: nn.Module | None = None,
        full: bool | nn.Module = True,
        *,
        heads: int = 1,
        feed_forward: int = 2,
        activation: Callable[[], nn.Module] = nn.GELU,
        norm: Callable[[int], nn.Module] | None = nn.LayerNorm,
        norm_first: bool = True,
        gated: bool = False,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if local is None and full is False:
            raise ValueError("local and full must not both be left out; found None and False.")
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path must be a probability from 0 to 1, 1 excluded; found {drop_path}.")
        make_norm = nn.Identity if norm is None else norm
        self.norm_first, self.drop_path = norm_first, drop_path
        self.dropout = Dropout(dropout)
        # 1. Attention over the edges.
        self.local = local
        self.local_norm = make_norm(channels) if local is not None else None
        self.local_gate = nn.Linear(channels, channels) if gated and local is not None else None
        # 2. Attention over all nodes.
        self.full = FullAttention(channels, heads, dropout=attention_dropout) if full is True else full or None
        # With the norm first, both attend to the same.
        shares_norm = norm_first and local is not None
        self.full_norm = make_norm(channels) if self.full is not None and not shares_norm else None
        self.full_gate = nn.Linear(channels, channels) if gated and self.full is not None else None
        # 3. The feed-forward network.
        width = feed_forward * channels
        self.feed_forward = (
            nn.Sequential(nn.Linear(channels, width), activation(), Dropout(dropout), nn.Linear(width, channels))
            if feed_forward
            else None
        )
        self.feed_forward_norm = make_norm(channels) if feed_forward else None

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        edge_attr: Tensor | None = None,
        pair_bias: Tensor | None = None,
    ) -> Tensor:
        r"""Attends, and transforms each node.

        Args:
            x: Node features.
            edge_index: The graph; required if, and only if, there is `local`.
            batch: The graph of every node; None for one graph.
            edge_attr: Edge features, for `local`. Default: None.
            pair_bias: Added to the scores of the full attention, [P, H]; see :class:`FullAttention`.
        """
        if self.local is not None and edge_index is None:
            raise ValueError("edge_index must be given to a block with local attention; found None.")
        if self.norm_first:
            return self._norm_first(x, edge_index, batch, edge_attr, pair_bias)
        # As GPS: each sum is normalised.
        sums = []
        if self.local is not None:
            heard = self._branch(self._local(x, edge_index, edge_attr), self.local_gate, x, batch)
            sums.append(_normalised(self.local_norm, x + heard, batch))
        if self.full is not None:
            heard = self._branch(self._full(x, batch, pair_bias), self.full_gate, x, batch)
            sums.append(_normalised(self.full_norm, x + heard, batch))
        x = sums[0] if len(sums) == 1 else sums[0] + sums[1]
        if self.feed_forward is not None:
            x = _normalised(self.feed_forward_norm, x + self._branch(self.feed_forward(x), None, x, batch), batch)
        return x

    def _norm_first(
        self,
        x: Tensor,
        edge_index: Tensor | None,
        batch: Tensor | None,
        edge_attr: Tensor | None,
        pair_bias: Tensor | None,
    ) -> Tensor:
        norm = self.full_norm if self.local_norm is None else self.local_norm
        seen = _normalised(norm, x, batch)
        if self.local is not None:
            x = x + self._branch(self._local(seen, edge_index, edge_attr), self.local_gate, seen, batch)
        if self.full is not None:
            x = x + self._branch(self._full(seen, batch, pair_bias), self.full_gate, seen, batch)
        if self.feed_forward is not None:
            hidden = self.feed_forward(_normalised(self.feed_forward_norm, x, batch))
            x = x + self._branch(hidden, None, x, batch)
        return x

    def _local(self, x: Tensor, edge_index: Tensor | None, edge_attr: Tensor | None) -> Tensor:
        assert self.local is not None
        return self.local(x, edge_index) if edge_attr is None else self.local(x, edge_index, edge_attr)

    def _full(self, x: Tensor, batch: Tensor | None, pair_bias: Tensor | None) -> Tensor:
        assert self.full is not None
        return self.full(x, batch) if pair_bias is None else self.full(x, batch, pair_bias=pair_bias)

    def _branch(self, heard: Tensor, gate: nn.Module | None, seen: Tensor, batch: Tensor | None) -> Tensor:
        """What a part adds to its input: gated, with dropout, or nothing at all for a whole graph."""
        if gate is not None:
            heard = heard * gate(seen).sigmoid()
        heard = self.dropout(heard)
        if not self.training or self.drop_path == 0:
            return heard
        num_graphs = pointers(batch, heard.size(0)).numel() - 1
        keeps = torch.rand(num_graphs, device=heard.device) >= self.drop_path
        scale = (keeps / (1 - self.drop_path)).to(heard.dtype).unsqueeze(1)
        return heard * (scale if batch is None else scale[batch])


def _normalised(norm: nn.Module | None, x: Tensor, batch: Tensor | None) -> Tensor:
    if norm is None:
        return x
    return norm(x, batch) if isinstance(norm, _NORMS_OF_GRAPHS) else norm(x)
