"""What valid and test share with train: hand-worked numbers, and real data with copies."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gatlib.chem import canonical_smiles, featurize
from gatlib.data import leakage
from gatlib.data.leakage import describe_leakage, leakage_report
from gatlib.data.splits import Split, random_split
from gatlib.errors import InputError


def split_of(train: list[int], valid: list[int], test: list[int]) -> Split:
    return Split(*(np.array(rows, dtype=np.int64) for rows in (train, valid, test)))


def test_identical_molecules_and_their_labels_are_counted() -> None:
    smiles = ["CCO", "c1ccccc1", "OCC", "C(O)C", "CCN", "C1=CC=CC=C1", "not used"]
    unknown = np.nan
    labels = np.array(
        [
            [0, 1, unknown],  # train: ethanol
            [1, 1, 1],  # train: benzene
            [0, 0, 1],  # train: ethanol
            [1, 1, 0],  # test: ethanol; the first task contradicts twice, the others once: 3
            [1, 1, 1],  # test: ethylamine
            [unknown, 1, 0],  # valid: benzene; the last task contradicts
            [0, 0, 0],
        ]
    )
    split = split_of([0, 1, 2], [5], [3, 4])
    report = leakage_report(smiles, split, labels)
    assert (report.identical_test, report.num_test, report.identical_valid, report.num_valid) == (1, 2, 1, 1)
    assert report.contradicting_labels == 4
    assert leakage_report(smiles, split).contradicting_labels == 0
    assert describe_leakage(report).startswith(
        "leakage: 1 of 2 test and 1 of 1 valid molecules are also in train "
        "(4 of their labels contradict those in train); training molecule nearest to a test molecule: median"
    )


def test_the_nearest_training_molecule_decides() -> None:
    # Ethanol has 6 substructures, propanol 8. They share 5: CH3, CH2, OH, and CH3 and OH with their neighbours.
    smiles = ["CCO", "c1ccccc1", "CCCO", "CCO"]
    report = leakage_report(smiles, split_of([0, 1], [], [2, 3]))
    nearest = [5 / (6 + 8 - 5), 1.0]
    assert report.median_similarity == pytest.approx(np.mean(nearest))
    assert report.percentile_90_similarity == pytest.approx(nearest[0] + 0.9 * (nearest[1] - nearest[0]))
    assert report.near_copies == 0.5
    assert describe_leakage(report) == (
        "leakage: 1 of 2 test molecules are also in train; training molecule nearest to a test molecule: "
        "median similarity 0.78, 90th percentile 0.96, 50 % above 0.9"
    )


def test_a_large_test_part_is_sampled_and_the_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage, "MAX_COMPARED", 5)
    smiles = ["C" * length for length in range(1, 41)]
    split = split_of(list(range(20)), [20], list(range(21, 40)))
    report = leakage_report(smiles, split)
    assert report == leakage_report(smiles, split)
    assert (report.num_compared, report.num_test) == (5, 19)
    assert "nearest to a test molecule of 5 drawn at random: median similarity 1.00" in describe_leakage(report)


def test_nothing_to_compare_is_refused() -> None:
    for split in (split_of([], [0], [1]), split_of([0], [1], [])):
        with pytest.raises(InputError, match="both need molecules"):
            leakage_report(["CCO", "CCN"], split)


def test_the_copies_in_bbbp_are_found_when_rows_are_split_one_by_one(data_dir: Path) -> None:
    table = pd.read_csv(data_dir / "molecules" / "BBBP.csv.gz")
    smiles = table["smiles"].tolist()
    usable = [error is None for error in featurize(smiles).errors]
    labels = table[["p_np"]].to_numpy(dtype=np.float64)
    careless = leakage_report(smiles, random_split([row if use else None for row, use in enumerate(usable)], 0), labels)
    careful = random_split(
        [canonical_smiles(text) if use else None for text, use in zip(smiles, usable, strict=True)], 0
    )
    report = leakage_report(smiles, careful, labels)
    assert careless.identical_test >= 5
    assert careless.contradicting_labels >= 1
    assert (report.identical_test, report.identical_valid, report.contradicting_labels) == (0, 0, 0)
    assert 0.3 < report.median_similarity < careless.percentile_90_similarity <= 1
