"""A split that is written in a file."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gatlib.chem import InvalidMolecule, canonical_smiles
from gatlib.data.files import open_bytes
from gatlib.data.splits import PART_OF_WORD, SPLIT_NAMES, Split
from gatlib.errors import InputError


def read_split(path: Path, smiles: Sequence[str | None]) -> Split:
    """The split in a CSV, such as the ``split.csv`` that gatlib writes beside a model.

    Its columns are ``split`` (train, valid or test) and ``row``, the number of the data row from 1, or
    ``smiles``, which stands for all rows of that molecule in whatever spelling. With both, ``row`` counts and
    ``smiles`` must be the molecule of that row. Rows of the table without a molecule may be named or not.

    Args:
        path: the file, ``.csv`` or ``.csv.gz``.
        smiles: those of the table, None for a row without a molecule.

    Raises:
        InputError: the file cannot be read or lacks a column; an unknown word; no such row or molecule; another
            molecule in that row; a row in two parts, or in none; a part without rows.
    """
    lines = list(_lines(path))
    by_number = all("row" in cells for _, cells in lines)
    rows_of_molecule = {} if by_number else _rows_of_molecules(smiles)
    part_of_row: dict[int, str] = {}
    for where, cells in lines:
        word = cells["split"].strip()
        part = PART_OF_WORD.get(word.lower())
        if part is None:
            raise InputError(f"{where}: {word!r:.60} is not train, valid or test")
        for row in [_row(cells, smiles, where)] if by_number else _rows(cells, rows_of_molecule, where):
            before = part_of_row.setdefault(row, part)
            if before != part:
                raise InputError(f"{where}: data row {row + 1} is in {part} here and in {before} before: leave one out")
    usable = [row for row, text in enumerate(smiles) if text is not None]
    missed = [row for row in usable if row not in part_of_row]
    if missed:
        count = f"{len(missed):,} row{'s' * (len(missed) != 1)}"
        raise InputError(
            f"{path} misses {count} of the table, first data row {missed[0] + 1} ({smiles[missed[0]]:.60}): "
            "give each row of the table its part"
        )
    parts = [[row for row in usable if part_of_row[row] == name] for name in SPLIT_NAMES]
    empty = [name for name, rows in zip(SPLIT_NAMES, parts, strict=True) if not rows]
    if empty:
        raise InputError(f"{path} has no {' and no '.join(empty)} rows; each part needs some")
    return Split(*(np.array(rows, dtype=np.int64) for rows in parts))


def _lines(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each line is, and its cells under the names ``split``, ``row`` and ``smiles``."""
    with open_bytes(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=""))
        try:
            columns = [column.strip().lower() for column in next(reader, [])]
            if "split" not in columns or not {"row", "smiles"} & set(columns):
                raise InputError(f"{path} is no split: its first line must name the columns row or smiles, and split")
            for cells in reader:
                where = f"{path}, line {reader.line_num}"
                if len(cells) == len(columns):
                    yield where, dict(zip(columns, cells, strict=True))
                elif cells:
                    raise InputError(f"{where} does not have the {len(columns)} fields of the first line")
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num} cannot be read: {error}") from None


def _row(cells: dict[str, str], smiles: Sequence[str | None], where: str) -> int:
    text = cells["row"].strip()
    if not re.fullmatch(r"\d{1,18}", text):
        raise InputError(f"{where}: {text!r:.60} is not the number of a data row")
    row = int(text) - 1
    if not 0 <= row < len(smiles):
        raise InputError(f"{where}: there is no data row {text}; the table has rows 1 to {len(smiles)}")
    expected, found = smiles[row], cells.get("smiles", "").strip()
    if expected is not None and found and found != expected.strip() and _key(found) != canonical_smiles(expected):
        raise InputError(
            f"{where}: data row {text} is {found:.60} here and {expected:.60} in the table: "
            "this is the split of another table"
        )
    return row


def _rows_of_molecules(smiles: Sequence[str | None]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        if text is not None:
            rows[canonical_smiles(text)].append(row)
    return rows


def _rows(cells: dict[str, str], rows_of_molecule: dict[str, list[int]], where: str) -> list[int]:
    key = _key(cells["smiles"])
    if key is None:  # no molecule, no part; a row of the table that is meant by it will be missed
        return []
    if key not in rows_of_molecule:
        raise InputError(f"{where}: the table has no molecule {cells['smiles'].strip():.60}")
    return rows_of_molecule[key]


def _key(text: str) -> str | None:
    try:
        return canonical_smiles(text)
    except InvalidMolecule:
        return None
