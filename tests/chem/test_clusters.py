"""Fingerprints, similarity and clusters, beside RDKit's own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator
from rdkit.ML.Cluster import Butina

from gatlib.chem import InvalidMolecule, canonical_smiles, featurize
from gatlib.chem.clusters import butina_clusters
from gatlib.chem.fingerprints import morgan_fingerprints, nearest_similarities, tanimoto

HEADS = ("C", "CC", "CCC", "c1ccccc1", "c1ccncc1", "C1CCCCC1", "CC(C)C")
TAILS = ("O", "N", "Cl", "C(=O)O", "C#N", "S", "CCO", "")
MOLECULES = [head + tail for head in HEADS for tail in TAILS]


def usable(smiles: list[str]) -> list[str]:
    return [text for text, error in zip(smiles, featurize(smiles).errors, strict=True) if error is None]


def tox21(data_dir: Path) -> list[str]:
    return usable(pd.read_csv(data_dir / "molecules" / "tox21.csv.gz")["smiles"].tolist())


def rdkit_clusters(smiles: list[str], cutoff: float) -> list[int]:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    fingerprints = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]
    distances: list[float] = []
    for number, fingerprint in enumerate(fingerprints):
        distances += DataStructs.BulkTanimotoSimilarity(fingerprint, fingerprints[:number], returnDistance=True)
    of_row = [0] * len(smiles)
    for cluster, rows in enumerate(Butina.ClusterData(distances, len(smiles), cutoff, isDistData=True)):
        for row in rows:
            of_row[row] = cluster
    return of_row


def test_fingerprints_and_similarities_are_rdkits() -> None:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    expected = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in MOLECULES]
    found = morgan_fingerprints(MOLECULES)
    assert found.shape == (len(MOLECULES), 2048)
    assert [np.flatnonzero(bits).tolist() for bits in found] == [list(bits.GetOnBits()) for bits in expected]
    similarities = [DataStructs.BulkTanimotoSimilarity(bits, expected) for bits in expected]
    assert np.array_equal(tanimoto(found, found), similarities)
    half = len(MOLECULES) // 2
    nearest = nearest_similarities(MOLECULES[:half], MOLECULES[half:])
    assert np.array_equal(nearest, np.array(similarities)[:half, half:].max(axis=1))
    assert morgan_fingerprints([]).shape == (0, 2048)


def test_a_hand_worked_clustering() -> None:
    # Hexane is 7/8 similar to heptane and octane, which have the same bits; benzene is 3/11 similar to phenol.
    smiles = ["c1ccccc1", None, "CCCCCC", "Oc1ccccc1", "CCCCCCC", "CCCCCCCC", "C(CCC)CC"]
    clusters = butina_clusters(smiles)
    assert clusters == [2, None, 0, 1, 0, 0, 0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(MOLECULES), max_size=40), st.sampled_from([0.0, 0.25, 0.4, 0.6, 0.9]))
def test_clusters_are_those_of_rdkit(smiles: list[str], cutoff: float) -> None:
    clusters = butina_clusters(smiles, cutoff)
    assert clusters == (rdkit_clusters(smiles, cutoff) if smiles else [])
    assert len(set(zip(smiles, clusters, strict=True))) == len(set(smiles))  # copies are together


def test_clusters_of_tox21_are_near_their_centres(data_dir: Path) -> None:
    smiles = tox21(data_dir)
    assert butina_clusters(smiles[:1500]) == rdkit_clusters(smiles[:1500], 0.4)
    clusters = np.array(butina_clusters(smiles))
    assert len(set(clusters.tolist())) == clusters.max() + 1 == pytest.approx(5213, abs=20)
    for number in range(300):
        members = morgan_fingerprints(smiles[row] for row in np.flatnonzero(clusters == number))
        assert (tanimoto(members, members).min(axis=1).max()) >= 0.6 - 1e-9  # one of them is the centre


def test_copies_in_bbbp_are_in_one_cluster(data_dir: Path) -> None:
    smiles = usable(pd.read_csv(data_dir / "molecules" / "BBBP.csv.gz")["smiles"].tolist())
    keys = [canonical_smiles(text) for text in smiles]
    assert len(set(zip(keys, butina_clusters(smiles), strict=True))) == len(set(keys)) < len(keys)


def test_what_has_no_clusters() -> None:
    assert butina_clusters([]) == []
    assert butina_clusters([None, None]) == [None, None]
    assert butina_clusters([None, "C"]) == [None, 0]
    with pytest.raises(InvalidMolecule, match="not a valid SMILES"):
        butina_clusters(["C1CC"])
    for cutoff in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="cutoff must be at least 0 and less than 1"):
            butina_clusters(["C"], cutoff)
