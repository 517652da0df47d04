"""Sparsemax over the incoming edges of every node: weights of which many are exactly zero."""

import torch
from torch import Tensor


def sparsemax(scores: Tensor, target: Tensor, num_targets: int) -> Tensor:
    r"""The Euclidean projection of each node's scores on the probability simplex.

    .. math::
        \alpha_{ij} = \max(s_{ij} - \tau_i, 0), \qquad \tau_i = \frac{\sum_{j \in S_i} s_{ij} - 1}{|S_i|}

    where the support :math:`S_i` holds the k highest scores of node i, for the largest k whose lowest score
    :math:`s_{(k)}` still fulfils :math:`1 + k s_{(k)} > s_{(1)} + \dots + s_{(k)}`. From "`From Softmax to Sparsemax
    <https://arxiv.org/abs/1602.02068>`_" (Martins & Astudillo, 2016).

    Twice differentiable wherever the support does not change. A score of -inf gets the weight 0, a node whose scores
    all are -inf gets no other.

    Args:
        scores: The scores to project.
        target: The node to which each score belongs.
        num_targets: Number of nodes.

    Shapes:
        - **scores:** :math:`(E, H)`, each head on its own, **target:** :math:`(E,)`
        - **output:** :math:`(E, H)`
    """
    # Sparsemax, too, is the same for scores that differ by a constant.
    scores = relative_to_highest(scores, target, num_targets)
    support = _support(scores.detach(), target, num_targets)
    index, shape = target.unsqueeze(-1).expand_as(scores), (num_targets, scores.size(1))
    total = scores.new_zeros(shape).scatter_add_(0, index, scores.masked_fill(~support, 0))
    count = scores.new_zeros(shape).scatter_add_(0, index, support.to(scores.dtype))
    threshold = (total - 1) / count.clamp(min=1)
    # Rounding may leave a score of the support a hair below the threshold.
    return (scores - threshold.index_select(0, target)).masked_fill(~support, 0).relu()


def relative_to_highest(scores: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """The scores [E, H] less the highest of their node; -inf stays -inf even where there is nothing else."""
    index, lowest = target.unsqueeze(-1).expand_as(scores), torch.finfo(scores.dtype).min
    highest = scores.new_full((num_targets, scores.size(1)), lowest)
    # Whoever calls this gives the same answer for any shift, so no gradient need flow through it.
    highest.scatter_reduce_(0, index, scores.detach(), reduce="amax")
    return scores - highest.index_select(0, target)


def _support(scores: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """[E, H], True where the weight is not zero; `scores` are relative to the highest of their node."""
    # A score that is 1 or more below the highest never belongs, so its size, infinite or not, need not enter the
    # sums. Those run on from node to node, for which float32 would be too coarse.
    clipped = scores.double().nan_to_num(nan=-1).clamp(min=-1)

    # 1. Sort by node, and within a node from the highest score down.
    by_score = clipped.argsort(dim=0, descending=True)
    order = by_score.gather(0, target[by_score].argsort(dim=0, stable=True))
    highest_first, node = clipped.gather(0, order), target.sort().values

    # 2. For every score: its rank, and the sum of the scores up to it.
    degree = target.new_zeros(num_targets).scatter_add_(0, target, torch.ones_like(target))
    start = (degree.cumsum(0) - degree).index_select(0, node)
    rank = (torch.arange(1, 1 + node.numel(), device=node.device) - start).unsqueeze(-1)
    sums = torch.cat([clipped.new_zeros(1, clipped.size(1)), highest_first.cumsum(0)])
    sum_to_rank = sums[1:] - sums.index_select(0, start)

    belongs = (1 + rank * highest_first > sum_to_rank) & (highest_first > -1)
    # One NaN makes all scores of its node NaN: let them have NaN for weights.
    return torch.zeros_like(belongs).scatter_(0, order, belongs) | scores.isnan()
