"""What the encodings of a batch of molecules cost, against the parsing of their SMILES, on one core.

    python experiments/speed/encodings.py [--data-dir DIR] [--molecules N] [--rounds N]

The molecules are the first of Tox21. RDKit's bare ``MolFromSmiles``, each encoding of the whole batch, and PyG's
transforms of one molecule after the other take turns in one process, with one thread; the figure is the median, over
the rounds, of the ratio to the parsing in the same round: 1 means that it takes as long. Before anything is timed,
the encodings must agree with PyG's. Molecules with too few atoms for PyG's Laplacian eigenvectors cost it nothing.

Appends to encodings.csv.
"""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from rdkit import Chem, rdBase
from timing import quartiles, ratios, take_turns
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE
from torch_geometric.utils import get_laplacian

from gatlib.chem import MoleculeGraphs, featurize
from gatlib.data.batches import GraphBatches
from gatlib.data.files import data_dir as chosen_data_dir
from gatlib.data.tables import open_table
from gatlib.experiments.results import commit
from gatlib.nn.encodings.laplacian import heat_kernel_encoding, laplacian_encoding
from gatlib.nn.encodings.random_walk import random_walk_encoding
from gatlib.training.run_folder import library_versions, one_line

TABLE = Path(__file__).with_suffix(".csv")
STEPS, VECTORS = 20, 8
TIMES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
PARSING = "MolFromSmiles"

Steps = dict[str, Callable[[], object]]


def main(
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files.")] = None,
    molecules: Annotated[int, typer.Option(help="Molecules in the batch.", min=1)] = 512,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 7,
) -> None:
    torch.set_num_threads(1)
    smiles = first_smiles(chosen_data_dir(data_dir) / "molecules" / "tox21.csv.gz", molecules)
    graphs = featurize(smiles)
    batch = GraphBatches(graphs, np.arange(len(smiles)))[np.arange(len(smiles))]
    alone = one_by_one(graphs)
    check_agreement(batch, alone)

    steps: Steps = {PARSING: lambda: [Chem.MolFromSmiles(text) and None for text in smiles]}
    steps |= ours(batch) | of_pyg(alone)
    with rdBase.BlockLogs():
        seconds = take_turns(steps, rounds)
    parsing = quartiles(seconds[PARSING])[0] / len(smiles) * 1e6
    print(
        f"{len(smiles)} molecules, {batch.num_nodes / len(smiles):.1f} atoms each, parsing takes {parsing:.0f} µs each"
    )
    rows = []
    for name in list(steps)[1:]:
        median, first, third = quartiles(ratios(seconds[name], seconds[PARSING]))
        each = quartiles(seconds[name])[0] / len(smiles) * 1e6
        print(f"{name}: {median:.2f} of the time of parsing ({first:.2f} to {third:.2f}), {each:.0f} µs each")
        rows.append(
            {
                "date": dt.date.today().isoformat(),
                "commit": commit(),
                "encoding": name,
                "molecules": len(smiles),
                "atoms": batch.num_nodes,
                "ratio_median": round(median, 3),
                "ratio_q1": round(first, 3),
                "ratio_q3": round(third, 3),
                "rounds": rounds,
                "microseconds_each": round(each, 1),
                "parsing_microseconds_each": round(parsing, 1),
                "threads": torch.get_num_threads(),
                "device": f"{os.cpu_count()} CPU cores",
                "versions": one_line(library_versions()),
            }
        )
    pd.DataFrame(rows).to_csv(TABLE, mode="a", header=not TABLE.exists(), index=False)


def first_smiles(path: Path, count: int) -> list[str]:
    smiles: list[str] = []
    with open_table(str(path)) as table, rdBase.BlockLogs():
        for row in table.rows:
            text = row.cells[table.smiles_index]
            if Chem.MolFromSmiles(text):
                smiles.append(text)
            if len(smiles) == count:
                break
    return smiles


def one_by_one(graphs: MoleculeGraphs) -> list[Data]:
    return [
        Data(
            edge_index=torch.from_numpy(graphs.edge_index[:, edges[0] : edges[1]].astype(np.int64)),
            num_nodes=int(num_atoms),
        )
        for edges, num_atoms in zip(
            np.stack([graphs.edge_ptr[:-1], graphs.edge_ptr[1:]], axis=1), np.diff(graphs.atom_ptr), strict=True
        )
    ]


def ours(batch: Data) -> Steps:
    edges, graph, num_nodes = batch.edge_index, batch.batch, batch.num_nodes
    return {
        f"gatlib random walk, {STEPS} steps": lambda: random_walk_encoding(edges, STEPS, graph, num_nodes=num_nodes),
        f"gatlib Laplacian, {VECTORS} vectors": lambda: laplacian_encoding(edges, VECTORS, graph, num_nodes=num_nodes),
        f"gatlib heat kernel, {len(TIMES)} times": lambda: heat_kernel_encoding(
            edges, TIMES, graph, num_nodes=num_nodes
        ),
    }


def of_pyg(alone: list[Data]) -> Steps:
    random_walk = AddRandomWalkPE(STEPS)
    laplacian = AddLaplacianEigenvectorPE(VECTORS, is_undirected=True)
    large_enough = [data for data in alone if data.num_nodes > VECTORS]
    return {
        f"PyG random walk, {STEPS} steps": lambda: [random_walk(data) and None for data in alone],
        f"PyG Laplacian, {VECTORS} vectors": lambda: [laplacian(data) and None for data in large_enough],
    }


def check_agreement(batch: Data, alone: list[Data]) -> None:
    """The probabilities of return are PyG's; eigenvectors may differ, but must solve PyG's Laplacian."""
    walks = random_walk_encoding(batch.edge_index, STEPS, batch.batch, num_nodes=batch.num_nodes)
    transform = AddRandomWalkPE(STEPS)
    expected = torch.cat([transform(data).random_walk_pe for data in alone])
    vectors, values = laplacian_encoding(batch.edge_index, VECTORS, batch.batch, num_nodes=batch.num_nodes)
    edge_index, weight = get_laplacian(batch.edge_index, normalization="sym", num_nodes=batch.num_nodes)
    applied = torch.zeros_like(vectors).index_add(0, edge_index[0], weight.unsqueeze(1) * vectors[edge_index[1]])
    same_walks = torch.allclose(walks, expected, rtol=0, atol=1e-6)
    if not same_walks or not torch.allclose(applied, vectors * values[batch.batch], rtol=0, atol=1e-5):
        raise SystemExit("an encoding does not agree with PyG: no speed is reported")


if __name__ == "__main__":
    typer.run(main)
