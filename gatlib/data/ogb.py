"""OGB's graph sets through its own package: their graphs, labels, official split and evaluator.

``ogb`` 1.3.6 calls ``torch.load`` in a way that PyTorch 2.6 and later refuse, unless PyG's classes are on the list of
what may be in a file; they are put there for these calls alone. Nothing else is ever unpickled.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from gatlib.chem import MoleculeGraphs
from gatlib.chem.ogb_tables import ogb_features
from gatlib.data.files import data_dir
from gatlib.data.splits import Split
from gatlib.errors import InputError


@dataclass(frozen=True)
class OgbDataset:
    """The molecules of an ``ogbg-mol*`` set, in OGB's order."""

    name: str
    smiles: list[str]
    tasks: list[str]
    targets: NDArray[np.float64]  # [molecules, tasks], NaN where unknown
    graphs: MoleculeGraphs
    split: Split


def load_ogb(name: str, given_dir: Path | None = None) -> OgbDataset:
    """Read a set with OGB's ``PygGraphPropPredDataset``, which downloads it when it is not there.

    It is looked for in ``ogb/`` below the data directory (:func:`~gatlib.data.files.data_dir`). ``ogb`` writes its own
    file beside the data, so a folder that cannot be written is copied to the user's cache first.

    Args:
        name: as OGB has it, ``ogbg-molhiv`` say.
        given_dir: the data directory, if not the usual one.

    Raises:
        InputError: it is not there and cannot be downloaded.
    """
    ogb_features()  # imports ogb without its version check
    from ogb.graphproppred import PygGraphPropPredDataset

    root = _writable_root(name, data_dir(given_dir) / "ogb")
    was_there = (root / _folder(name)).exists()
    try:
        with _pyg_classes_allowed(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            dataset = PygGraphPropPredDataset(name, root=str(root))
            parts = dataset.get_idx_split()
    except (OSError, EOFError, SystemExit) as error:  # it asks, gets no answer, and ends the process
        if not was_there:  # else it would take what is left for a set of an older version
            shutil.rmtree(root / _folder(name), ignore_errors=True)
        raise InputError(
            f"{name} is not in {root} and could not be downloaded ({type(error).__name__}): put OGB's folder "
            f"{_folder(name)} there, or name another data directory with --data-dir"
        ) from None
    molecules = pd.read_csv(root / _folder(name) / "mapping" / "mol.csv.gz")
    tasks = [column for column in molecules.columns if column not in ("smiles", "mol_id")]
    split = Split(*(np.sort(parts[part].numpy()) for part in ("train", "valid", "test")))
    targets = dataset.y.double().numpy()
    return OgbDataset(name, molecules["smiles"].tolist(), tasks, targets, _graphs(dataset), split)


def ogb_score(name: str, targets: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """The figure of OGB's leaderboard, by its ``Evaluator``: ROC-AUC of ogbg-molhiv, say.

    Args:
        name: as OGB has it.
        targets: ``[molecules, tasks]``, NaN where unknown.
        predictions: ``[molecules, tasks]``.
    """
    ogb_features()
    from ogb.graphproppred import Evaluator

    evaluator = Evaluator(name)
    return float(evaluator.eval({"y_true": targets, "y_pred": predictions})[evaluator.eval_metric])


def _folder(name: str) -> str:
    return name.replace("-", "_")


def _writable_root(name: str, root: Path) -> Path:
    """``root``, or a copy of the set in the user's cache where ``root`` cannot be written."""
    source = root / _folder(name)
    if not source.is_dir() or os.access(source, os.W_OK):
        return root
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("gatlib")) / "ogb"
    if not (cache / _folder(name)).is_dir():
        partial = cache / f"{_folder(name)}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial, copy_function=shutil.copyfile)
        partial.rename(cache / _folder(name))
    return cache


@contextmanager
def _pyg_classes_allowed() -> Iterator[None]:
    with torch.serialization.safe_globals([DataEdgeAttr, DataTensorAttr, GlobalStorage]):
        yield


def _graphs(dataset: object) -> MoleculeGraphs:
    """PyG's collated graphs as ours: the features are the same, both end to end."""
    data, slices = dataset._data, dataset.slices  # type: ignore[attr-defined]
    return MoleculeGraphs(
        x=data.x.numpy().astype(np.uint8),
        edge_index=data.edge_index.numpy().astype(np.int32),
        edge_attr=data.edge_attr.numpy().astype(np.uint8),
        atom_ptr=slices["x"].numpy(),
        edge_ptr=slices["edge_index"].numpy(),
        errors=[None] * (len(slices["x"]) - 1),
        side=np.zeros((len(slices["x"]) - 1, 0), dtype=np.float32),
    )
