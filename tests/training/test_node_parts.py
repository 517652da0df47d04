"""Parts of a big graph: every node once, the edges among them, and rows of a sparse matrix."""

import numpy as np
import pytest
import torch
from torch_geometric.utils import subgraph

from gatlib.training.node_parts import NodeBatches, NodeParts, Share, induced_subgraph


def epoch(parts: NodeParts | NodeBatches | Share, number: int) -> list[list[int]]:
    parts.set_epoch(number)
    return [part.tolist() for part in parts]


def test_an_epoch_visits_every_node_once_in_parts_of_its_own() -> None:
    labelled = np.array([1, 3, 5, 7, 20])
    parts = NodeParts(23, labelled, 10, seed=3)
    first, second = epoch(parts, 0), epoch(parts, 1)
    assert sorted(node for part in first for node in part) == list(range(23))
    assert sorted(len(part) for part in first) == [7, 8, 8]
    assert sorted(len(set(part) & set(labelled)) for part in first) == [1, 2, 2]
    assert len(parts) == 3
    assert first != second
    assert first == epoch(parts, 0)


def test_parts_without_labelled_nodes_are_left_out() -> None:
    parts = NodeParts(20, np.array([4, 9]), 5, seed=0)
    assert len(parts) == len(epoch(parts, 0)) == 2
    assert all(set(part) & {4, 9} for part in epoch(parts, 0))


@pytest.mark.parametrize("batch_nodes", [0, 8, 100])
def test_the_whole_graph_keeps_its_order(batch_nodes: int) -> None:
    assert epoch(NodeParts(8, np.array([2]), batch_nodes, seed=0), 5) == [list(range(8))]


def test_an_epoch_of_batches_visits_every_node_to_learn_from_once() -> None:
    labelled = np.array([2, 3, 5, 7, 11, 13, 17])
    batches = NodeBatches(labelled, 3, seed=1)
    first = epoch(batches, 0)
    assert sorted(node for batch in first for node in batch) == labelled.tolist()
    assert [len(batch) for batch in first] == [3, 2, 2]
    assert len(batches) == 3
    assert first == epoch(batches, 0) != epoch(batches, 1)


def test_processes_share_the_batches_of_an_epoch() -> None:
    batches = NodeBatches(np.arange(22), 5, seed=0)
    shares = [epoch(Share(batches, rank, 2), 3) for rank in range(2)]
    assert [len(share) for share in shares] == [2, 2] == [len(Share(batches, rank, 2)) for rank in range(2)]
    assert [*shares[0], *shares[1]] == [epoch(batches, 3)[place] for place in (0, 2, 1, 3)]


@pytest.mark.parametrize("size", [0, 1, 6, 15])
def test_the_edges_among_some_nodes_are_those_of_pyg(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    edge_index = torch.randint(15, (2, 60), generator=generator)
    nodes = torch.randperm(15, generator=generator)[:size]
    edges, kept = induced_subgraph(nodes, edge_index, 15)
    # PyG numbers the nodes of a part in the order that they have in the graph.
    in_order, order = nodes.sort()
    expected, _, mask = subgraph(in_order, edge_index, relabel_nodes=True, num_nodes=15, return_edge_mask=True)
    assert torch.equal(order.argsort()[edges], expected)
    assert torch.equal(kept, mask)
    assert torch.equal(nodes[edges], edge_index[:, kept])
