"""SMILES to molecules: what counts as the same molecule."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from rdkit import Chem

from gatlib.chem import canonical_smiles, constitution, featurize, murcko_scaffold, parse

# A spelling with isotopes, atom map numbers or needless hydrogens, and the same molecule without them.
SAME = [
    ("[2H]C([2H])([2H])C([2H])([2H])O[2H]", "CCO"),
    ("[2H]c1c([2H])c([2H])c([2H])c([2H])c1[2H]", "c1ccccc1"),
    ("[3H]C([3H])([3H])O", "CO"),
    ("[2H]O[2H]", "O"),
    ("[2H][2H]", "[H][H]"),
    ("[2H]", "[H]"),
    ("[2H+].[Cl-]", "[H+].[Cl-]"),
    ("[2H]Cl", "Cl"),
    ("[2H][N+]([2H])([2H])[2H]", "[NH4+]"),
    ("[13CH4]", "C"),
    ("[13cH]1ccccc1", "c1ccccc1"),
    ("[235U]", "[U]"),
    ("[18F]CC[18O][13CH2]", "FCCO[CH2]"),
    ("[2H]C(F)Cl", "FCCl"),
    ("C[C@]([2H])([H])O", "CCO"),  # no centre any more
    ("C[C@@](O)([13CH3])F", "CC(C)(O)F"),
    ("[2H][C@](C)(N)C(=O)O", "[H][C@](C)(N)C(=O)O"),  # a centre still
    ("[2H]/C(F)=C/C", "[H]/C(F)=C/C"),
    ("[2H]/C=C/C", "C=CC"),  # the other hydrogen is as good: neither cis nor trans
    ("[H]/C=C/C", "C=CC"),
    ("[2H]/C([2H])=C/C", "C=CC"),
    ("[2H]/N=C/C", "[H]/N=C/C"),
    ("[2H]/N=C(/C)C", "N=C(C)C"),  # the other side is the same twice
    ("[H]/N=C(/N)N", "N=C(N)N"),
    ("[2H]/C=C", "C=C"),
    ("[2#1]C", "C"),
    ("[#1]/C=C/C", "C=CC"),
    ("[H+0]/C=C/C", "C=CC"),
    ("[HH0]/C=C/C", "C=CC"),
    ("[CH3:1][OH:2]", "CO"),
    ("[CH3:1][C@H:2]([NH2:3])[C:4](=[O:5])[OH:6]", "C[C@H](N)C(=O)O"),
    ("[2H:7]C", "C"),
]


@pytest.mark.parametrize(("spelling", "plain"), SAME)
def test_isotopes_and_map_numbers_do_not_count(spelling: str, plain: str) -> None:
    assert canonical_smiles(spelling) == canonical_smiles(plain)
    assert constitution(spelling) == constitution(plain)
    assert murcko_scaffold(spelling) == murcko_scaffold(plain)
    found, expected = featurize([spelling]), featurize([plain])
    assert found.errors == [None]
    assert sorted(found.x.tolist()) == sorted(expected.x.tolist())
    assert sorted(found.edge_attr.tolist()) == sorted(expected.edge_attr.tolist())


def test_attachment_points_keep_their_numbers() -> None:
    assert canonical_smiles("[1*]CC[2*]") != canonical_smiles("*CC*")


def test_stereo_that_a_hydrogen_carries_is_kept_where_it_is_real() -> None:
    assert canonical_smiles("[H]/N=C/C") != canonical_smiles("[H]/N=C\\C")
    assert canonical_smiles("[2H]/C(F)=C/C") != canonical_smiles("[2H]/C(F)=C\\C")


@pytest.mark.parametrize("smiles", ["[H]/C1=C(/[H])CCCCCCCC1", "[2H]/C1=C(/[2H])CCCCCCCC1", "[H]/C1=C/CCCCCCCC1"])
def test_what_is_cis_in_a_ring_is_known_before_hydrogens_go(smiles: str) -> None:
    """RDKit folds them first, and takes the one for the other."""
    settings = Chem.SmilesParserParams()
    settings.removeHs = False
    expected = Chem.MolFromSmiles(smiles.replace("[2H]", "[H]"), settings)
    assert stereo_of_bonds(parse(smiles)) == stereo_of_bonds(expected)


def stereo_of_bonds(mol: Chem.Mol) -> list[str]:
    return [str(bond.GetStereo()) for bond in mol.GetBonds() if bond.GetStereo() != Chem.BondStereo.STEREONONE]


@pytest.mark.parametrize("spelling", [spelling for spelling, _ in SAME])
def test_a_canonical_smiles_is_its_own(spelling: str) -> None:
    assert canonical_smiles(canonical_smiles(spelling)) == canonical_smiles(spelling)


def test_threads_share_the_settings_of_rdkit() -> None:
    """Whoever comes last puts them back, not whoever is done first."""
    smiles = ["C[C@H](N)C(=O)O"] * 20
    expected = featurize(smiles).x.tolist()
    Chem.SetUseLegacyStereoPerception(False)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: featurize(smiles).x.tolist(), range(200)))
        assert not Chem.GetUseLegacyStereoPerception()
    finally:
        Chem.SetUseLegacyStereoPerception(True)
    assert all(graphs == expected for graphs in found)


def test_labels_are_there_whatever_rdkit_is_set_to() -> None:
    expected = featurize(["C[C@H](N)C(=O)O", "F/C=C/F"])
    before = Chem.GetUseLegacyStereoPerception()
    Chem.SetUseLegacyStereoPerception(not before)
    try:
        found = featurize(["C[C@H](N)C(=O)O", "F/C=C/F"])
        assert Chem.GetUseLegacyStereoPerception() is not before
        assert parse("C[C@H](N)C(=O)O").GetAtomWithIdx(1).GetProp("_CIPCode") == "S"
    finally:
        Chem.SetUseLegacyStereoPerception(before)
    assert found.x.tolist() == expected.x.tolist()
    assert found.edge_attr.tolist() == expected.edge_attr.tolist()
