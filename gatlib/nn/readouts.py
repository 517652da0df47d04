"""From node vectors to outputs: one per node, one per graph, or one per pair of nodes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gatlib.kernels.edge_range import check_range
from gatlib.nn.checks import check_nodes, describe
from gatlib.nn.dropout import Dropout

Pooling = Callable[[Tensor, Tensor | None, int | None], Tensor]


class NodeReadout(nn.Module):
    r"""One output for every node.

    .. math::
        \mathbf{y}_i = \mathrm{MLP}(\mathbf{x}_i)

    with GELU and dropout after each layer but the last.

    Args:
        channels: Features per node, and width of the hidden layers.
        out_channels: Values per node that come out.
        num_layers: Number of linear layers, 1 or more. Default: 2.
        dropout: Probability of zeroing a hidden feature in training. Default: 0.

    Shapes:
        - **x:** :math:`(N, C)`
        - **output:** :math:`(N, C_{\mathrm{out}})`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def __init__(self, channels: int, out_channels: int, num_layers: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.channels = channels
        self.mlp = _mlp(channels, channels, out_channels, num_layers, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Reads every node."""
        check_nodes(x, self.channels)
        return self.mlp(x)


class GraphReadout(nn.Module):
    r"""One output for every graph.

    .. math::
        \mathbf{y}_g = \mathrm{MLP}(\mathrm{Pooling}(\{\!\!\{ \mathbf{x}_i : i \in g \}\!\!\}))

    with GELU and dropout after each layer of the MLP but the last. A graph without nodes is read from the zeros that
    the pooling makes of it.

    Args:
        channels: Features per graph that the pooling gives, and width of the hidden layers.
        out_channels: Values per graph that come out.
        pooling: What makes a vector of the nodes of each graph, called with `x`, `batch` and `num_graphs`: a function,
            such as `torch_geometric.nn.global_add_pool`, or a module, such as those of `gatlib.nn.pooling`, which then
            is trained as a part of this one.
        num_layers: Number of linear layers, 1 or more. Default: 2.
        dropout: Probability of zeroing a hidden feature in training. Default: 0.

    Shapes:
        - **x:** :math:`(N, F)`, **batch:** :math:`(N)`
        - **output:** :math:`(G, C_{\mathrm{out}})`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def __init__(
        self, channels: int, out_channels: int, pooling: Pooling, num_layers: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not callable(pooling):
            raise ValueError(f"pooling must be callable with x, batch and num_graphs; found {pooling!r}.")
        self.channels, self.pooling = channels, pooling
        self.mlp = _mlp(channels, channels, out_channels, num_layers, dropout)

    def forward(self, x: Tensor, batch: Tensor | None = None, num_graphs: int | None = None) -> Tensor:
        """Reads every graph.

        Args:
            x: Node features.
            batch: The graph of every node; None for one graph.
            num_graphs: Number of graphs, where the last ones may have no nodes; None for the last of `batch` and one.
        """
        pooled = self.pooling(x, batch, num_graphs)
        if pooled.dim() != 2 or pooled.size(1) != self.channels:
            raise ValueError(f"pooling must give the shape [graphs, {self.channels}]; found {list(pooled.shape)}.")
        return self.mlp(pooled)


class EdgeReadout(nn.Module):
    r"""One output for every pair of nodes asked for, whether or not there is an edge.

    .. math::
        \mathbf{y}_{ij} = \mathrm{MLP}(\mathbf{x}_i \odot \mathbf{x}_j \,\Vert\, |\mathbf{x}_i - \mathbf{x}_j|)
        \qquad \text{or, directed,} \qquad
        \mathbf{y}_{ij} = \mathrm{MLP}(\mathbf{x}_i \,\Vert\, \mathbf{x}_j)

    with GELU and dropout after each layer but the last. What the undirected MLP reads is the same for :math:`(i, j)`
    and :math:`(j, i)` bit by bit.

    Args:
        channels: Features per node, and width of the hidden layers.
        out_channels: Values per pair that come out.
        num_layers: Number of linear layers, 1 or more. Default: 2.
        dropout: Probability of zeroing a hidden feature in training. Default: 0.
        directed: Tell :math:`(i, j)` from :math:`(j, i)`. Default: False.

    Shapes:
        - **x:** :math:`(N, C)`, **edge_index:** :math:`(2, P)`
        - **output:** :math:`(P, C_{\mathrm{out}})`

    Raises:
        ValueError: An argument does not fit, or a pair is out of range; the message names it, what was expected and
            what was found.
    """

    def __init__(
        self, channels: int, out_channels: int, num_layers: int = 2, dropout: float = 0.0, directed: bool = False
    ) -> None:
        super().__init__()
        self.channels, self.directed = channels, directed
        self.mlp = _mlp(2 * channels, channels, out_channels, num_layers, dropout)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Reads every pair.

        Args:
            x: Node features.
            edge_index: The pairs: :math:`i` in row 0 and :math:`j` in row 1.
        """
        check_nodes(x, self.channels)
        if edge_index.dtype not in (torch.int64, torch.int32) or edge_index.dim() != 2 or edge_index.size(0) != 2:
            raise ValueError(f"edge_index must be int64 of shape [2, pairs]; found {describe(edge_index)}.")
        check_range(edge_index, x.size(0), x.size(0))
        x_i, x_j = (x.index_select(0, nodes) for nodes in edge_index)
        return self.mlp(torch.cat([x_i, x_j] if self.directed else [x_i * x_j, (x_i - x_j).abs()], dim=1))


def _mlp(in_channels: int, hidden_channels: int, out_channels: int, num_layers: int, dropout: float) -> nn.Sequential:
    numbers = {"channels": hidden_channels, "out_channels": out_channels, "num_layers": num_layers}
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be 1 or more; found {number}.")
    if not 0 <= dropout <= 1:
        raise ValueError(f"dropout must be a probability from 0 to 1; found {dropout}.")
    widths = [in_channels] + [hidden_channels] * (num_layers - 1)
    hidden = [
        layer for width in widths[:-1] for layer in (nn.Linear(width, hidden_channels), nn.GELU(), Dropout(dropout))
    ]
    return nn.Sequential(*hidden, nn.Linear(widths[-1], out_channels))
