"""How fast SMILES become graphs, against RDKit's bare ``MolFromSmiles`` and ogb's featuriser, on one core.

    python experiments/speed/featurize.py [--data-dir DIR]

The three take turns on the same molecules in one process; the figure is the median of the ratios of the rounds, in CPU
time. Before anything is timed, the features must equal ogb's on every molecule, but for those of stereo, of which
ogb's depend on the spelling, so that only their being there is compared. Molecules with isotopes or hydrogens that
ogb counts as atoms of their own are left out. Appends to featurize.csv.
"""

import datetime as dt
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from gatlib.chem import featurize
from gatlib.chem.ogb_tables import ogb_features
from gatlib.data.files import data_dir as chosen_data_dir
from gatlib.data.tables import open_table
from gatlib.experiments.results import commit
from gatlib.training.run_folder import library_versions

HERE = Path(__file__).parent
FILES = ("tox21.csv.gz", "HIV.csv.gz", "sider.csv.gz", "clintox.csv.gz")


def main(
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files.")] = None,
    molecules: Annotated[int, typer.Option(help="Molecules per file.")] = 1400,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.")] = 9,
) -> None:
    folder = chosen_data_dir(data_dir) / "molecules"
    for file in FILES:
        with open_table(str(folder / file)) as table:
            smiles = [row.cells[table.smiles_index] for row, _ in zip(table.rows, range(molecules), strict=False)]
        with rdBase.BlockLogs():
            smiles = [text for text in smiles if Chem.MolFromSmiles(text) and not re.search(r"\[(\d|H\])", text)]
        check_agreement(smiles)
        ratios = measure(smiles, rounds)
        print(f"{file}: gatlib {ratios['gatlib']:.2f}, ogb {ratios['ogb']:.2f} of the rate of bare MolFromSmiles")
        record(file, len(smiles), rounds, ratios)


def check_agreement(smiles: Sequence[str]) -> None:
    from ogb.utils.mol import smiles2graph

    graphs = featurize(smiles)
    for row, text in enumerate(smiles):
        expected = smiles2graph(text)
        atoms = slice(graphs.atom_ptr[row], graphs.atom_ptr[row + 1])
        edges = slice(graphs.edge_ptr[row], graphs.edge_ptr[row + 1])
        same = (
            np.array_equal(without_stereo(graphs.x[atoms]), without_stereo(expected["node_feat"]))
            and np.array_equal(graphs.edge_index[:, edges], expected["edge_index"])
            and np.array_equal(without_stereo(graphs.edge_attr[edges]), without_stereo(expected["edge_feat"]))
        )
        if not same:
            raise SystemExit(f"the features of {text} are not ogb's: no speed is reported")


def without_stereo(features: NDArray[np.integer]) -> NDArray[np.integer]:
    """Whether there is stereo in place of which; it stands in column 1 of atoms and of bonds."""
    features = features.copy()
    features[:, 1] = features[:, 1].clip(max=1)
    return features


def measure(smiles: Sequence[str], rounds: int) -> dict[str, float]:
    from ogb.utils.mol import smiles2graph

    def seconds(function: Callable[[], object]) -> float:
        started = time.process_time()
        function()
        return time.process_time() - started

    ratios: dict[str, list[float]] = {"gatlib": [], "ogb": []}
    for _ in range(rounds):
        bare = seconds(lambda: [Chem.MolFromSmiles(text) and None for text in smiles])
        ratios["gatlib"].append(bare / seconds(lambda: featurize(smiles)))
        ratios["ogb"].append(bare / seconds(lambda: [smiles2graph(text) and None for text in smiles]))
    return {name: statistics.median(values) for name, values in ratios.items()}


def record(file: str, molecules: int, rounds: int, ratios: dict[str, float]) -> None:
    rows = [
        {
            "date": dt.date.today().isoformat(),
            "commit": commit(),
            "file": file,
            "molecules": molecules,
            "rounds": rounds,
            "featuriser": name,
            "rate_of_bare_parsing": round(ratio, 3),
            "rdkit": library_versions()["rdkit"],
        }
        for name, ratio in ratios.items()
    ]
    path = HERE / "featurize.csv"
    pd.DataFrame(rows).to_csv(path, mode="a", header=not path.exists(), index=False)


if __name__ == "__main__":
    ogb_features()  # import ogb without its version check
    typer.run(main)
