"""Batches of molecule graphs, cut from the flat arrays of :class:`~gatlib.chem.MoleculeGraphs`."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torch_geometric.data import Data

from gatlib.chem import MoleculeGraphs


class GraphBatches(Dataset[Data]):
    """Indexed by a list of positions in ``rows``, gives one batch as a :class:`torch_geometric.data.Data`.

    A batch costs a few array operations however many graphs it has, where collating graph objects costs
    some for each graph.

    Args:
        graphs: the graphs.
        rows: which of them belong to this data set; rows without a graph are not allowed.
        targets: ``[len(graphs), tasks]`` float, NaN where unknown; optional.

    Shapes of a batch of B graphs with N atoms and E edges:
        ``x`` ``[N, 9]`` and ``edge_attr`` ``[E, 3]`` int64; ``edge_index`` ``[2, E]`` int64; ``batch`` ``[N]`` int64;
        ``y`` ``[B, tasks]`` float32, where there are targets; ``side`` ``[B, F]`` float32, where the graphs have side
        features.
    """

    def __init__(
        self, graphs: MoleculeGraphs, rows: NDArray[np.int64], targets: NDArray[np.floating] | None = None
    ) -> None:
        self.graphs = graphs
        self.rows = rows
        self.targets = targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, positions: Sequence[int] | NDArray[np.int64]) -> Data:
        graphs, rows = self.graphs, self.rows[positions]
        atoms, atoms_per_graph = _ranges(graphs.atom_ptr, rows)
        edges, edges_per_graph = _ranges(graphs.edge_ptr, rows)
        first_atom = np.cumsum(atoms_per_graph) - atoms_per_graph
        edge_index = graphs.edge_index[:, edges] + np.repeat(first_atom, edges_per_graph)
        data = Data(
            x=_long(graphs.x[atoms]),
            edge_index=_long(edge_index),
            edge_attr=_long(graphs.edge_attr[edges]),
            batch=_long(np.repeat(np.arange(len(rows)), atoms_per_graph)),
            num_graphs=len(rows),
        )
        if graphs.side.shape[1]:
            data.side = torch.from_numpy(graphs.side[rows])
        if self.targets is not None:
            data.y = torch.from_numpy(self.targets[rows].astype(np.float32))
        return data


def _ranges(ptr: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers ``ptr[row] .. ptr[row + 1] - 1`` of all rows, one after the other, and how many each row has."""
    counts = ptr[rows + 1] - ptr[rows]
    shift = ptr[rows] - (np.cumsum(counts) - counts)
    return np.arange(counts.sum()) + np.repeat(shift, counts), counts


def _long(array: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
