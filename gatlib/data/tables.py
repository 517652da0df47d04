"""Tables with a SMILES column, read row by row: csv, csv.gz, smi, txt, or standard input.

Every row of the file is a row here, whatever is wrong with it, so that row numbers and results never shift.
"""

import csv
import io
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatlib.data.cards import TaskType
from gatlib.data.files import open_bytes
from gatlib.errors import InputError

#: Names under which the SMILES column is found, in this order, whatever their case.
SMILES_COLUMNS = ("smiles", "canonical_smiles", "mol", "structure")

STDIN = "-"
_LIST_SUFFIXES = (".smi", ".txt")
_SUFFIXES = (".csv", *_LIST_SUFFIXES)
_BYTE_ORDER_MARKS_16 = ("\udcff\udcfe", "\udcfe\udcff")
_GZIP, _ZIP = "\x1f\udc8b", "PK\x03\x04"  # how such files begin
_MOST_NAMED = 20
_MAX_FIELD = 1 << 27
_MISSING = ("", "nan", "na", "n/a", "null", "none")


class Row(NamedTuple):
    """The cells of one row, as many as there are columns, and what is wrong with the row, if anything."""

    cells: list[str]
    problem: str | None


@dataclass(frozen=True)
class SmilesTable:
    """An open table. ``rows`` can be read once."""

    name: str
    columns: list[str]
    smiles_index: int
    rows: Iterator[Row]


@contextmanager
def open_table(source: str, smiles_column: str | None = None) -> Iterator[SmilesTable]:
    """Open a table of molecules.

    A ``.csv`` has a header. A ``.smi`` or ``.txt`` has one molecule per line: SMILES, then optionally its
    name; a first line whose first word is one of :data:`SMILES_COLUMNS` is a header. Standard input is CSV
    if its first line has a SMILES column, else one molecule per line.

    Args:
        source: a path, or ``-`` for standard input.
        smiles_column: the column to use when it is not one of :data:`SMILES_COLUMNS`.

    Raises:
        InputError: no such file, another type, no SMILES column, an empty file, a header and no rows.
    """
    if source == STDIN:
        yield _read(sys.stdin.buffer, "standard input", smiles_column, is_list=None)
        return
    path = Path(source)
    suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    if path.is_file() and suffix.lower() not in _SUFFIXES:
        raise InputError(f"{source}: cannot tell its format; name it {', '.join(_SUFFIXES)}, or one of these with .gz")
    with open_bytes(path) as file:
        yield _read(file, source, smiles_column, is_list=suffix.lower() in _LIST_SUFFIXES)


def _read(file: IO[bytes], name: str, smiles_column: str | None, is_list: bool | None) -> SmilesTable:
    # Bytes that are not UTF-8 go through unchanged: they are only copied from input to output.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    first = text.readline()
    if not first:
        raise InputError(f"{name} is empty")
    if first.startswith(_BYTE_ORDER_MARKS_16):
        raise InputError(f"{name} is UTF-16 text: save it as UTF-8")
    if first.startswith(_GZIP):
        raise InputError(f"{name} is compressed by gzip: unpack it, or end the name of the file with .gz")
    if first.startswith(_ZIP):
        raise InputError(f"{name} is a workbook (xlsx) or another zip archive: save its table as csv")
    if is_list and smiles_column is not None:
        raise InputError(f"{name} has one molecule per line and no columns: leave --smiles-column out")
    if is_list is None:
        is_list = smiles_column is None and _find(_cells(first), SMILES_COLUMNS) is None
    lines = chain([first], text)
    table = _read_list(lines, name) if is_list else _read_csv(lines, name, smiles_column)
    row = next(table.rows, None)
    if row is None:
        raise InputError(f"{name} has a header but no rows")
    return replace(table, rows=chain([row], table.rows))


def _read_list(lines: Iterator[str], name: str) -> SmilesTable:
    first = next(lines, "")
    has_header = bool(first.split()) and _find(first.split()[:1], SMILES_COLUMNS) is not None
    if not has_header:
        lines = chain([first], lines)
    return SmilesTable(name, ["smiles", "name"], 0, (_list_row(line) for line in lines))


