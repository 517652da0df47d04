"""What is known of the nodes: csv with a column per attribute, csv triplets, json lists, npz."""

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, load_npz  # type: ignore[import-untyped]

from gatlib.data.files import open_bytes
from gatlib.errors import InputError
from gatlib.network.memory import check_size_fits
from gatlib.network.network import NodeTable, counted
from gatlib.network.text_tables import find_name, id_column_of, read_text_table

_JSON_FACTOR = 10
_DENSE_ARRAYS = ("x", "features")


def read_features(path: Path, id_column: str | None = None, ids: Sequence[str] | None = None) -> NodeTable:
    """The attributes or features of nodes.

    ``.csv``, ``.tsv``, ``.txt``: a row per node with a column of ids, every other column an attribute; or, with the
    three columns id, ``feature`` and ``value``, a row per feature of a node. ``.json``: ``{id: [features it has]}``.
    Each also with ``.gz``. ``.npz``: a sparse matrix of ``scipy.sparse.save_npz``, or an array ``x`` or ``features``,
    with an array ``ids`` or with node 0 in its first row.

    Args:
        path: the file.
        id_column: the column of the ids, when the file has it; else it is looked for.
        ids: known nodes, to find the column of the ids and to see that file and edges are of one graph.

    Shapes:
        - **active:** ``[rows, F]``; the features of csv triplets and json are named, in ascending order

    Raises:
        InputError: the file cannot be read; no id column; none of its nodes is one of ``ids``; a value that is no
            finite number; what a node has of a feature stands twice and differs.
    """
    inner = Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if inner == ".npz" and path.suffix.lower() == ".npz":
        return _read_npz(path, ids)
    if inner == ".json":
        return _read_json(path, ids)
    if path.is_file() and inner not in (".csv", ".tsv", ".txt"):
        raise InputError(f"{path}: cannot tell its format; name it .csv, .tsv, .txt, .json (each also .gz) or .npz")
    frame = read_text_table(path)
    given = id_column if id_column is not None and find_name(list(frame.columns), id_column) is not None else None
    column, notes = id_column_of(frame, path, given, ids)
    others = [str(name) for name in frame.columns if name != column]
    if sorted(name.lower() for name in others) == ["feature", "value"]:
        feature, value = sorted(others, key=str.lower)
        return _triplets(path, frame[column], frame[feature], frame[value], notes)
    table, notes = first_rows(frame, column, path, notes)
    attributes = table.drop(columns=column).replace({"": None})
    return NodeTable(path.name, list(table[column]), attributes.astype(object), notes=notes)


def first_rows(frame: pd.DataFrame, column: str, path: Path, notes: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The first row of each node, with a note where a later one says something else."""
    is_later = frame[column].duplicated()
    if not is_later.any():
        return frame, notes
    differ = int(frame[~frame.duplicated()][column].duplicated().sum())
    table = frame[~is_later].reset_index(drop=True)
    if not differ:
        return table, [*notes, f"{counted(int(is_later.sum()), 'repeated row')} of {path.name} left out"]
    example = frame[~frame.duplicated()][column][lambda cells: cells.duplicated()].iloc[0]
    return table, [
        *notes,
        f"the first row of a node counts where {path.name} has several that differ "
        f"({counted(differ, 'such row')} left out, the first of node {example!r:.60})",
    ]


def _triplets(path: Path, nodes: pd.Series, features: pd.Series, values: pd.Series, notes: list[str]) -> NodeTable:
    numbers = np.asarray(pd.to_numeric(values, errors="coerce"), dtype=np.float32)
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise InputError(
            f"{path}, data row {wrong[0] + 1}: value {values.iloc[wrong[0]]!r:.60} is not a finite number: correct it"
        )
    blank = np.flatnonzero(features.to_numpy() == "")
    if len(blank):
        raise InputError(f"{path}, data row {blank[0] + 1}: the feature is blank: name it or leave the row out")
    rows, ids = pd.factorize(nodes)
    columns, names = pd.factorize(features)
    key = rows.astype(np.int64) * len(names) + columns
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(key[order][1:] == key[order][:-1])
    differ = same[numbers[order[same]] != numbers[order[same + 1]]]
    if len(differ):
        first, second = sorted((order[differ[0]], order[differ[0] + 1]))
        raise InputError(
            f"{path}: node {nodes.iloc[first]!r:.60} has feature {features.iloc[first]!r:.60} as "
            f"{values.iloc[first]} in data row {first + 1} and as {values.iloc[second]} in data row {second + 1}: "
            "leave one out"
        )
    keep = np.delete(order, same + 1)
    if len(same):
        notes = [*notes, f"{counted(len(same), 'repeated row')} of {path.name} left out"]
    return _named(path, list(ids), rows[keep], columns[keep], numbers[keep], list(names), notes)


def _read_json(path: Path, ids: Sequence[str] | None) -> NodeTable:
    if path.is_file():
        check_size_fits(path, _JSON_FACTOR)
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(found, list) for found in content.values()):
        raise InputError(f'{path} is not of the form {{"node": [its features], ...}}: give a list for each node')
    number_of: dict[str, int] = {}
    columns: list[int] = []
    lengths: list[int] = []
    repeated = 0
    for node, found in content.items():
        wrong = [feature for feature in found if not isinstance(feature, str | int) or isinstance(feature, bool)]
        if wrong:
            raise InputError(
                f"{path}: feature {wrong[0]!r:.60} of node {node!r:.60} is neither a whole number nor text: correct it"
            )
        names = dict.fromkeys(str(feature) for feature in found)
        repeated += len(names) < len(found)
        columns += [number_of.setdefault(name, len(number_of)) for name in names]
        lengths.append(len(names))
    nodes = [node.strip() for node in content]
    if len(set(nodes)) < len(nodes) or "" in nodes:
        raise InputError(f"{path} has a node that is blank or stands twice but for spaces: give each node its own name")
    _check_shared(nodes, ids, path)
    rows = np.repeat(np.arange(len(nodes)), lengths)
    notes = [f"features that a node has more than once are set once ({counted(repeated, 'node')})"] * bool(repeated)
    ones = np.ones(len(columns), dtype=np.float32)
    return _named(path, nodes, rows, np.array(columns, dtype=np.int64), ones, list(number_of), notes)


def read_json(path: Path) -> Any:
    """The content of a json file, packed or not; a name that stands twice in an object is refused.

    Raises:
        InputError: when it cannot be read.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise InputError(f"{path}: {twice!r:.60} stands twice: leave one out")
        return found

    with open_bytes(path) as file:
        try:
            return json.loads(file.read().decode("utf-8-sig"), object_pairs_hook=unique)
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} cannot be read as json ({error}): look at that place") from None


