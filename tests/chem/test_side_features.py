"""Side features: counted by hand, zeros where there is no molecule, and each row by itself."""

import numpy as np
import pytest
import rdkit
from rdkit import Chem
from rdkit.Chem import Descriptors

from gatlib.chem import SideFeatures, featurize
from gatlib.chem.descriptor_names import DESCRIPTOR_NAMES
from gatlib.chem.fingerprints import morgan_fingerprints
from gatlib.chem.side_features import (
    LARGEST_DESCRIPTOR,
    morgan_counts,
    num_side_features,
    rdkit_descriptors,
    side_features,
)
from gatlib.errors import InputError

SMILES = ["CCO", "not one", "", None, "c1ccccc1C(=O)O", "[Na+].[Cl-]", "*"]
INVALID = [1, 2, 3]
KINDS: list[SideFeatures] = ["none", "morgan", "descriptors", "both"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_for_each_input_and_zeros_without_a_molecule(
    kind: SideFeatures, capfd: pytest.CaptureFixture[str]
) -> None:
    found = side_features(iter(SMILES), kind)
    assert found.dtype == np.float32
    assert found.shape == (len(SMILES), num_side_features(kind))
    assert (found[INVALID] == 0).all()
    assert side_features([], kind).shape == (0, num_side_features(kind))
    assert capfd.readouterr() == ("", "")
    for row, item in enumerate(SMILES):
        np.testing.assert_array_equal(side_features([item], kind)[0], found[row])


def test_both_is_one_beside_the_other() -> None:
    parts = [side_features(SMILES, "morgan"), side_features(SMILES, "descriptors")]
    np.testing.assert_array_equal(side_features(SMILES, "both"), np.hstack(parts))
    assert num_side_features("none") == 0
    assert num_side_features("morgan") == 2048


def test_substructures_by_hand() -> None:
    # Ethane: two methyl carbons, and around each of them the same one bond; it reaches no further.
    counts = np.sort(side_features(["CC"], "morgan")[0])[::-1]
    np.testing.assert_allclose(counts[:3], [np.log(3), np.log(2), 0], rtol=1e-6)
    valid = [str(SMILES[row]) for row in (0, 4, 5, 6)]
    np.testing.assert_array_equal(morgan_counts(valid) > 0, morgan_fingerprints(valid) > 0)


def test_descriptors_by_hand() -> None:
    found = dict(zip(DESCRIPTOR_NAMES, side_features(["CCO"], "descriptors")[0], strict=True))
    assert found["MolWt"] == pytest.approx(46.069)
    assert (found["HeavyAtomCount"], found["RingCount"], found["NumHDonors"]) == (3, 0, 1)
    assert np.nanmax(np.abs(rdkit_descriptors(["C" * 300]))) == LARGEST_DESCRIPTOR  # Ipc
    assert np.isnan(side_features(["*"], "descriptors")).any()  # partial charges of a wildcard
    assert np.isnan(rdkit_descriptors(["C1"])).all()


def test_the_same_descriptors_whatever_else_rdkit_has(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rdkit_descriptors(SMILES[:1])
    assert before.shape == (1, len(DESCRIPTOR_NAMES)) == (1, 217)
    monkeypatch.setattr(Descriptors, "descList", [("New", Chem.GetFormalCharge), *Descriptors.descList])
    np.testing.assert_array_equal(rdkit_descriptors(SMILES[:1]), before)
    monkeypatch.setattr(Descriptors, "descList", Descriptors.descList[2:])
    with pytest.raises(InputError, match=rf"RDKit {rdkit.__version__} has no descriptor 'MaxAbsEStateIndex': install"):
        rdkit_descriptors(SMILES[:1])


def test_featurize_has_them_beside_the_graphs() -> None:
    graphs = featurize(iter(SMILES), "both")
    np.testing.assert_array_equal(graphs.side, side_features(SMILES, "both"))
    plain = featurize(SMILES)
    assert plain.side.shape == (len(SMILES), 0)
    assert plain.errors == graphs.errors
    np.testing.assert_array_equal(plain.x, graphs.x)
    np.testing.assert_array_equal(plain.edge_ptr, graphs.edge_ptr)
