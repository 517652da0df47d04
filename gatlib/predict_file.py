"""Predict a whole file, row by row, whatever its length: memory does not grow with it."""

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gatlib.data.featurized import FeaturizedTable, open_featurized
from gatlib.data.files import atomic_path
from gatlib.data.tables import STDIN

if TYPE_CHECKING:  # importing it takes seconds, in which a table can be featurised
    from gatlib.predictor import Predictor

STDOUT = "-"


@dataclass
class Summary:
    """How many rows went through, how many of them without a prediction, and why the first of those."""

    rows: int = 0
    errors: int = 0
    first_error: str | None = None

    def count(self, reason: str | None) -> None:
        self.rows += 1
        if reason is not None:
            self.errors += 1
            self.first_error = self.first_error or f"row {self.rows}: {reason}"


def default_output(source: str) -> str:
    """``<stem>_preds.csv`` in the current folder; standard output for standard input."""
    if source == STDIN:
        return STDOUT
    name = Path(source).name
    name = name[: -len(".gz")] if name.lower().endswith(".gz") else name
    return f"{Path(name).stem}_preds.csv"


def predict_file(predictor: "Predictor", source: str, output: str, smiles_column: str | None = None) -> Summary:
    """Write every row of ``source``, in order and unchanged, with ``<task>_pred`` columns and ``error``.

    Args:
        predictor: the model.
        source: csv, smi or txt, also packed as .gz, or ``-`` for standard input; see
            :func:`gatlib.data.tables.open_table`.
        output: see :func:`write_predictions`.
        smiles_column: name of the SMILES column, when it is not one of the usual.

    Raises:
        InputError: see :func:`~gatlib.data.tables.open_table`; or the output cannot be written.
    """
    settings = predictor.description.architecture
    with open_featurized(source, smiles_column, 0, settings.side_features, settings.atom_order_matters) as table:
        return write_predictions(predictor, table, output)


def write_predictions(
    predictor: "Predictor",
    table: FeaturizedTable,
    output: str,
    on_progress: Callable[[int], object] = lambda rows: None,
) -> Summary:
    """Predict a featurised table. The output appears under its name only when it is complete.

    Args:
        predictor: the model.
        table: its rows are written in order and unchanged, with ``<task>_pred`` columns and ``error``.
        output: a path, or ``-`` for standard output.
        on_progress: called with the number of rows done.

    Raises:
        InputError: the output cannot be written.
    """
    summary = Summary()
    with _open_output(output) as file:
        write = _row_writer(file)
        write([*table.columns, *free_names([*predictor.columns, "error"], table.columns)])
        for rows, graphs in table.chunks:
            predictions = predictor.predict_graphs(graphs)
            for row, values, error in zip(rows, predictions.values.tolist(), predictions.errors, strict=True):
                reason = row.problem or error
                summary.count(reason)
                texts = [f"{value:.5g}" if reason is None else "" for value in values]
                write([*row.cells, *texts, reason or ""])
            on_progress(len(rows))
    return summary


def free_names(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """The names, with ``_2``, ``_3`` ... where the table has such a column already: its own stay untouched."""
    free: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in taken or candidate in free:
            candidate, number = f"{name}_{number}", number + 1
        free.append(candidate)
    return free


def _row_writer(file: IO[str]) -> Callable[[Sequence[str]], object]:
    # csv leaves a lone carriage return unquoted, and a reader would start a new row there.
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    return lambda cells: (quoted if "\r" in "".join(cells) else plain).writerow(cells)


@contextmanager
def _open_output(output: str) -> Iterator[IO[str]]:
    # Bytes that are not UTF-8 leave as they came; see gatlib.data.tables.
    if output == STDOUT:
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[union-attr]
        yield sys.stdout
        return
    with (
        atomic_path(Path(output)) as partial,
        partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield file
