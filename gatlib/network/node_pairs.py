"""Pairs of nodes as numbers: which of them are edges, and exact draws from those that are not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.int64]  # [2, P]: sources and targets


@dataclass(frozen=True)
class PairNumbers:
    r"""Numbers from 0 to ``total - 1`` for all pairs of different nodes.

    Undirected, :math:`(i, j)` with :math:`i < j` is number :math:`j (j - 1) / 2 + i`; directed, :math:`(i, j)` is
    number :math:`i (N - 1) + j - [j > i]`. No array of the size of all pairs is ever held.

    Args:
        num_nodes: :math:`N`.
        directed: tell :math:`(i, j)` from :math:`(j, i)`.
    """

    num_nodes: int
    directed: bool

    @property
    def total(self) -> int:
        """The number of pairs."""
        ordered = self.num_nodes * (self.num_nodes - 1)
        return ordered if self.directed else ordered // 2

    def of(self, pairs: Pairs) -> NDArray[np.int64]:
        """The numbers ``[P]`` of pairs ``[2, P]`` of different nodes."""
        source, target = pairs
        if self.directed:
            return source * (self.num_nodes - 1) + target - (target > source)
        high = np.maximum(source, target)
        return high * (high - 1) // 2 + np.minimum(source, target)

    def pairs(self, numbers: NDArray[np.int64]) -> Pairs:
        """The pairs ``[2, P]`` of numbers ``[P]``; undirected ones with the lower node first."""
        if self.directed:
            source, target = np.divmod(numbers, max(self.num_nodes - 1, 1))
            return np.stack([source, target + (target >= source)])
        high = ((1 + np.sqrt(8.0 * numbers + 1)) / 2).astype(np.int64)
        high -= high * (high - 1) // 2 > numbers  # the root of a large number may be rounded
        high += high * (high + 1) // 2 <= numbers
        return np.stack([numbers - high * (high - 1) // 2, high])


def draw_missing(
    edges: NDArray[np.int64], total: int, count: int, random: np.random.Generator, *, distinct: bool
) -> NDArray[np.int64]:
    """Numbers of pairs that are not edges, each as likely as any other.

    The r-th number that is missing from a sorted list is found by bisection, so that nothing is drawn and thrown away
    however dense the graph, and memory is that of the list however large it is.

    Args:
        edges: numbers of the edges, sorted, each once.
        total: number of pairs.
        count: how many to draw; with ``distinct`` at most as many as there are.
        random: where the draws come from.
        distinct: no number twice.

    Shapes:
        - **edges:** ``[E]``, **output:** ``[count]``, in random order
    """
    ranks = random.choice(total - len(edges), count, replace=not distinct)
    before = edges - np.arange(len(edges))  # how many are missing below each edge
    return ranks + np.searchsorted(before, ranks, side="right")
