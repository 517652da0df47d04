"""Splits of a data set into train, valid and test.

Every function returns a :class:`Split` of row numbers; rows that cannot be used (no molecule) are in none of
the three.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlib.errors import InputError

SPLIT_NAMES = ("train", "valid", "test")
_COLUMN_VALUES = {
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
        if word not in _COLUMN_VALUES:
            raise InputError(f"split column {column!r}, data row {row + 1}: {value!r} is not train, valid or test")
        parts[_COLUMN_VALUES[word]].append(row)
    empty = [name for name in SPLIT_NAMES if not parts[name]]
    if empty:
        raise InputError(f"split column {column!r} has no {' and no '.join(empty)} rows; each part needs some")
    return Split(*(np.array(parts[name], dtype=np.int64) for name in SPLIT_NAMES))


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
    return Split(*(np.array(sorted(part), dtype=np.int64) for part in (train, valid, test)))
