"""A graph attention network for one big graph: a score for any two of its nodes."""

import torch
from torch import Tensor, nn

from gatlib.models.node_architecture import NodeArchitecture
from gatlib.models.node_attention_network import NodeAttentionNetwork
from gatlib.nn.readouts import EdgeReadout

_BLOCK = 1 << 12  # pairs at once, which bounds the memory


class LinkAttentionNetwork(nn.Module):
    r"""A vector for each node, by attention over the edges that are known, and a score for each pair asked for.

    .. math::
        \mathbf{Z} = \mathrm{NodeAttentionNetwork}(\mathbf{X}, \mathcal{E}), \qquad
        s_{ij} = \mathrm{EdgeReadout}(\mathbf{z}_i, \mathbf{z}_j)

    a graph autoencoder (Kipf and Welling, "Variational Graph Auto-Encoders", 2016) with attention in place of the
    convolution and an MLP in place of the dot product. Undirected, :math:`s_{ij} = s_{ji}`.

    Args:
        settings: the architecture of the first part, whose vectors are as wide as its hidden layers.
        in_channels: features per node.
        directed: tell :math:`(i, j)` from :math:`(j, i)`.
    """

    def __init__(self, settings: NodeArchitecture, in_channels: int, directed: bool = False) -> None:
        super().__init__()
        channels = settings.hidden_channels
        self.encoder = NodeAttentionNetwork(settings, in_channels, channels)
        self.readout = EdgeReadout(channels, 1, dropout=settings.dropout, directed=directed)

    def forward(self, x: Tensor, edge_index: Tensor, pairs: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """The log-odds of an edge for each pair, were there as many pairs with an edge as without.

        Args:
            x, edge_index, edge_attr: the known graph, as for :class:`NodeAttentionNetwork`.
            pairs: sources and targets of the pairs to score.

        Shapes:
            - **x:** :math:`(N, F)`, **edge_index:** :math:`(2, E)`, **pairs:** :math:`(2, P)`,
              **edge_attr:** :math:`(E, D)`
            - **output:** :math:`(P)`

        Raises:
            InputError: the features have another width than the network was made for.
        """
        return self.score(self.encode(x, edge_index, edge_attr), pairs)

    def encode(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """The vectors of the nodes, :math:`(N, C)`."""
        return self.encoder(x, edge_index, edge_attr)

    def score(self, z: Tensor, pairs: Tensor) -> Tensor:
        """The scores :math:`(P)` of pairs :math:`(2, P)` of nodes with the vectors :math:`(N, C)`.

        In evaluation mode the pairs are read in blocks: what a block takes is taken once.
        """
        blocks = [pairs] if self.training else pairs.split(_BLOCK, dim=1)
        return torch.cat([self.readout(z, block).squeeze(1) for block in blocks])