def _named(
    path: Path,
    ids: list[str],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    values: NDArray[np.float32],
    names: list[str],
    notes: list[str],
) -> NodeTable:
    """A table whose features are in ascending order: of their numbers when all are numbers."""
    as_numbers = all(name.isascii() and name.isdecimal() for name in names)
    order = sorted(range(len(names)), key=lambda place: (int(names[place]) if as_numbers else 0, names[place]))
    place_of = np.empty(len(names), dtype=np.int64)
    place_of[order] = np.arange(len(names))
    active = csr_matrix((values, (rows, place_of[columns])), shape=(len(ids), len(names)), dtype=np.float32)
    active.eliminate_zeros()
    return NodeTable(path.name, ids, _no_columns(len(ids)), active, [names[place] for place in order], notes)


def _read_npz(path: Path, ids: Sequence[str] | None) -> NodeTable:
    if not path.is_file():
        with open_bytes(path):  # says what is wrong
            pass
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > 100 * path.stat().st_size and size > 1 << 30:
            raise InputError(f"{path} unpacks to {size / 1e9:,.1f} GB, over 100 times its size: save it as csv")
        with np.load(path, allow_pickle=False) as arrays:
            names = [None] if arrays.files is None else list(arrays.files)
            node_ids = np.asarray(arrays["ids"]) if "ids" in names else None
            dense = next((name for name in _DENSE_ARRAYS if name in names), None)
            active = csr_matrix(_dense(arrays[dense], dense, path)) if dense else _sparse(path, names)
    except InputError:
        raise
    except (ValueError, OSError, KeyError, TypeError, IndexError, zipfile.BadZipFile, MemoryError) as error:
        if "allow_pickle" in str(error) or "pickled" in str(error):
            raise InputError(
                f"{path} holds Python objects, which are never loaded: save arrays of numbers or text"
            ) from None
        raise InputError(f"{path} cannot be read as npz ({error}): save it anew with numpy or scipy") from None
    if not np.isfinite(active.data).all():
        row = int(np.searchsorted(active.indptr, np.flatnonzero(~np.isfinite(active.data))[0], side="right"))
        raise InputError(f"{path}, row {row}: a feature is not a finite number: correct it")
    notes = []
    if node_ids is None:
        nodes = [str(row) for row in range(active.shape[0])]
        notes.append(f"{path.name} has no 'ids': its rows are the nodes 0 to {len(nodes) - 1}")
    else:
        nodes = [str(node).strip() for node in node_ids.ravel().tolist()]
    if len(nodes) != active.shape[0] or len(set(nodes)) < len(nodes) or "" in nodes:
        raise InputError(f"{path}: 'ids' must name each of the {active.shape[0]:,} rows, each otherwise")
    _check_shared(nodes, ids, path)
    return NodeTable(path.name, nodes, _no_columns(len(nodes)), active, notes=notes)


def _dense(array: NDArray[Any], name: str, path: Path) -> NDArray[np.float32]:
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise InputError(
            f"{path}: array {name!r} is {array.dtype} of shape {array.shape}: give numbers, a row per node"
        )
    return array.astype(np.float32)


def _sparse(path: Path, names: list[Any]) -> csr_matrix:
    if "format" not in names:
        raise InputError(
            f"{path} has the arrays {', '.join(map(repr, names)) or 'none'}: give 'x' or 'features', or a matrix saved "
            "with scipy.sparse.save_npz"
        )
    matrix = load_npz(path)  # never unpickles
    # Indices that lie outside would be read as memory that is not ours.
    if matrix.format in ("csr", "csc", "bsr"):
        matrix.check_format(full_check=True)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
        raise InputError(f"{path} holds {matrix.dtype} of shape {matrix.shape}: give numbers, a row per node")
    entries = coo_matrix(matrix)
    entries.sum_duplicates()
    return csr_matrix(entries, dtype=np.float32)


def _check_shared(nodes: list[str], ids: Sequence[str] | None, path: Path) -> None:
    if ids and nodes and set(ids).isdisjoint(nodes):
        raise InputError(
            f"{path}: none of its {len(nodes):,} nodes (first {nodes[0]!r:.60}) is a node of the edges "
            f"(first {ids[0]!r:.60}): give the features of the same graph"
        )


def _no_columns(rows: int) -> pd.DataFrame:
    return pd.DataFrame(index=pd.RangeIndex(rows))
