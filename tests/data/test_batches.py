"""Batches cut from flat arrays are the graphs, disjoint, in the order asked for."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from gatlib.chem import MoleculeGraphs, featurize
from gatlib.data.batches import GraphBatches
from gatlib.predictor import batches_by_size

SMILES = ["CCO", "not one", "C", "c1ccccc1", "[Na+].[Cl-]", "", "CC(=O)O"]
VALID = np.array([0, 2, 3, 4, 6])


def pyg_graph(graphs: MoleculeGraphs, row: int) -> Data:
    atoms = slice(graphs.atom_ptr[row], graphs.atom_ptr[row + 1])
    edges = slice(graphs.edge_ptr[row], graphs.edge_ptr[row + 1])
    return Data(
        x=torch.from_numpy(graphs.x[atoms].astype(np.int64)),
        edge_index=torch.from_numpy(graphs.edge_index[:, edges].astype(np.int64)),
        edge_attr=torch.from_numpy(graphs.edge_attr[edges].astype(np.int64)),
    )


@pytest.mark.parametrize("positions", [[0, 1, 2, 3, 4], [3, 0], [1], [2, 2], [1, 3]], ids=str)
def test_a_batch_is_what_pyg_collates(positions: list[int]) -> None:
    graphs = featurize(SMILES)
    batch = GraphBatches(graphs, VALID)[positions]
    expected = Batch.from_data_list([pyg_graph(graphs, VALID[position]) for position in positions])
    for name in ("x", "edge_index", "edge_attr", "batch"):
        assert torch.equal(batch[name], expected[name]), name
    assert batch.num_graphs == len(positions)
    assert "y" not in batch


def test_targets_follow_their_rows() -> None:
    targets = np.arange(14, dtype=np.float64).reshape(7, 2)
    targets[3, 1] = np.nan
    batch = GraphBatches(featurize(SMILES), VALID, targets)[np.array([2, 0])]
    assert batch.y.dtype == torch.float32
    np.testing.assert_array_equal(batch.y.numpy(), [[6, np.nan], [0, 1]])


@pytest.mark.parametrize(
    "sizes", [[], [5], [50], [3, 3, 3, 3, 3], [50, 1, 50, 1], [9, 1, 10]], ids=lambda sizes: str(sizes)
)
def test_batches_by_size_are_consecutive_and_leave_nothing_out(sizes: list[int]) -> None:
    batches = list(batches_by_size(np.array(sizes, dtype=np.int64), atoms_per_batch=10))
    assert [position for batch in batches for position in batch.tolist()] == list(range(len(sizes)))
    assert all(len(batch) > 0 for batch in batches)
    assert all(sum(sizes[position] for position in batch) < 20 or len(batch) <= 2 for batch in batches)


def test_side_features_follow_their_rows() -> None:
    graphs = featurize(SMILES, "descriptors")
    batch = GraphBatches(graphs, VALID)[np.array([3, 0])]
    assert batch.side.dtype == torch.float32
    np.testing.assert_array_equal(batch.side.numpy(), graphs.side[[4, 0]])
    assert "side" not in GraphBatches(featurize(SMILES), VALID)[np.array([3, 0])]
