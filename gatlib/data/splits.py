"""Splits of a data set into train, valid and test.

A :class:`Split` holds row numbers; rows that cannot be used (no molecule) are in none of the three parts. What
belongs together, a scaffold, a cluster, copies of a molecule, is given as one key per row.
"""

import math
import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from gatlib.errors import InputError

SPLIT_NAMES = ("train", "valid", "test")
#: What a part is called in a column or a file.
PART_OF_WORD = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}


@dataclass(frozen=True)
class Split:
    """Row numbers, ascending, of the three parts."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]

    def parts(self) -> dict[str, NDArray[np.int64]]:
        return {"train": self.train, "valid": self.valid, "test": self.test}


def scaffold_split(scaffolds: Sequence[str | None], fractions: tuple[float, float] = (0.8, 0.1)) -> Split:
    """Whole scaffold groups go to one side: the test set has scaffolds the model never saw.

    Groups are sorted by (size, first row), both descending. A group goes to train while train stays within
    ``fractions[0]`` of the rows, else to valid while both stay within the sum of ``fractions``, else to
    test. Deterministic; the procedure of OGB and of the pretraining papers.

    Args:
        scaffolds: one scaffold per row (:func:`gatlib.chem.murcko_scaffold`), None to leave the row out.
        fractions: sizes of train and valid; test takes the rest.

    Source: Hu et al., "Strategies for pre-training graph neural networks", ICLR 2020; Hu et al., "Open Graph
    Benchmark", NeurIPS 2020.
    """
    rows = [row for row, scaffold in enumerate(scaffolds) if scaffold is not None]
    groups = _groups(scaffolds, rows)
    ordered = sorted(groups, key=lambda group: (len(group), group[0]), reverse=True)
    return _fill(ordered, len(rows), fractions)


def balanced_scaffold_split(
    scaffolds: Sequence[Hashable | None], seed: int, fractions: tuple[float, float] = (0.8, 0.1)
) -> Split:
    """Whole groups go to one side: small groups at random, groups larger than valid or test to train.

    Sizes are rounded down. Groups that fit into both valid and test come first, in random order, then the
    larger ones, ascending. A group goes to test while test stays within its size, else to valid while valid
    does, else to train.

    The same rows as chemprop 2.3.1's ``scaffold_balanced`` with the same seed and sizes, when ``scaffolds`` are
    :func:`gatlib.chem.murcko_scaffold` with ``include_chirality=False``. Clusters
    (:func:`gatlib.chem.clusters.butina_clusters`) are split in the same way; copies of a molecule have one
    scaffold and one cluster, so they stay together.

    Args:
        scaffolds: one key per row, None to leave the row out.
        seed: the same seed gives the same split.
        fractions: sizes of train and valid; test has the rest.

    Source: Yang et al., "Analyzing learned molecular representations for property prediction", J. Chem. Inf.
    Model. 2019, in the form of Burns et al., "Machine learning validation via rational dataset sampling with
    astartes", JOSS 2023, which chemprop 2 calls.
    """
    rows = [row for row, scaffold in enumerate(scaffolds) if scaffold is not None]
    valid_size = math.floor(fractions[1] * len(rows))
    test_size = math.floor(round(1 - sum(fractions), 12) * len(rows))  # 1 - 0.9 is a little less than 0.1
    ascending = sorted(_groups(scaffolds, rows), key=len)
    small = [group for group in ascending if len(group) <= min(valid_size, test_size)]
    large = ascending[len(small) :]
    np.random.default_rng(seed).shuffle(small)
    train: list[int] = []
    valid: list[int] = []
    test: list[int] = []
    for group in small + large:
        if len(test) + len(group) <= test_size:
            test += group
        elif len(valid) + len(group) <= valid_size:
            valid += group
        else:
            train += group
    return _split(train, valid, test)


def random_split(keys: Sequence[Hashable | None], seed: int, fractions: tuple[float, float] = (0.8, 0.1)) -> Split:
    """Rows at random, equal keys on one side: a molecule in train is never in test under another spelling.

    Args:
        keys: one key per row (:func:`gatlib.chem.canonical_smiles`), None to leave the row out.
        seed: the same seed gives the same split.
        fractions: sizes of train and valid; test takes the rest.
    """
    rows = [row for row, key in enumerate(keys) if key is not None]
    groups = _groups(keys, rows)
    order = np.random.default_rng(seed).permutation(len(groups))
    return _fill([groups[index] for index in order], len(rows), fractions)


def column_split(values: Sequence[str], column: str) -> Split:
    """The split written in a column of the table: train, valid (or val, validation, dev) and test.

    A blank value leaves the row out.

    Raises:
        InputError: on another value, or when a part is empty.
    """
    parts: dict[str, list[int]] = {name: [] for name in SPLIT_NAMES}
    for row, value in enumerate(values):
        word = value.strip().lower()
        if not word:
            continue
        if word not in PART_OF_WORD:
            raise InputError(f"split column {column!r}, data row {row + 1}: {value!r} is not train, valid or test")
        parts[PART_OF_WORD[word]].append(row)
    empty = [name for name in SPLIT_NAMES if not parts[name]]
    if empty:
        raise InputError(f"split column {column!r} has no {' and no '.join(empty)} rows; each part needs some")
    return _split(*(parts[name] for name in SPLIT_NAMES))


def time_split(values: Sequence[str], column: str, fractions: tuple[float, float] = (0.8, 0.1)) -> Split:
    """Train on the oldest rows, test on the newest: what a model meets when it is used after its training.

    Rows of one time stay together: each of the two cuts lies between two times, as near to its place in
    ``fractions`` as it can, and no part is empty. Copies of a molecule with different times may be on both
    sides (:func:`gatlib.data.leakage.leakage_report` counts them).

    Args:
        values: one per row: all numbers (a year, say), or ISO 8601 dates, also ``2021-03`` and ``2021``; a time
            without a zone is in UTC. A blank leaves the row out.
        column: the name of the column, for the error.
        fractions: sizes of train and valid; test takes the rest.

    Raises:
        InputError: on a value that is neither, on numbers among dates, on fewer than three different times.

    Source: Sheridan, "Time-split cross-validation as a method for estimating the goodness of prospective
    prediction", J. Chem. Inf. Model. 2013.
    """
    times = _times(values, column)
    order = sorted(times, key=lambda row: times[row])
    cuts = [place for place in range(1, len(order)) if times[order[place - 1]] != times[order[place]]]
    if len(cuts) < 2:
        found = len(set(times.values()))
        raise InputError(f"time column {column!r} has {found} different values; a split by time needs at least 3")
    second = min(cuts[1:], key=lambda place: abs(place - sum(fractions) * len(order)))
    first = min(cuts[: cuts.index(second)], key=lambda place: abs(place - fractions[0] * len(order)))
    return _split(order[:first], order[first:second], order[second:])


def k_folds(keys: Sequence[Hashable | None], num_folds: int, seed: int) -> list[Split]:
    """Cross-validation: split i tests on fold i, validates on fold i + 1 (after the last comes the first) and
    trains on the others, so every row is in test once.

    Rows of one key are in one fold. The groups, largest first and at random among equals, go to the fold that has
    fewest rows so far.

    Args:
        keys: one key per row (canonical SMILES, a scaffold, a cluster), None to leave the row out.
        num_folds: at least 3.
        seed: the same seed gives the same folds.

    Raises:
        InputError: fewer than 3 folds, or more folds than different keys.
    """
    rows = [row for row, key in enumerate(keys) if key is not None]
    groups = _groups(keys, rows)
    if num_folds < 3:
        raise InputError(f"{num_folds} folds are too few: train, valid and test need one each")
    if num_folds > len(groups):
        raise InputError(f"{num_folds} folds are too many for {len(groups)} groups of molecules that stay together")
    order = np.random.default_rng(seed).permutation(len(groups))
    folds: list[list[int]] = [[] for _ in range(num_folds)]
    for group in sorted((groups[index] for index in order), key=len, reverse=True):
        min(folds, key=len).extend(group)
    splits = []
    for test, fold in enumerate(folds):
        valid = (test + 1) % num_folds
        train = [row for other in range(num_folds) if other not in (test, valid) for row in folds[other]]
        splits.append(_split(train, folds[valid], fold))
    return splits


def _times(values: Sequence[str], column: str) -> dict[int, float]:
    texts = {row: value.strip() for row, value in enumerate(values) if value.strip()}
    numbers = {row: _number(text) for row, text in texts.items()}
    dates = {row: _date(text) for row, text in texts.items()}
    for row in texts:
        if numbers[row] is None and dates[row] is None:
            raise InputError(
                f"time column {column!r}, data row {row + 1}: {values[row]!r:.60} is neither a number nor a date "
                "such as 2021-03-31; leave unknown times blank"
            )
    found = dates if None in numbers.values() else numbers
    times = {row: time for row, time in found.items() if time is not None}
    for row in texts:
        if row not in times:
            raise InputError(
                f"time column {column!r}, data row {row + 1}: {values[row]!r:.60} is a number, other rows have dates: "
                "write all in one way"
            )
    return times


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str) -> float | None:
    """Seconds since 1970."""
    if re.fullmatch(r"\d{4}(-\d{2})?", text):
        text = f"{text}-01-01"[:10]
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _groups(keys: Sequence[Hashable | None], rows: Sequence[int]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for row in rows:
        groups[keys[row]].append(row)
    return list(groups.values())


def _fill(groups: Sequence[Sequence[int]], num_rows: int, fractions: tuple[float, float]) -> Split:
    train_size, valid_size = fractions[0] * num_rows, sum(fractions) * num_rows
    train: list[int] = []
    valid: list[int] = []
    test: list[int] = []
    for group in groups:
        if len(train) + len(group) <= train_size:
            train += group
        elif len(train) + len(valid) + len(group) <= valid_size:
            valid += group
        else:
            test += group
    return _split(train, valid, test)


def _split(train: Sequence[int], valid: Sequence[int], test: Sequence[int]) -> Split:
    return Split(*(np.array(sorted(part), dtype=np.int64) for part in (train, valid, test)))
