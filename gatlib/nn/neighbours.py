"""The neighbourhoods of some nodes of a big graph, whole or drawn at random: what a network needs to know of them."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ALL = 2**62


class Neighbourhood(NamedTuple):
    """Nodes with those from which they are reached in so many steps, and the edges of these steps.

    The nodes asked for come first, then those one step away, and so on; the edges to the nodes asked for come first,
    then those to the nodes one step away, and so on. So what one layer needs is always the beginning of it.
    """

    nodes: Tensor  # [n] numbers in the graph
    edge_index: Tensor  # [2, e] places in nodes
    edges: Tensor  # [e] numbers in the graph
    num_nodes: list[int]  # nodes within 0, 1, ... steps, one more than there are steps
    num_edges: list[int]  # edges to the nodes within 0, 1, ... steps, one for each step

    def to(self, device: torch.device) -> "Neighbourhood":
        """The tensors on a device."""
        return self._replace(
            nodes=self.nodes.to(device), edge_index=self.edge_index.to(device), edges=self.edges.to(device)
        )


class NeighbourSampler:
    r"""Finds the neighbourhoods of nodes, or draws from them as GraphSAGE does.

    .. math::
        \mathcal{S}_0 = \mathcal{B}, \qquad \mathcal{S}_{t+1} = \mathcal{S}_t \cup
        \bigcup_{i \in \mathcal{S}_t \setminus \mathcal{S}_{t-1}} \mathrm{draw}_k(\{ j : (j, i) \in \mathcal{E} \})

    where :math:`\mathrm{draw}_k` takes all, or :math:`k` of them without replacement, any :math:`k` being as likely as
    any others (Hamilton et al., `"Inductive Representation Learning on Large Graphs"
    <https://arxiv.org/abs/1706.02216>`_, NeurIPS 2017). It is what PyG's ``NeighborLoader`` does, and needs neither of
    the packages that it needs. The time grows with the number of edges drawn, whatever the degrees.

    Args:
        edge_index: source and target of every edge, ``[2, E]``.
        num_nodes: :math:`N`.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        from gatlib.kernels.cpu.sorting import sort_edges

        order = sort_edges(edge_index.cpu(), num_nodes, num_nodes, add_self_loops=False).adjacency
        self.num_nodes = num_nodes
        self.rowptr, self.col, self.edge = order.rowptr.numpy(), order.col.numpy(), order.edge

    def sample(
        self,
        nodes: NDArray[np.int64],
        steps: int,
        at_most: int | None = None,
        random: np.random.Generator | None = None,
    ) -> Neighbourhood:
        """The neighbourhood of some nodes.

        Args:
            nodes: the nodes asked for, each once.
            steps: how far away a node may be: the number of layers.
            at_most: edges to draw for each node, :math:`k`; None for all.
            random: draws them; not needed for all.
        """
        from gatlib.kernels.cpu.neighbours import draw

        limit = _ALL if at_most is None else at_most
        random = random or np.random.default_rng(0)
        place = np.full(self.num_nodes, -1, dtype=np.int32)
        place[nodes] = np.arange(len(nodes), dtype=np.int32)
        reached, slots, sources, targets = [nodes], [], [], []
        num_nodes, num_edges = [len(nodes)], [0]
        for _ in range(steps):
            last = reached[-1]
            drawn = np.minimum(self.rowptr[last + 1] - self.rowptr[last], limit)
            slot, source, found = (np.empty(int(drawn.sum()), dtype=np.int64) for _ in range(3))
            num_found = draw(self.rowptr, self.col, last, limit, random, place, num_nodes[-1], slot, source, found)
            targets.append(np.repeat(np.arange(num_nodes[-1] - len(last), num_nodes[-1]), drawn))
            slots.append(slot)
            sources.append(source)
            reached.append(found[:num_found].copy())
            num_nodes.append(num_nodes[-1] + num_found)
            num_edges.append(num_edges[-1] + len(slot))
        return Neighbourhood(
            torch.from_numpy(np.concatenate(reached)),
            torch.from_numpy(np.stack([np.concatenate(sources), np.concatenate(targets)])),
            self.edge[torch.from_numpy(np.concatenate(slots))].long(),
            num_nodes,
            num_edges[1:],
        )
