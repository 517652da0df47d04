"""Attention to all nodes of a graph at a cost that grows with their number, not its square."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatlib.nn.batches import by_size, pointers
from gatlib.nn.checks import check_heads, check_nodes


class LinearAttention(nn.Module):
    r"""The linear attention of `"Transformers are RNNs" <https://arxiv.org/abs/2006.16236>`_, within each graph.

    .. math::
        \mathbf{x}'_i = \mathbf{b}_o + \mathbf{W}_o \Big\Vert_{h=1}^{H} \frac{\phi(\mathbf{q}^h_i)^\top
        \sum_{j \in \mathcal{V}(i)} \phi(\mathbf{k}^h_j) \mathbf{v}^{h \top}_j}{\phi(\mathbf{q}^h_i)^\top
        \sum_{j \in \mathcal{V}(i)} \phi(\mathbf{k}^h_j)}, \qquad \phi(z) = \mathrm{elu}(z) + 1

    where :math:`\mathcal{V}(i)` are the nodes of the graph that node :math:`i` belongs to. For a graph of :math:`n`
    nodes it takes :math:`O(n C^2 / H)` where :class:`gatlib.nn.FullAttention` takes :math:`O(n^2 C)`. The sums are over
    the nodes that there are: no graph is padded, and none has a part in another's result.

    Args:
        channels (int): Features per node that come in and go out.
        heads (int): Number of attention heads, which divides `channels`. Default: 1.
        bias (bool): Add learned vectors to the projections. Default: True.

    Shapes:
        - **x:** :math:`(N, C)`
        - **batch:** :math:`(N)`, not falling; None for one graph
        - **output:** :math:`(N, C)`

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """

    def __init__(self, channels: int, heads: int = 1, *, bias: bool = True) -> None:
        super().__init__()
        check_heads(channels, heads)
        self.channels, self.heads = channels, heads
        self.in_proj = nn.Linear(channels, 3 * channels, bias)
        self.out_proj = nn.Linear(channels, channels, bias)

    def extra_repr(self) -> str:
        return f"{self.channels}, heads={self.heads}"

    def forward(self, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """Attends to all nodes of the same graph.

        Args:
            x: Node features.
            batch: The graph of every node; None for one graph.
        """
        check_nodes(x, self.channels)
        if torch.compiler.is_compiling():
            return self.out_proj(self._compiled(self.in_proj(x), batch))
        order, inverse, shapes = by_size(pointers(batch, x.size(0)))
        if not shapes:
            return self.out_proj(x)
        blocks = self.in_proj(x.index_select(0, order.to(x.device))).split([graphs * nodes for graphs, nodes in shapes])
        out = torch.cat([self._attend(block.view(*shape, -1)) for block, shape in zip(blocks, shapes, strict=True)])
        return self.out_proj(out.index_select(0, inverse.to(x.device)))

    def _attend(self, projected: Tensor) -> Tensor:
        """From [G, n, 3 C] to [G * n, C]."""
        query, key, value = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [G, H, n, C / H]
        query, key = F.elu(query) + 1, F.elu(key) + 1
        out = _quotient(query @ (key.mT @ value), query @ key.sum(dim=2).unsqueeze(-1))
        return out.transpose(1, 2).reshape(-1, self.channels)

    def _compiled(self, projected: Tensor, batch: Tensor | None) -> Tensor:
        """The same from [N, 3 C] to [N, C] for a graph compiler, to which the sizes of the graphs are unknown data.

        What is [N, H, C / H, C / H] here is never made: the compiler adds it up as it goes.
        """
        if batch is None:
            return self._attend(projected.unsqueeze(0))
        query, key, value = projected.unflatten(-1, (3, self.heads, -1)).unbind(1)  # [N, H, C / H]
        query, key = F.elu(query) + 1, F.elu(key) + 1
        num_graphs = pointers(batch, projected.size(0)).numel() - 1
        products, keys = (
            part.new_zeros(num_graphs, *part.shape[1:]).index_add(0, batch, part)[batch]
            for part in (key.unsqueeze(-1) * value.unsqueeze(-2), key)
        )
        out = (query.unsqueeze(-1) * products).sum(dim=-2)
        return _quotient(out, (query * keys).sum(dim=-1, keepdim=True)).flatten(start_dim=1)


def _quotient(out: Tensor, total: Tensor) -> Tensor:
    # Far below zero elu is -1 exactly, and a query of zeros hears nothing.
    return out / total.clamp(min=torch.finfo(total.dtype).tiny)
