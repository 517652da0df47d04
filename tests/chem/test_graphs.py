"""SMILES to graphs: OGB's features for every molecule, but for stereo; a reason for everything else."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from gatlib.chem import (
    MAX_ATOMS,
    InvalidMolecule,
    MoleculeGraphs,
    canonical_smiles,
    feature_dims,
    featurize,
    featurize_mol,
    graphs,
    parse,
)
from gatlib.chem.ogb_tables import ogb_features
from gatlib.chem.serialized import layout_is_known, read_slow

# One of everything that has ever gone wrong somewhere.
HARD = {
    "a single atom": "C",
    "a single ion": "[Na+]",
    "a salt": "CC(=O)[O-].[Na+]",
    "a mixture with single atoms": "[Cl-].[Cl-].[Ca+2].O",
    "a wildcard": "*CC",
    "a labelled wildcard": "[1*]CC[2*]",
    "only a wildcard": "*",
    "radicals": "[CH3].[O]C.[CH2]",
    "isotopes": "[13CH4].[2H]O[2H].[235U]",
    "explicit hydrogens": "[H]C([H])([H])O[H]",
    "molecular hydrogen": "[H][H]",
    "a proton": "[H+]",
    "an atom map": "[CH3:1][OH:2]",
    "charges beyond the table": "[C-4].[W+6].[U+7]",
    "many hydrogens": "[SnH4].[PH5]",
    "degree above ten": "[U](F)(F)(F)(F)(F)(F)(F)(F)(F)(F)(F)F",
    "a heavy element": "[Og]",
    "square planar": "[NH3][Pt@SP1]([NH3])(Cl)Cl",
    "octahedral": "Cl[Co@OH1](F)(Br)(I)([NH3])O",
    "tetrahedral": "N[C@@H](C)C(=O)O",
    "cis and trans": "F/C=C/C=C\\Cl",
    "a dative bond": "[NH3]->[Cu+2]<-[NH3]",
    "a quadruple bond": "[Cr]$[Cr]",
    "any bond": "C~C",
    "query atoms": "[#6]CC",
    "aromatic heteroatoms": "c1cc[nH]c1.c1cc[se]c1.c1ccpcc1.c1ccoc1",
    "a cage": "C12C3C4C1C5C2C3C45",
    "a macrocycle": "C1" + "C" * 60 + "1",
    "spaces around": "  CCO \n",
    "500 atoms": "C" * 500,
    "255 atoms": "C" * 255,
    "256 atoms and a ring": "C" * 250 + "C1CCCC/C=C/1",
    "210 atoms and 279 bonds": "C1CC1" * 70,
    "300 atoms with stereo": "N[C@@H](C)C(=O)" * 60 + "O",
    "an atropisomer": "Cc1cccc(I)c1-c1c(C)cccc1Br |wU:7.7|",
    "enhanced stereo": "C[C@H](F)[C@@H](Cl)Br |&1:1,o2:3|",
    "atom labels": "CC* |$;;R1$|",
    "coordinates": "CCO |(0,0,;1,0,;2,0,)|",
}
INVALID = {
    "empty": ("", "empty SMILES"),
    "blank": (" \t", "empty SMILES"),
    "None": (None, "empty SMILES"),
    "NaN": (float("nan"), "empty SMILES"),
    "NumPy's NaN": (np.float32("nan"), "empty SMILES"),
    "pandas' NA": (pd.NA, "empty SMILES"),
    "pandas' NaT": (pd.NaT, "empty SMILES"),
    "a number": (17, "not text: 17"),
    "bytes": (b"CCO", "not text: b'CCO'"),
    "a list": (["CCO"], "not text: ['CCO']"),
    "an array": (np.zeros(3), "not text: array([0., 0., 0.])"),
    "words": ("not a molecule", "not a SMILES: it contains a space"),
    "two SMILES": ("C O", "not a SMILES: it contains a space"),
    "an unclosed ring": ("C1CC", "not a valid SMILES"),
    "an unknown element": ("[Xx]", "not a valid SMILES"),
    "a NUL": ("CC\0", "not a SMILES: it contains a character that is not printable ASCII"),
    "undecodable bytes": ("CC\udcff", "not a SMILES: it contains a character that is not printable ASCII"),
    "a typographic minus": ("[Cl\u2212]", "not a SMILES: it contains a character that is not printable ASCII"),
    "five bonds": ("C(C)(C)(C)(C)C", "not a valid molecule: Explicit valence for atom # 0 C, 5, is greater than perm"),
    "no Kekulé form": ("c1cccc1", "not a valid molecule: Can't kekulize mol."),
    "a reaction": ("C>>O", "not a valid SMILES"),
    "too many atoms": ("C" * (MAX_ATOMS + 1), "too large: 1,001 atoms, at most 1,000 are accepted"),
    "too many characters": ("C" * 10_001, "too large: 10,001 characters, at most 10,000 are accepted"),
    "nested too deeply": ("(" * 5_000, "not a valid SMILES"),
}


Graph = tuple[list[list[int]], list[list[int]], list[tuple[int, ...]]]
STEREO_OF_ATOMS = 1  # the columns that are not OGB's: see test_stereo.py
STEREO_OF_BONDS = 1


def ogb_graph(smiles: str) -> Graph:
    """Atoms, bonds and ends as OGB's own functions have them."""
    features = ogb_features()
    mol = parse(smiles)
    atoms = [features.atom_to_feature_vector(atom) for atom in mol.GetAtoms()]
    bonds, ends = [], []
    for bond in mol.GetBonds():
        try:
            vector = features.bond_to_feature_vector(bond)
        except ValueError:  # OGB raises on RDKit's atropisomers; the last index stands for the unknown
            stereos = features.allowable_features["possible_bond_stereo_list"]
            types = features.allowable_features["possible_bond_type_list"]
            vector = [types.index(str(bond.GetBondType())), len(stereos) - 1, int(bond.GetIsConjugated())]
        pair = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        bonds += [vector, vector]
        ends += [pair, pair[::-1]]
    return atoms, bonds, ends


