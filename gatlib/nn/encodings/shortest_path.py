"""Shortest path encoding: how far two nodes are from each other, as a bias of the attention between them."""

import torch
from torch import Tensor, nn


class ShortestPathEncoding(nn.Module):
    r"""The spatial encoding of `"Do Transformers Really Perform Bad for Graph Representation?"
    <https://arxiv.org/abs/2106.05234>`_ (Graphormer).

    .. math::
        b_{ijh} = \mathbf{B}_{\min(d(i, j), m), h}

    with one learned number for each distance and head, and one more for what is out of reach; to be added to the score
    of a pair as `bias` of `gatlib.nn.functional.edge_attention`.

    Args:
        heads: :math:`H`.
        max_distance: :math:`m`; all pairs at this distance and beyond share a number.

    Shapes:
        - **distance:** :math:`(P)`, int64; -1 where there is no way
        - **output:** :math:`(P, H)`

    Raises:
        ValueError: `max_distance` is negative, or a distance less than -1 or not an int64.
    """

    def __init__(self, heads: int, max_distance: int) -> None:
        super().__init__()
        if max_distance < 0:
            raise ValueError(f"max_distance must be 0 or more; found {max_distance}.")
        self.max_distance = max_distance
        self.bias = nn.Embedding(max_distance + 2, heads)  # the first row: out of reach
        nn.init.normal_(self.bias.weight, std=0.02)  # as in Graphormer

    def forward(self, distance: Tensor) -> Tensor:
        if distance.dtype != torch.int64 or distance.dim() != 1:
            dtype = str(distance.dtype).removeprefix("torch.")
            raise ValueError(f"distance must be int64 of shape [P]; found {dtype} of shape {list(distance.shape)}.")
        if not torch.compiler.is_compiling() and distance.numel() > 0 and int(distance.min()) < -1:
            raise ValueError(f"distance must be -1 (no way) or more; found {int(distance.min())}.")
        return self.bias(distance.clamp(max=self.max_distance) + 1)
