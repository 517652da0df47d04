"""OGB's own files: their graphs are ours, their split is the stored one, their evaluator agrees."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from gatlib.chem import featurize
from gatlib.data.ogb import OgbDataset, load_ogb, ogb_score
from gatlib.errors import InputError
from gatlib.training.train import read_dataset


@pytest.fixture(scope="module")
def molhiv(data_dir: Path) -> OgbDataset:
    return load_ogb("ogbg-molhiv", data_dir)


def test_the_official_split(molhiv: OgbDataset, data_dir: Path) -> None:
    for part, rows in molhiv.split.parts().items():
        file = data_dir / "ogb" / "ogbg_molhiv" / "split" / "scaffold" / f"{part}.csv.gz"
        assert rows.tolist() == pd.read_csv(file, header=None)[0].tolist()
        assert np.nansum(molhiv.targets[rows]) == {"train": 1232, "valid": 81, "test": 130}[part]


def test_their_graphs_are_what_we_make_of_the_smiles(molhiv: OgbDataset) -> None:
    """But for what RDKit has come to see differently since: hybridisation and conjugation of a few."""
    count = 137  # the first that a newer RDKit refuses
    ours, theirs = featurize(molhiv.smiles[:count]), molhiv.graphs
    atoms, edges = ours.atom_ptr[-1], ours.edge_ptr[-1]
    assert (ours.atom_ptr == theirs.atom_ptr[: count + 1]).all()
    assert (ours.edge_index == theirs.edge_index[:, :edges]).all()
    assert (ours.x != theirs.x[:atoms]).mean() < 0.001
    assert (ours.edge_attr != theirs.edge_attr[:edges]).mean() < 0.001


def test_all_molecules_have_a_graph(molhiv: OgbDataset) -> None:
    assert len(molhiv.graphs) == len(molhiv.smiles) == 41_127
    assert (np.diff(molhiv.graphs.atom_ptr) > 0).all()
    assert featurize([molhiv.smiles[137]]).errors[0] is not None


def test_their_evaluator() -> None:
    rng = np.random.default_rng(0)
    targets, predictions = rng.integers(0, 2, (50, 1)).astype(float), rng.random((50, 1))
    assert ogb_score("ogbg-molhiv", targets, predictions) == pytest.approx(roc_auc_score(targets, predictions))


def test_molecules_of_the_split(molhiv: OgbDataset, data_dir: Path) -> None:
    molecules = read_dataset("hiv", data_dir, "ogb")
    assert molecules.official_split is not None
    assert molecules.tasks == ["HIV_active"]
    assert molecules.rejected().empty


def test_a_set_that_ogb_does_not_have_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ogb.graphproppred.dataset_pyg.decide_download", lambda url: False)
    for _ in range(2):
        with pytest.raises(InputError, match=r"ogbg-molhiv is not in .* and could not be downloaded"):
            load_ogb("ogbg-molhiv", tmp_path)


def test_the_split_of_a_set_without_ogb() -> None:
    with pytest.raises(InputError, match="the card of esol names no data set of OGB: take another split than 'ogb'"):
        read_dataset("esol", None, "ogb")