def one_graph(found: MoleculeGraphs, row: int) -> Graph:
    atoms = found.x[found.atom_ptr[row] : found.atom_ptr[row + 1]].tolist()
    edges = slice(found.edge_ptr[row], found.edge_ptr[row + 1])
    return atoms, found.edge_attr[edges].tolist(), [tuple(pair) for pair in found.edge_index[:, edges].T.tolist()]


def assert_same_as_ogb(smiles: Sequence[str]) -> None:
    found = featurize(smiles)
    for row, text in enumerate(smiles):
        if Chem.MolFromSmiles(text.strip()) is None:
            assert found.errors[row] is not None
        else:
            assert found.errors[row] is None, f"{text}: {found.errors[row]}"
            assert without_stereo(one_graph(found, row)) == without_stereo(ogb_graph(text)), text


def without_stereo(graph: Graph) -> Graph:
    """Whether an atom is a centre and a bond has stereo, in place of which."""
    atoms, bonds, ends = graph
    for rows, column in ((atoms, STEREO_OF_ATOMS), (bonds, STEREO_OF_BONDS)):
        for row in rows:
            row[column] = min(row[column], 1)
    return atoms, bonds, ends


@pytest.mark.parametrize("smiles", HARD.values(), ids=HARD)
def test_a_hard_molecule_has_ogbs_features(smiles: str) -> None:
    assert_same_as_ogb([smiles])


@pytest.mark.parametrize("smiles", HARD.values(), ids=HARD)
def test_features_stay_below_their_dims(smiles: str) -> None:
    atom_dims, bond_dims = feature_dims()
    found = featurize([smiles])
    assert (found.x < atom_dims).all()
    assert (found.edge_attr < bond_dims).all()


