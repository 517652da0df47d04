"""What a step of training on a big graph sees: random nodes and the edges among them, or some nodes to learn from."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from gatlib.training.node_recipe import NodeRecipe


class NodeParts(Sampler[NDArray[np.int64]]):
    """A random partition of the nodes in every epoch, which depends on the seed and the epoch alone.

    The parts have nearly equal numbers of nodes, and of labelled nodes; one without any would teach nothing and is left
    out. Random parts, as in PyG's ``RandomNodeLoader``, need no clustering of the graph beforehand (Chiang et al.,
    "Cluster-GCN", KDD 2019).

    Args:
        num_nodes: number of nodes.
        labelled: the nodes to learn from.
        batch_nodes: nodes per part; 0 for the whole graph, in order.
        seed: of the partition.
    """

    def __init__(self, num_nodes: int, labelled: NDArray[np.int64], batch_nodes: int, seed: int) -> None:
        self.num_nodes, self.labelled, self.seed = num_nodes, labelled, seed
        self.num_parts = -(-num_nodes // batch_nodes) if batch_nodes else 1
        self.others = np.setdiff1d(np.arange(num_nodes), labelled)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return min(self.num_parts, len(self.labelled))

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        if self.num_parts == 1:
            yield np.arange(self.num_nodes)
            return
        random = np.random.default_rng([self.seed, self.epoch])
        labelled = np.array_split(random.permutation(self.labelled), self.num_parts)
        # The larger parts come first: turned round, so that all of them together differ by one at most.
        others = np.array_split(random.permutation(self.others), self.num_parts)[::-1]
        for some, more in list(zip(labelled, others, strict=True))[: len(self)]:
            yield np.concatenate([some, more])


class NodeBatches(Sampler[NDArray[np.int64]]):
    """The nodes to learn from in a new order in every epoch, which depends on the seed and the epoch alone, in batches.

    Args:
        labelled: the nodes to learn from.
        batch_nodes: nodes per batch, at most; all batches are of nearly the same size.
        seed: of the order.
    """

    def __init__(self, labelled: NDArray[np.int64], batch_nodes: int, seed: int) -> None:
        self.labelled, self.seed = labelled, seed
        self.num_batches = -(-len(labelled) // batch_nodes)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        random = np.random.default_rng([self.seed, self.epoch])
        yield from np.array_split(random.permutation(self.labelled), self.num_batches)


def node_batches(num_nodes: int, labelled: NDArray[np.int64], recipe: NodeRecipe) -> NodeParts | NodeBatches:
    """The batches that a recipe asks for."""
    if recipe.neighbours:
        return NodeBatches(labelled, recipe.batch_nodes, recipe.seed)
    return NodeParts(num_nodes, labelled, recipe.batch_nodes, recipe.seed)


class Share(Sampler[NDArray[np.int64]]):
    """The batches of one of several processes, all of which have equally many; what is left over waits for its turn.

    Args:
        batches: of all processes.
        rank: of this one.
        processes: how many there are.
    """

    def __init__(self, batches: NodeParts | NodeBatches, rank: int, processes: int) -> None:
        self.batches, self.rank, self.processes = batches, rank, processes

    def set_epoch(self, epoch: int) -> None:
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches) // self.processes

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        yield from islice(self.batches, self.rank, len(self) * self.processes, self.processes)


def induced_subgraph(nodes: Tensor, edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The edges among some nodes, and which of the edges these are.

    Args:
        nodes: the nodes, without repetition; their places become their numbers.
        edge_index: the graph.
        num_nodes: its number of nodes.

    Shapes:
        - **nodes:** ``[n]``, **edge_index:** ``[2, E]``
        - **output:** ``[2, e]`` and a mask ``[E]``
    """
    place = edge_index.new_full((num_nodes,), -1)
    place[nodes] = torch.arange(len(nodes), device=nodes.device)
    ends = place[edge_index]
    kept = (ends >= 0).all(dim=0)
    return ends[:, kept], kept
