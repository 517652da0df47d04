"""The batches of the benchmark of full attention, which sees no edges: a graph is how many nodes it has."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatlib.chem import featurize
from gatlib.data.cards import load_card
from gatlib.data.files import dataset_file
from gatlib.data.tables import open_table

CHANNELS = 64


class Nodes(NamedTuple):
    x: Tensor  # [N, 64], requires a gradient: the layer is a hidden one
    batch: Tensor  # [N], the graph of every node


def load_batch(name: str, small: bool = False) -> Nodes:
    """The batch of this name, or with ``small`` a little one of its kind; the graphs lie in random order.

    Raises:
        InputError: its file is missing; the message says which.
    """
    return nodes_of(BATCHES[name](small))


def nodes_of(sizes: list[int]) -> Nodes:
    generator = torch.Generator().manual_seed(1)
    shuffled = torch.tensor(sizes)[torch.randperm(len(sizes), generator=generator)]
    x = torch.randn(int(shuffled.sum()), CHANNELS, generator=generator)
    return Nodes(x.requires_grad_(), torch.arange(len(sizes)).repeat_interleave(shuffled))


def tox21(molecules: int) -> list[int]:
    """Atoms of molecules drawn from Tox21, of those that have a graph."""
    with open_table(str(dataset_file(load_card("tox21")))) as table:
        smiles = [row.cells[table.smiles_index] for row in table.rows]
    drawn = torch.randperm(len(smiles), generator=torch.Generator().manual_seed(0))[: 2 * molecules]
    sizes = np.diff(featurize([smiles[row] for row in drawn.tolist()]).atom_ptr)
    found: list[int] = sizes[sizes > 0][:molecules].tolist()
    return found


BATCHES: dict[str, Callable[[bool], list[int]]] = {
    # Chains, because hardly a molecule of Tox21 has as many as 100 atoms, and only their number matters.
    "uneven": lambda small: [*tox21(6), 100] if small else [*tox21(250), *6 * [100]],
    "tox21": lambda small: tox21(8 if small else 256),
    "large": lambda small: [150] + 4 * [10] if small else 8 * [500] + 64 * [30],
}
