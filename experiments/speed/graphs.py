"""The graphs of the layer benchmark."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gatlib.chem import featurize
from gatlib.data.batches import GraphBatches
from gatlib.data.cards import load_card
from gatlib.data.files import data_dir, dataset_file
from gatlib.data.tables import open_table
from gatlib.errors import InputError

IN_CHANNELS = 64
MOLECULES = 512

Edges = tuple[int, Tensor]  # number of nodes, edge_index


class Graph(NamedTuple):
    x: Tensor  # [N, 64], requires a gradient: the layer is a hidden one
    edge_index: Tensor  # [2, E]
    edge_attr: Tensor | None  # [E, D]


def load_graph(name: str, small: bool = False, device: str = "cpu") -> Graph:
    """The graph of this name, or with ``small`` a little one of its kind.

    Raises:
        InputError: its file is missing; the message says which.
    """
    num_nodes, edge_index = GRAPHS[name](small)
    x = _random_features(num_nodes, IN_CHANNELS).to(device)
    return Graph(x.requires_grad_(), edge_index.to(device), None)


def with_edge_features(graph: Graph, edge_dim: int) -> Graph:
    if edge_dim == 0:
        return graph
    edge_attr = _random_features(graph.edge_index.size(1), edge_dim)
    return graph._replace(edge_attr=edge_attr.to(graph.x.device))


def _random_features(rows: int, columns: int) -> Tensor:
    """Normal, in steps of 1/16.

    With weights as coarse (see contenders.py), every sum that enters a LeakyReLU is exact in float32 in whatever order
    it is taken. Otherwise rounding puts a few of the 10^8 sums on the other side of the kink, and gradients that are
    equally right differ in the fourth digit.
    """
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(1)).mul_(16).round_().div_(16)


def uniform(num_nodes: int, num_edges: int) -> Edges:
    """Both ends of every edge drawn alike from all nodes, in random order."""
    return num_nodes, torch.randint(num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(0))


def power_law(num_nodes: int, num_edges: int, exponent: float) -> Edges:
    """Both ends of every edge drawn with a probability proportional to rank^-exponent; ranks are dealt at random."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.arange(1, num_nodes + 1, dtype=torch.float64).pow(-exponent)
    ranks = torch.multinomial(weights, 2 * num_edges, replacement=True, generator=generator)
    return num_nodes, torch.randperm(num_nodes, generator=generator)[ranks].view(2, num_edges)


def facebook(small: bool) -> Edges:
    """Facebook page-page (Rozemberczki et al., 2019): every edge of the file in both directions."""
    path = data_dir() / "social" / "facebook_page_page" / "edges.csv.gz"
    if not path.is_file():
        raise InputError(f"there is no file {path}: set GATLIB_DATA_DIR to the folder with social/")
    pairs = torch.from_numpy(pd.read_csv(path, nrows=2000 if small else None).to_numpy(np.int64)).T
    return int(pairs.max()) + 1, torch.cat([pairs, pairs.flip(0)], dim=1)


def tox21(small: bool) -> Edges:
    """The first molecules of Tox21 that have a graph, in one batch."""
    wanted = 8 if small else MOLECULES
    with open_table(str(dataset_file(load_card("tox21")))) as table:
        smiles = [row.cells[table.smiles_index] for row, _ in zip(table.rows, range(2 * wanted), strict=False)]
    graphs = featurize(smiles)
    rows = np.flatnonzero([error is None for error in graphs.errors])[:wanted]
    batch = GraphBatches(graphs, rows)[np.arange(wanted)]
    return batch.num_nodes, batch.edge_index


def molecule() -> Edges:
    """As large as a drug molecule: a chain of 30 atoms closed to three rings, both directions of 32 bonds."""
    chain = torch.stack([torch.arange(29), torch.arange(1, 30)])
    bonds = torch.cat([chain, torch.tensor([[0, 10, 20], [5, 15, 25]])], dim=1)
    return 30, torch.cat([bonds, bonds.flip(0)], dim=1)


GRAPHS: dict[str, Callable[[bool], Edges]] = {
    "uniform": lambda small: uniform(1_000, 10_000) if small else uniform(100_000, 1_000_000),
    "power-law": lambda small: power_law(1_000, 10_000, 0.8) if small else power_law(100_000, 1_000_000, 0.8),
    "facebook": facebook,
    "tox21": tox21,
    "molecule": lambda small: molecule(),
    "big": lambda small: uniform(2_000, 40_000) if small else uniform(1_000_000, 20_000_000),
    # As many nodes and edges as the Reddit graph of GraphSAGE, and a hub of about its degree.
    "reddit-like": lambda small: power_law(2_000, 80_000, 0.4) if small else power_law(232_965, 114_615_892, 0.4),
}
