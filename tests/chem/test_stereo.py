"""One molecule, one graph: whatever the spelling, and another graph for another molecule."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spelled_molecules import CIS, HARD, TRANS, real_molecules, spellings

from gatlib.chem import MoleculeGraphs, featurize, murcko_scaffold
from gatlib.chem.side_features import rdkit_descriptors

#: Stereoisomers, two by two.
DIFFERENT = {
    "enantiomers": ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"),
    "sulphoxides": ("C[S@](=O)c1ccccc1", "C[S@@](=O)c1ccccc1"),
    "a double bond": ("F/C=C/F", "F/C=C\\F"),
    "an imine": ("[H]/N=C/C", "[H]/N=C\\C"),
    "a ring, cis and trans": (CIS, TRANS),
    "a ring of four": ("C[C@H]1C[C@@H](C)C1", "C[C@H]1C[C@H](C)C1"),
    "an amino acid in a ring": ("N[C@H]1CC[C@H](C(=O)O)CC1", "N[C@H]1CC[C@@H](C(=O)O)CC1"),
    "diastereomers": ("C[C@H](F)[C@H](Cl)Br", "C[C@H](F)[C@@H](Cl)Br"),
    "an amidine's ring": ("[H]/N=C(N)C[C@H]1CC[C@@H](C)CC1", "[H]/N=C(N)C[C@H]1CC[C@H](C)CC1"),
    "inositols": (
        "O[C@H]1[C@H](O)[C@@H](O)[C@H](O)[C@H](O)[C@H]1O",
        "O[C@@H]1[C@@H](O)[C@H](O)[C@@H](O)[C@@H](O)[C@@H]1O",
    ),
    "an axis": ("Cc1cccc(I)c1-c1c(C)cccc1Br |wU:7.7|", "Cc1cccc(I)c1-c1c(C)cccc1Br |wD:7.7|"),
    "a centre that is not told": ("CC(N)C(=O)O", "C[C@@H](N)C(=O)O"),
}


def invariants(graphs: MoleculeGraphs) -> list[int]:
    """Of each graph what a network can know of it: Weisfeiler and Lehman's colours after fifteen rounds."""
    found = []
    for row in range(len(graphs)):
        assert graphs.errors[row] is None
        edges = slice(graphs.edge_ptr[row], graphs.edge_ptr[row + 1])
        source, target = graphs.edge_index[:, edges].tolist()
        bonds = [tuple(bond) for bond in graphs.edge_attr[edges].tolist()]
        colours = [hash(tuple(atom)) for atom in graphs.x[graphs.atom_ptr[row] : graphs.atom_ptr[row + 1]].tolist()]
        for _ in range(15):
            heard: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in colours]
            for i, j, bond in zip(source, target, bonds, strict=True):
                heard[j].append((colours[i], bond))
            colours = [hash((colour, tuple(sorted(near)))) for colour, near in zip(colours, heard, strict=True)]
        found.append(hash(tuple(sorted(colours))))
    return found


def assert_one_molecule(smiles: Sequence[str]) -> None:
    assert len(set(invariants(featurize(smiles)))) == 1, smiles[0]
    assert len({murcko_scaffold(text) for text in smiles}) == 1, smiles[0]


@pytest.mark.parametrize("smiles", HARD)
def test_every_spelling_of_a_molecule_has_the_same_graph(smiles: str) -> None:
    assert_one_molecule([smiles, *spellings(smiles, 30)])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(HARD), min_size=1, max_size=3), st.integers(0, 2**20), st.randoms())
def test_fragments_come_in_any_order(fragments: list[str], seed: int, random) -> None:  # type: ignore[no-untyped-def]
    together = ".".join(fragments)
    respelled = [[fragment, *spellings(fragment, 3, seed)][-1] for fragment in fragments]
    random.shuffle(respelled)
    assert_one_molecule([together, ".".join(respelled)])


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_stereoisomers_differ(one: str, other: str) -> None:
    first, second = invariants(featurize([one, other]))
    assert first != second


def test_labels_worked_by_hand() -> None:
    """L-alanine is S and D-alanine R; of fumaric and maleic acid the one is E, the other Z."""
    graphs = featurize(["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "OC(=O)/C=C/C(=O)O", "OC(=O)/C=C\\C(=O)O"])
    centres = graphs.x[:, 1]
    assert centres[centres > 0].tolist() == [2, 1]
    bonds = graphs.edge_attr[:, 1]
    assert bonds[bonds > 0].tolist() == [2, 2, 1, 1]  # each in both directions


def test_an_axis_between_mirrored_sides_has_a_label() -> None:
    """CIP's m and p."""
    graphs = featurize(["CCO", "C[C@H](F)c1cccc([C@@H](C)F)c1-c1c(C)cccc1Br |wU:11.10|"])
    assert graphs.errors == [None, None]
    assert graphs.edge_attr[:, 1].max() in (3, 4)


def test_that_either_is_meant_is_no_stereo() -> None:
    first, second = invariants(featurize(["CC=CC", "CC=CC |w:1.0|"]))
    assert first == second


def test_an_axis_has_the_same_label_from_either_end() -> None:
    """The wedge is up in one order of the atoms and down in the other; the axis is M in both."""
    graphs = featurize(["Cc1cccc(I)c1-c1c(C)cccc1Br |wU:7.7|", "Cc1cccc(Br)c1-c1c(C)cccc1I |wD:8.9|"])
    labels = graphs.edge_attr[graphs.edge_attr[:, 1] > 0, 1]
    assert set(labels.tolist()) == {3}


def test_spellings_of_real_molecules_have_the_same_graph(data_dir: Path) -> None:
    for smiles in real_molecules(data_dir):
        assert_one_molecule([smiles, *spellings(smiles, 10)])


def test_spellings_have_the_same_descriptors(data_dir: Path) -> None:
    for smiles in real_molecules(data_dir)[::50]:
        values = rdkit_descriptors([smiles, *spellings(smiles, 5)])
        np.testing.assert_array_equal(values, np.broadcast_to(values[0], values.shape))
