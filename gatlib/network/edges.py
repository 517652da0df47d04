"""Lists of edges: csv, tsv or txt, packed or not, read in chunks."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.errors import InputError
from gatlib.network.memory import check_edges_fit
from gatlib.network.network import EdgeList
from gatlib.network.text_tables import find_name, open_text_table

#: Names of the two columns of an edge, in this order; else the first two columns are it.
ENDPOINT_COLUMNS = (("source", "target"), ("from", "to"), ("id_1", "id_2"), ("node_1", "node_2"))
WEIGHT_COLUMN = "weight"


def read_edges(path: Path) -> EdgeList:
    """The edges in a file, each with its two node ids as text, in the order of the file.

    The columns are found by name (:data:`ENDPOINT_COLUMNS`), else they are the first two. A column ``weight`` holds
    positive weights. A file whose first line is two numbers has no names, as those of SNAP; its further columns, often
    times, are not read. Memory stays at a small multiple of the result.

    Args:
        path: ``.csv``, ``.tsv``, ``.txt``, each also with ``.gz``; comma, tab, semicolon or spaces.

    Shapes:
        - **source, target, weight:** ``[rows]``

    Raises:
        InputError: no such file, no edges, one column only, a blank endpoint, a weight that is not a positive finite
            number, a missing first line, or more edges than memory holds.
    """
    max_rows = check_edges_fit(path)
    number_of: dict[str, int] = {}
    ends: list[NDArray[np.int32]] = []
    weights: list[NDArray[np.float32]] = []
    rows_before = 0
    with open_text_table(path, numbers_are_rows=True) as table:
        if table.width < 2:
            raise InputError(f"{path} has one column: an edge needs two, divided by a comma, tab, semicolon or space")
        first, second, weight_place, notes = _columns(table.columns, table.width, path)
        for chunk in table.chunks:
            cells = np.empty(2 * len(chunk), dtype=object)
            cells[0::2], cells[1::2] = chunk[first], chunk[second]
            codes, texts = pd.factorize(cells)
            stripped = [text.strip() for text in texts]
            if "" in stripped:
                blank = np.flatnonzero(np.isin(codes, [place for place, text in enumerate(stripped) if not text]))[0]
                name = "source" if blank % 2 == 0 else "target"
                raise InputError(
                    f"{path}, data row {rows_before + blank // 2 + 1}: the {name} of the edge is blank: "
                    "name it or leave the row out"
                )
            numbers = [number_of.setdefault(text, len(number_of)) for text in stripped]
            # Half the memory of int64 while the chunks wait.
            ends.append(np.array(numbers, dtype=np.int32)[codes])
            if weight_place is not None:
                weights.append(_weights(chunk[weight_place], path, rows_before))
            rows_before += len(chunk)
            if rows_before > max_rows:
                raise InputError(
                    f"{path} holds more than the {max_rows:,} edges that fit into free memory: take a part of the "
                    "graph or a larger machine"
                )
    if rows_before == 0:
        raise InputError(f"{path} has no edges")
    _check_first_line(table.columns, first, second, number_of, path)
    both = np.concatenate(ends)
    ends.clear()
    source, target = both[0::2].astype(np.int64), both[1::2].astype(np.int64)
    return EdgeList(list(number_of), source, target, np.concatenate(weights) if weights else None, notes)


def read_pairs(path: Path, known: Collection[str]) -> list[tuple[str, str]]:
    """The pairs of node ids in a file, in its order, each as it stands: blank, unknown or twice.

    Columns are found as :func:`read_edges` finds them.

    Args:
        path: as for :func:`read_edges`.
        known: ids of nodes, by which a first line of names is told from a pair.

    Raises:
        InputError: no such file, no pairs, one column only, a missing first line.
    """
    pairs: list[tuple[str, str]] = []
    with open_text_table(path, numbers_are_rows=True) as table:
        if table.width < 2:
            raise InputError(f"{path} has one column: a pair needs two, divided by a comma, tab, semicolon or space")
        first, second, _, _ = _columns(table.columns, table.width, path)
        for chunk in table.chunks:
            cells = ([text.strip() for text in chunk[place]] for place in (first, second))
            pairs += zip(*cells, strict=True)
    if not pairs:
        raise InputError(f"{path} has no pairs")
    _check_first_line(table.columns, first, second, known, path)
    return pairs


def _columns(columns: list[str] | None, width: int, path: Path) -> tuple[int, int, int | None, list[str]]:
    """The places of source, target and weight, and notes."""
    if columns is None:
        unused = f"columns after the second of {path.name} are not used: a first line names a 'weight'"
        return 0, 1, None, [unused] if width > 2 else []
    notes = []
    first, second = 0, 1
    for pair in ENDPOINT_COLUMNS:
        places = [find_name(columns, name) for name in pair]
        if places[0] is not None and places[1] is not None:
            first, second = places[0], places[1]
            break
    else:
        notes.append(f"edges of {path.name} lead from {columns[0]!r} to {columns[1]!r}, its first two columns")
    weight = find_name(columns, WEIGHT_COLUMN)
    if weight in (first, second):
        raise InputError(
            f"{path}: column {columns[weight or 0]!r} cannot be an end of the edges: name source and target"
        )
    others = [repr(name) for place, name in enumerate(columns) if place not in (first, second, weight)]
    if others:
        notes.append(f"not used of {path.name}: {', '.join(others[:10])}")
    return first, second, weight, notes


def _check_first_line(columns: list[str] | None, first: int, second: int, nodes: Collection[str], path: Path) -> None:
    # A list of names without a first line would silently lose its first edge.
    if columns is None:
        return
    names = columns[first], columns[second]
    known = any(tuple(name.lower() for name in names) == pair for pair in ENDPOINT_COLUMNS)
    if not known and any(name in nodes for name in names):
        raise InputError(
            f"{path}: its first line ({', '.join(names)}) names nodes: put a first line 'source' and 'target' before it"
        )


def _weights(cells: pd.Series, path: Path, rows_before: int) -> NDArray[np.float32]:
    values = np.asarray(pd.to_numeric(cells, errors="coerce"), dtype=np.float32)
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(bad):
        raise InputError(
            f"{path}, data row {rows_before + bad[0] + 1}: weight {cells.iloc[bad[0]]!r:.60} is not a finite number "
            "above 0: correct it or leave the row out"
        )
    return values
