"""Predict a whole file, row by row, whatever its length: memory does not grow with it."""

import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

from gatlib.data.files import atomic_path
from gatlib.data.tables import STDIN, Row, open_table
from gatlib.predictor import Predictor, featurize_chunks

STDOUT = "-"
_ROWS_PER_CHUNK = 1024
_CHUNKS_WORTH_A_PROCESS = 4  # starting another process takes as long as featurising about this many


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


def predict_file(
    predictor: Predictor,
    source: str,
    output: str,
    smiles_column: str | None = None,
    workers: int | None = None,
    on_progress: Callable[[int], object] = lambda rows: None,
) -> Summary:
    """Write every row of ``source``, in order and unchanged, with ``<task>_pred`` columns and ``error``.

    The output appears under its name only when it is complete.

    Args:
        predictor: the model.
        source: csv, smi or txt, also packed as .gz, or ``-`` for standard input; see
            :func:`gatlib.data.tables.open_table`.
        output: a path, or ``-`` for standard output.
        smiles_column: name of the SMILES column, when it is not one of the usual.
        workers: processes that featurise beside the one that runs the network; None: as many as there are
            spare cores, for files where they pay.
        on_progress: called with the number of rows done.

    Raises:
        InputError: see :func:`~gatlib.data.tables.open_table`; or the output cannot be written.
    """
    with open_table(source, smiles_column) as table, _open_output(output) as file:
        write = _row_writer(file)
        write([*table.columns, *free_names([*predictor.columns, "error"], table.columns)])
        chunks = _chunks(table.rows)
        first = list(islice(chunks, _CHUNKS_WORTH_A_PROCESS))
        if workers is None:
            workers = max(1, (os.cpu_count() or 1) - 1) if len(first) == _CHUNKS_WORTH_A_PROCESS else 0

        def smiles_of(rows: list[Row]) -> list[str]:
            return [row.cells[table.smiles_index] for row in rows]

        summary = Summary()
        for rows, graphs in featurize_chunks(chain(first, chunks), smiles_of, workers):
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


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, _ROWS_PER_CHUNK)):
        yield chunk


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
