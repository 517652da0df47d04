"""Degree encoding: how many neighbours a node has."""

import torch
from torch import Tensor, nn

from gatlib.kernels.edge_range import check_range


class DegreeEncoding(nn.Module):
    r"""The centrality encoding of `"Do Transformers Really Perform Bad for Graph Representation?"
    <https://arxiv.org/abs/2106.05234>`_ (Graphormer).

    .. math::
        \mathbf{p}_i = \mathbf{z}^-_{\min(\deg^-(i), m)} + \mathbf{z}^+_{\min(\deg^+(i), m)}

    with one learned vector for each in-degree and one for each out-degree. Parallel edges each count; a self-loop
    counts in both.

    Args:
        channels: :math:`C`.
        max_degree: :math:`m`; all nodes of this degree and above share a vector.

    Shapes:
        - **edge_index:** :math:`(2, E)`
        - **output:** :math:`(N, C)`

    Raises:
        ValueError: `max_degree` is negative, or an edge out of range.
    """

    def __init__(self, channels: int, max_degree: int) -> None:
        super().__init__()
        if max_degree < 0:
            raise ValueError(f"max_degree must be 0 or more; found {max_degree}.")
        self.max_degree = max_degree
        self.in_degree = nn.Embedding(max_degree + 1, channels)
        self.out_degree = nn.Embedding(max_degree + 1, channels)
        for embedding in (self.in_degree, self.out_degree):
            nn.init.normal_(embedding.weight, std=0.02)  # as in Graphormer

    def forward(self, edge_index: Tensor, *, num_nodes: int) -> Tensor:
        check_range(edge_index, num_sources=num_nodes, num_targets=num_nodes)
        source, target = edge_index
        return self.in_degree(self._degree(target, num_nodes)) + self.out_degree(self._degree(source, num_nodes))

    def _degree(self, ends: Tensor, num_nodes: int) -> Tensor:
        return torch.bincount(ends, minlength=num_nodes).clamp(max=self.max_degree)
