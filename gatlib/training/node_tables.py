"""The tables that a run on the nodes of a network leaves: its split, and what it predicted for valid and test."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.data.splits import Split
from gatlib.network.predict import prediction_table, write_table


def write_node_split(ids: Sequence[str], split: Split, path: Path) -> None:
    """Write the columns ``node`` and ``split``, in the order of the nodes."""
    part_of = {int(row): part for part, rows in split.parts().items() for row in rows}
    rows = [(ids[row], part_of[row]) for row in sorted(part_of)]
    write_table(pd.DataFrame(rows, columns=["node", "split"]), path)


def write_node_predictions(
    ids: Sequence[str],
    labels: Sequence[str | None],
    target: str,
    classes: Sequence[str],
    probabilities: NDArray[np.float64],
    rows: NDArray[np.int64],
    path: Path,
) -> None:
    """Write what was predicted for some nodes, with their labels behind the column ``node``.

    Args:
        ids: of all nodes.
        labels: of all nodes, None where unlabelled.
        target: what the labels are.
        classes: in the order of the columns of ``probabilities``.
        probabilities: ``[N, C]``.
        rows: the nodes to write.
        path: where.
    """
    table = prediction_table(ids, probabilities, target, classes)
    table.insert(1, target, pd.Series(list(labels), dtype=object), allow_duplicates=True)
    write_table(table.iloc[rows], path)
