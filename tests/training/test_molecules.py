"""The names of splits, from a table to three lists of rows."""

import csv
from itertools import chain
from pathlib import Path

import pytest

from gatlib.chem import canonical_smiles
from gatlib.errors import InputError
from gatlib.training.molecules import LabelledMolecules, read_molecules, split_molecules

RINGS = (
    "C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1", "C1CCCCCC1", "c1ccccc1", "c1ccncc1", "c1cncnc1", "c1ccoc1", "c1ccsc1",
    "c1cc[nH]c1", "C1CCNCC1", "C1COCCN1", "c1ccc2ccccc2c1", "c1ccc2[nH]ccc2c1", "c1ccc(cc1)c1ccccc1",
)  # fmt: skip
TAILS = ("O", "N", "C(=O)O", "CCl")
SMILES = [ring + tail for ring in RINGS for tail in TAILS]


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> LabelledMolecules:
    """64 molecules and two rows without one, all twice over, in the order of `number`."""
    path = tmp_path_factory.mktemp("numbered") / "numbered.csv"
    smiles = [*SMILES[:5], "C1CC", *SMILES[5:], ""] * 2
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(["smiles", "y", "number", "measured"])
        csv.writer(file).writerows([text, row % 2, row // 5, "soon"] for row, text in enumerate(smiles))
    return read_molecules(str(path), ["y"], "classification")


def rows_of(molecules: LabelledMolecules, split: str, seed: int = 0) -> list[list[int]]:
    return [rows.tolist() for rows in split_molecules(molecules, split, seed).parts().values()]


@pytest.mark.parametrize("split", ["scaffold", "scaffold_balanced", "random", "butina", "folds:3"])
def test_copies_are_on_one_side_and_only_molecules_are_used(molecules: LabelledMolecules, split: str) -> None:
    parts = rows_of(molecules, split)
    assert sorted(chain(*parts)) == [row for row in range(132) if row % 66 not in (5, 65)]
    sides = [{canonical_smiles(molecules.smiles[row]) for row in rows} for rows in parts]
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert parts == rows_of(molecules, split)
    assert (parts == rows_of(molecules, split, seed=1)) == (split == "scaffold")


def test_groups_too_large_to_divide_are_one_sentence(table_file: Path) -> None:
    molecules = read_molecules(str(table_file), ["nitrogen"], "classification")
    with pytest.raises(InputError, match=r"molecules \(63\) for a scaffold_balanced split: no valid and no test rows"):
        split_molecules(molecules, "scaffold_balanced", 0)


def test_seeds_are_folds_and_each_molecule_is_tested_once(molecules: LabelledMolecules) -> None:
    folds = [rows_of(molecules, "folds:4", seed)[2] for seed in range(4)]
    assert sorted(chain(*folds)) == sorted(chain(*rows_of(molecules, "random")))
    assert rows_of(molecules, "folds:4", seed=4)[2] != folds[0]  # another division
    for wrong in ("folds:2", "folds:many", "folds:-5"):
        with pytest.raises(InputError, match="name a number of folds, 3 or more, such as folds:5"):
            split_molecules(molecules, wrong, 0)


def test_a_split_by_time_and_its_bad_columns(molecules: LabelledMolecules) -> None:
    with pytest.raises(InputError, match="time column 'measured', data row 1: 'soon' is neither a number nor a date"):
        split_molecules(molecules, "time:measured", 0)
    with pytest.raises(InputError, match="has no column 'when' to split by; its columns are 'smiles', 'y', 'number'"):
        split_molecules(molecules, "time:when", 0)
    train, valid, test = rows_of(molecules, "time:number")
    assert (max(train) + 1, max(valid) + 1, max(test)) == (105, 120, 130)
    assert len(train) + len(valid) + len(test) == 128


def test_the_split_file_of_a_model_gives_its_split_again(
    classification_folder: Path, table_file: Path, molecules: LabelledMolecules
) -> None:
    of_model = read_molecules(str(table_file), ["nitrogen"], "classification")
    file = classification_folder / "split.csv"
    assert rows_of(of_model, f"file:{file}") == rows_of(of_model, "random", seed=1)
    with pytest.raises(InputError, match=r"line 2: data row 1 is CCO here and C1CC1O in the table"):
        split_molecules(molecules, f"file:{file}", 0)
    with pytest.raises(InputError, match=r"there is no file nowhere\.csv"):
        split_molecules(molecules, "file:nowhere.csv", 0)


@pytest.mark.parametrize("split", ["", "time", "time:", "file:", "scaffolds", "Time:number"])
def test_an_unknown_word_is_answered_with_the_known_ones(molecules: LabelledMolecules, split: str) -> None:
    with pytest.raises(InputError, match=r"is neither scaffold, random, nor a column of .*numbered\.csv; the others"):
        split_molecules(molecules, split, 0)
