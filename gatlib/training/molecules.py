"""Labelled molecules ready to train on: graphs, targets, a split, and the rows that were set aside."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.chem import MoleculeGraphs, canonical_smiles, featurize, murcko_scaffold, ogb_element
from gatlib.chem.clusters import butina_clusters
from gatlib.chem.side_features import num_side_features, side_features
from gatlib.data.cards import TaskType
from gatlib.data.leakage import describe_leakage, leakage_report
from gatlib.data.split_file import read_split
from gatlib.data.splits import (
    Split,
    balanced_scaffold_split,
    column_split,
    k_folds,
    random_split,
    scaffold_split,
    time_split,
)
from gatlib.data.tables import find_column, open_table, target_values
from gatlib.errors import InputError
from gatlib.models import Architecture


@dataclass(frozen=True)
class LabelledMolecules:
    """A table of molecules with targets. Row numbers are those of the table, from 0."""

    source: str
    columns: list[str]
    cells: list[list[str]]
    smiles: list[str]
    tasks: list[str]
    task_type: TaskType
    targets: NDArray[np.float64]
    graphs: MoleculeGraphs
    official_split: Split | None = None  # of the makers of the data set, where graphs are theirs too

    def rejected(self) -> pd.DataFrame:
        """The rows without a graph as they stand in the table, with the number of the data row and the reason."""
        rows = [row for row, error in enumerate(self.graphs.errors) if error is not None]
        columns = pd.Index(self.columns, dtype=object)  # not str: it may hold bytes that are not UTF-8
        table = pd.DataFrame([self.cells[row] for row in rows], columns=columns, dtype=object)
        table.insert(0, "row", [row + 1 for row in rows], allow_duplicates=True)
        table.insert(len(table.columns), "error", [self.graphs.errors[row] for row in rows], allow_duplicates=True)
        return table

    def elements(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """How many of these molecules contain each element."""
        counts: Counter[str] = Counter()
        for row in rows:
            atoms = self.graphs.x[self.graphs.atom_ptr[row] : self.graphs.atom_ptr[row + 1], 0]
            counts.update(ogb_element(int(index)) for index in np.unique(atoms))
        return dict(counts.most_common())

    def featurized_for(self, settings: Architecture) -> "LabelledMolecules":
        """The same molecules as this network wants them; side features that are there are not computed again."""
        graphs = self.graphs
        if settings.atom_order_matters and self.official_split is None:
            graphs = replace(featurize(self.smiles, canonical=True), side=graphs.side, errors=graphs.errors)
        if graphs.side.shape[1] != num_side_features(settings.side_features):
            graphs = replace(graphs, side=side_features(self.smiles, settings.side_features))
        return replace(self, graphs=graphs)


def read_molecules(
    source: str, targets: Sequence[str], task_type: TaskType, smiles_column: str | None = None
) -> LabelledMolecules:
    """Read and featurise a table with target columns.

    Raises:
        InputError: see :func:`~gatlib.data.tables.open_table` and
            :func:`~gatlib.data.tables.target_values`; also when no row has a molecule.
    """
    if not targets:
        raise InputError("no target column is named: name at least one with --targets")
    repeated = [target for target, count in Counter(targets).items() if count > 1]
    if repeated:
        raise InputError(f"target column {repeated[0]!r} is named twice")
    with open_table(source, smiles_column) as table:
        for target in targets:
            find_column(table, target)
        rows = list(table.rows)
    cells = [row.cells for row in rows]
    values = target_values(cells, table, targets, task_type)
    smiles = [row.cells[table.smiles_index] for row in rows]
    graphs = featurize(smiles)
    problems = [row.problem or error for row, error in zip(rows, graphs.errors, strict=True)]
    molecules = LabelledMolecules(
        source=source,
        columns=table.columns,
        cells=cells,
        smiles=smiles,
        tasks=list(targets),
        task_type=task_type,
        targets=values,
        graphs=graphs.with_errors(problems),
    )
    if all(problem is not None for problem in problems):
        raise InputError(f"{source}: no row has a molecule; the first reason is: {problems[0]}")
    return molecules


def split_molecules(molecules: LabelledMolecules, split: str, seed: int) -> Split:
    """Split molecules into train, valid and test; copies of a molecule stay on one side unless the table says so.

    Args:
        molecules: rows without a molecule are left out.
        split: ``scaffold``; ``scaffold_balanced`` (chemprop's); ``random``; ``butina`` (whole clusters of similar
            molecules); ``folds:K`` (cross-validation: the seed, modulo K, is the number of the fold to test on);
            ``time:COLUMN`` (train on the oldest); ``file:PATH`` (such as the ``split.csv`` of a trained
            model); ``ogb`` (the official one, of molecules that were read for it); or the name of a column that
            holds train, valid and test.
        seed: of scaffold_balanced, random and butina.

    Raises:
        InputError: no such split, column or file, or what is in it is no split; a part without molecules.
    """
    errors = molecules.graphs.errors
    smiles = [text if error is None else None for text, error in zip(molecules.smiles, errors, strict=True)]
    method, _, name = split.partition(":")
    if split == "scaffold":
        result = scaffold_split(_of_each(smiles, murcko_scaffold))
    elif split == "scaffold_balanced":
        flat_scaffold = partial(murcko_scaffold, include_chirality=False)
        result = balanced_scaffold_split(_of_each(smiles, flat_scaffold), seed)
    elif split == "random":
        result = random_split(_of_each(smiles, canonical_smiles), seed)
    elif split == "butina":
        result = balanced_scaffold_split(butina_clusters(smiles), seed)
    elif method == "folds" and name:
        result = _fold(_of_each(smiles, canonical_smiles), name, seed)
    elif method == "time" and name:
        result = time_split(_cells(molecules, name), name)
    elif method == "file" and name:
        result = read_split(Path(name), smiles)
    elif split == "ogb" and molecules.official_split is not None:
        result = molecules.official_split
    elif split in molecules.columns:
        result = column_split(_cells(molecules, split), split)
    else:
        raise InputError(
            f"split {split!r} is neither scaffold, random, nor a column of {molecules.source}; "
            "the others are scaffold_balanced, butina, folds:K, time:COLUMN and file:PATH"
        )
    empty = [part for part, rows in result.parts().items() if len(rows) == 0]
    if empty:
        usable = len(smiles) - smiles.count(None)
        raise InputError(
            f"{molecules.source} has too few molecules ({usable}) for a {split} split: "
            f"no {' and no '.join(empty)} rows when what belongs together stays together; name a split column instead"
        )
    return result


def describe_split(molecules: LabelledMolecules, split: Split) -> list[str]:
    """What to know before a figure on valid or test is read, a sentence each.

    What they share with train, and which tasks do not count, since there is nothing to rank; see
    :func:`gatlib.metrics.metrics_per_task`.
    """
    notes = [describe_leakage(leakage_report(molecules.smiles, split, molecules.targets))]
    for part in ("valid", "test") if molecules.task_type == "classification" else ():
        targets = molecules.targets[split.parts()[part]]
        both = (targets == 0).any(axis=0) & (targets == 1).any(axis=0)
        if names := [task for task, counts in zip(molecules.tasks, both, strict=True) if not counts]:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            notes.append(
                f"note: {len(names)} of {len(both)} tasks do not have both classes in {part} and do not count: {shown}"
            )
    return notes


def _fold(keys: Sequence[str | None], num_folds: str, seed: int) -> Split:
    if not num_folds.isdecimal() or int(num_folds) < 3:
        raise InputError(f"split 'folds:{num_folds}': name a number of folds, 3 or more, such as folds:5")
    count = int(num_folds)
    return k_folds(keys, count, seed // count)[seed % count]


def _of_each(smiles: Sequence[str | None], function: Callable[[str], str]) -> list[str | None]:
    return [None if text is None else function(text) for text in smiles]


def _cells(molecules: LabelledMolecules, column: str) -> list[str]:
    """The cells of a column, blank in rows without a molecule."""
    if column not in molecules.columns:
        found = ", ".join(repr(name) for name in molecules.columns)
        raise InputError(f"{molecules.source} has no column {column!r} to split by; its columns are {found}")
    index = molecules.columns.index(column)
    errors = molecules.graphs.errors
    return [cells[index] if error is None else "" for cells, error in zip(molecules.cells, errors, strict=True)]
