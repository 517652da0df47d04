"""Molecules to pretrain on: each once, and none that a later test shall be fair to."""

from pathlib import Path

import pytest
from rdkit import Chem

from gatlib.errors import InputError
from gatlib.training.corpus import collect_molecules
from gatlib.training.molecules import split_molecules
from gatlib.training.train import read_dataset
from tests.conftest import TableWriter


def test_each_molecule_once_and_what_is_no_molecule_never(write_table: TableWriter) -> None:
    first = write_table("first.csv", ["smiles"], [["OCC"], ["C1CC"], [""], ["c1ccccc1"]])
    second = write_table("second.csv", ["name", "smiles"], [["x", "C1=CC=CC=C1"], ["y", "CCN"], ["z", "CCO"]])
    assert collect_molecules([str(first), str(second)], []) == ["CCO", "c1ccccc1", "CCN"]


def test_what_is_left_out_is_left_out_in_any_spelling_and_stereochemistry(write_table: TableWriter) -> None:
    source = write_table("source.csv", ["smiles"], [["OCC"], ["C[C@H](N)C(=O)O"], ["CCN"]])
    left_out = write_table("left_out.csv", ["smiles"], [["C(O)C"], ["C[C@@H](N)C(=O)O"]])
    assert collect_molecules([str(source)], [str(left_out)]) == ["CCN"]
    with pytest.raises(InputError, match=r"no molecule of .* is left to pretrain on"):
        collect_molecules([str(left_out)], [str(left_out)])


def test_valid_and_test_of_a_split_are_left_out(data_dir: Path) -> None:
    molecules = read_dataset("esol", data_dir)
    split = split_molecules(molecules, "scaffold", 0)
    found = set(collect_molecules(["esol"], ["esol:scaffold"], data_dir))
    kept = {plain(molecules.smiles[row]) for row in split.train}
    held_out = {plain(molecules.smiles[row]) for rows in (split.valid, split.test) for row in rows}
    assert {plain(text) for text in found} == kept - held_out
    assert len(found) > 0.75 * len(molecules.smiles)


def plain(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)
