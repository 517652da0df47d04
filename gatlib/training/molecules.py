"""Labelled molecules ready to train on: graphs, targets, a split, and the rows that were set aside."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.chem import MoleculeGraphs, canonical_smiles, featurize, murcko_scaffold, ogb_element
from gatlib.data.cards import TaskType
from gatlib.data.splits import Split, column_split, random_split, scaffold_split
from gatlib.data.tables import find_column, open_table, target_values
from gatlib.errors import InputError


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
    """Split by scaffold, at random (copies of a molecule on one side), or by a column of the table.

    Raises:
        InputError: no such column, or a part without molecules.
    """
    usable = [error is None for error in molecules.graphs.errors]
    keys = {"scaffold": murcko_scaffold, "random": canonical_smiles}
    if split not in keys:
        if split not in molecules.columns:
            raise InputError(f"split {split!r} is neither scaffold, random, nor a column of {molecules.source}")
        index = molecules.columns.index(split)
        values = [cells[index] if use else "" for cells, use in zip(molecules.cells, usable, strict=True)]
        return column_split(values, split)
    of_row = [keys[split](text) if use else None for text, use in zip(molecules.smiles, usable, strict=True)]
    result = scaffold_split(of_row) if split == "scaffold" else random_split(of_row, seed)
    empty = [name for name, rows in result.parts().items() if len(rows) == 0]
    if empty:
        raise InputError(
            f"{molecules.source} has too few molecules ({sum(usable)}) for a {split} split: "
            f"no {' and no '.join(empty)} rows; name a split column instead"
        )
    return result
