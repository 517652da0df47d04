"""What the known labels of a graph say of nodes some steps away, as features."""

import torch
from torch import Tensor

_NOTHING = 1e-6  # what rounding leaves where all known labels are of one class


def label_walks(labels: Tensor, edge_index: Tensor, steps: int) -> Tensor:
    r"""Known labels, walked along the edges for 1 to `steps` steps.

    .. math::
        \mathbf{Z}^{(k)} = \mathbf{S}^k \, \mathbf{M} (\mathbf{Y} - \mathbf{1} \boldsymbol{\pi}^\top), \qquad
        S_{ij} = \frac{A_{ij}}{\sqrt{d_i d_j}}, \qquad
        \mathrm{output} = \bigl[\, \mathbf{Z}^{(k)} / \mathrm{rms}(\mathbf{Z}^{(k)}) \,\bigr]_{k = 1}^{K}

    where :math:`\mathbf{M}` keeps the rows of nodes whose label is known and :math:`\boldsymbol{\pi}` is the share of
    each class among them. They are sums, not means as attention gives: many neighbours of a class say more than one
    does. Without a known label all is zero. Weights of edges do not count.

    Args:
        labels: 1 in the column of its class for a node whose label is known, else zeros.
        edge_index: source and target of every edge.
        steps: :math:`K`.

    Shapes:
        - **labels:** :math:`(N, C)`, **edge_index:** :math:`(2, E)`
        - **output:** :math:`(N, K C)`, the classes of the first step first

    Sources: Zhou et al., "Learning with Local and Global Consistency", NIPS 2003, whose propagation it takes step by
    step; Shi et al., "Masked Label Prediction" (UniMP), IJCAI 2021, for labels as features.
    """
    source, target = edge_index
    # Per node, not per edge: there are fewer of them.
    out_root, in_root = (
        ends.bincount(minlength=labels.size(0)).clamp_(min=1).to(labels.dtype).rsqrt_().unsqueeze(1)
        for ends in (source, target)
    )
    known = labels.sum(dim=1, keepdim=True)
    walked = labels - known * (labels.sum(dim=0) / known.sum().clamp(min=1))
    found = []
    for _ in range(steps):
        walked = in_root * torch.zeros_like(walked).index_add_(0, target, (out_root * walked)[source])
        size = walked.square().mean().sqrt()
        found.append(torch.where(size > _NOTHING, walked / size, 0.0))
    return torch.cat(found, dim=1)