@pytest.mark.parametrize("file", ["tox21", "sider", "HIV", "clintox"])
def test_real_molecules_have_ogbs_features(file: str, data_dir: Path) -> None:
    smiles = pd.read_csv(data_dir / "molecules" / f"{file}.csv.gz")["smiles"]
    step = max(1, len(smiles) // 150)
    assert_same_as_ogb([*smiles[::step], smiles[smiles.str.len().idxmax()]])


def test_the_refused_molecules_of_tox21_keep_their_rows(data_dir: Path) -> None:
    smiles = pd.read_csv(data_dir / "molecules" / "tox21.csv.gz")["smiles"]
    rows = [1322, 2290, 2297, 3558, 4565, 4649, 5538, 6723]
    around = [row + shift for row in rows for shift in (-1, 0)]
    errors = featurize(smiles[around]).errors
    assert [error is not None for error in errors] == [False, True] * len(rows)
    assert all("not a valid molecule: Explicit valence for atom" in error for error in errors if error)


def count_slow_reads(smiles: str, monkeypatch: pytest.MonkeyPatch) -> int:
    calls = []
    monkeypatch.setattr(graphs, "read_slow", lambda mol: calls.append(mol) or read_slow(mol))
    assert featurize([smiles]).errors == [None]
    return len(calls)


@pytest.mark.parametrize("name", ["a single atom", "a salt", "radicals", "isotopes", "cis and trans", "500 atoms"])
def test_the_installed_rdkit_has_the_fast_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert layout_is_known()
    assert count_slow_reads(HARD[name], monkeypatch) == 0


def test_the_fast_path_equals_the_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = featurize(HARD.values())
    monkeypatch.setattr(graphs, "layout_is_known", lambda: False)
    slow = featurize(HARD.values())
    for name in ("x", "edge_index", "edge_attr", "atom_ptr", "edge_ptr"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))
        assert getattr(fast, name).dtype == getattr(slow, name).dtype


@pytest.mark.parametrize("name", ["a labelled wildcard", "any bond"])
def test_an_unusual_molecule_is_refused_by_the_fast_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_slow_reads(HARD[name], monkeypatch) == 1


def test_a_parsed_molecule_gives_the_graph_of_its_smiles() -> None:
    canonical = canonical_smiles("OC(=O)[C@@H](N)C")
    assert one_graph(featurize_mol(parse("OC(=O)[C@@H](N)C")), 0) == one_graph(featurize([canonical]), 0)


@pytest.mark.parametrize(("item", "reason"), INVALID.values(), ids=INVALID)
def test_what_is_no_molecule_has_a_reason(item: object, reason: str) -> None:
    found = featurize([item])
    assert found.errors[0] is not None
    assert found.errors[0].startswith(reason)
    assert found.x.shape == (0, 9)
    assert found.edge_index.shape == (2, 0)
    with pytest.raises(InvalidMolecule):
        parse(item)


def test_a_molecule_without_atoms_has_a_reason() -> None:
    assert featurize([" |$$|"]).errors[0] in ("no atoms", "not a valid SMILES")


def test_nothing_in_gives_nothing_out() -> None:
    found = featurize([])
    assert (len(found), found.x.shape, found.edge_index.shape, found.edge_attr.shape) == (0, (0, 9), (2, 0), (0, 3))


items = st.lists(st.sampled_from([*HARD.values(), *(item for item, _ in INVALID.values())]), max_size=8)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(items)
def test_a_batch_is_its_members_one_by_one(batch: list[object]) -> None:
    together = featurize(iter(batch))
    assert len(together) == len(together.errors) == len(batch)
    assert together.atom_ptr[-1] == len(together.x)
    assert together.edge_ptr[-1] == together.edge_index.shape[1] == len(together.edge_attr)
    for row, item in enumerate(batch):
        alone = featurize([item])
        assert together.errors[row] == alone.errors[0]
        assert one_graph(together, row) == one_graph(alone, 0)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet="CNOPSFclnos[]()=#+-@/\\%123.*:H |$^&\udcff\0", max_size=14))
def test_any_text_gives_a_graph_or_a_reason(text: str) -> None:
    found = featurize([text])
    assert (found.errors[0] is None) == (len(found.x) > 0)


def test_nobody_waits_for_ogbs_version_check() -> None:
    script = (
        "import sys, threading\n"
        "from gatlib.chem import featurize\n"
        "assert featurize(['CCO']).errors == [None]\n"
        "assert 'outdated' not in sys.modules, 'the version check was imported'\n"
        "assert threading.enumerate() == [threading.main_thread()], threading.enumerate()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