def _list_row(line: str) -> Row:
    words = line.split(maxsplit=1)
    return Row([words[0] if words else "", words[1].strip() if len(words) > 1 else ""], None)


def _read_csv(lines: Iterator[str], name: str, smiles_column: str | None) -> SmilesTable:
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(lines)
    columns = next(reader, [])
    if not any(column.strip() for column in columns):
        raise InputError(f"{name} has no column names in its first line")
    wanted = SMILES_COLUMNS if smiles_column is None else (smiles_column,)
    index = _find(columns, wanted)
    if index is None:
        looked_for = " or ".join(repr(column) for column in wanted)
        raise InputError(
            f"{name} has no column {looked_for}; its columns are {_named(columns)}: name one with --smiles-column"
        )
    return SmilesTable(name, columns, index, _csv_rows(reader, len(columns)))


def _csv_rows(reader: Iterator[list[str]], width: int) -> Iterator[Row]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row([""] * width, f"row cannot be read: {error}")
            continue
        if len(cells) == width:
            yield Row(cells, None)
        elif not cells:
            yield Row([""] * width, "blank line")
        else:
            fields = f"{len(cells)} field{'s' * (len(cells) != 1)}"
            yield Row((cells + [""] * width)[:width], f"row has {fields}, the header has {width}")


def _named(columns: Sequence[str]) -> str:
    named = ", ".join(repr(column) for column in columns[:_MOST_NAMED])
    more = len(columns) - _MOST_NAMED
    return named if more <= 0 else f"{named} and {more} more"


def _cells(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _find(columns: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Position of the first wanted column: the exact name, else the same name in another case."""
    stripped = [column.strip() for column in columns]
    lowered = [column.lower() for column in stripped]
    for name in wanted:
        if name in stripped:
            return stripped.index(name)
        if name.lower() in lowered:
            return lowered.index(name.lower())
    return None


def find_column(table: SmilesTable, column: str) -> int:
    """Position of a column by its exact name.

    Raises:
        InputError: when the table has no such column.
    """
    if column not in table.columns:
        raise InputError(f"{table.name} has no column {column!r}; its columns are {_named(table.columns)}")
    return table.columns.index(column)


def target_values(
    cells: Sequence[Sequence[str]],
    table: SmilesTable,
    targets: Sequence[str],
    task_type: TaskType,
    *,
    one_class_allowed: bool = False,
) -> NDArray[np.float64]:
    """The labels of a table, ``[rows, targets]``, NaN where a cell is blank.

    Raises:
        InputError: no such column; a label that is no number, or for classification neither 0 nor 1; a column
            without any label; a class column with one class.
    """
    values = np.full((len(cells), len(targets)), np.nan)
    for task, target in enumerate(targets):
        column = find_column(table, target)
        for row, row_cells in enumerate(cells):
            text = row_cells[column].strip()
            if text.lower() in _MISSING:
                continue
            values[row, task] = _label(text, task_type, f"{table.name}, data row {row + 1}, column {target!r}")
        known = np.unique(values[~np.isnan(values[:, task]), task])
        if len(known) == 0:
            raise InputError(f"{table.name}: target column {target!r} has no labels")
        if task_type == "classification" and len(known) == 1 and not one_class_allowed:
            raise InputError(
                f"{table.name}: target column {target!r} has one class only ({known[0]:g}): "
                "both 0 and 1 are needed to learn"
            )
    return values


def _label(text: str, task_type: TaskType, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{where}: {text!r} is not a number; leave unknown labels blank") from None
    if not math.isfinite(value):
        raise InputError(f"{where}: {text!r} is not a finite number; leave unknown labels blank")
    if task_type == "classification" and value not in (0.0, 1.0):
        raise InputError(f"{where}: {text!r} is not 0 or 1; use --task regression for numbers")
    return value
