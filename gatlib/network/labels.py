"""The labels of nodes, joined on their ids, never taken by their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gatlib.errors import InputError
from gatlib.network.features import first_rows
from gatlib.network.network import NodeTable
from gatlib.network.text_tables import ID_COLUMNS, id_column_of, need_column, read_text_table

_BLANK = ("", "nan")


@dataclass(frozen=True)
class NodeLabels:
    """Labels, one for each of ``ids``."""

    ids: list[str]  # those that were given, then those that stand here only
    labels: list[str | None]  # None where unlabelled
    parts: list[str | None] | None  # the cells of the split column, None where blank
    table: NodeTable  # the nodes of the file and its other columns, for the attributes of the network


def read_labels(
    path: Path,
    target: str,
    id_column: str | None = None,
    ids: Sequence[str] | None = None,
    *,
    attributes: bool = False,
    split: str | None = None,
) -> NodeLabels:
    """The labels in a table with a row per node, in any order.

    A blank label leaves the node unlabelled. Rows of one node must agree, or all but one be blank.

    Args:
        path: ``.csv``, ``.tsv`` or ``.txt``, also ``.gz``.
        target: the column of the labels.
        id_column: the column of the node ids; else that of :data:`gatlib.network.text_tables.ID_COLUMNS` which names
            most of ``ids``.
        ids: known nodes. Nodes that only this file names are added behind them.
        attributes: take the other columns, ids aside, as attributes.
        split: a column that holds train, valid or test.

    Raises:
        InputError: the file cannot be read or lacks a column; no id is one of ``ids``; rows of one node contradict
            each other; all labels are blank.
    """
    frame = read_text_table(path)
    target = need_column(frame, target, path)
    split = None if split is None else need_column(frame, split, path)
    column, notes = id_column_of(frame, path, id_column, ids)
    if column == target:
        raise InputError(f"{path}: column {target!r} is both the node id and the target: name another with --id")
    label_of = _one_per_node(list(frame[column]), list(frame[target]), "label", path)
    if not label_of:
        raise InputError(f"{path}: target column {target!r} has no labels")
    part_of = None if split is None else _one_per_node(list(frame[column]), list(frame[split]), "split", path)
    all_ids = list(dict.fromkeys([*(ids or ()), *frame[column]]))
    used = {column, target, split}
    # Another column of ids numbers the same nodes and says nothing of them.
    others = [str(name) for name in frame.columns if name not in used and str(name).lower() not in ID_COLUMNS]
    rows, notes = first_rows(frame[[column, *(others if attributes else ())]], column, path, notes)
    table = NodeTable(
        path.name, list(rows[column]), rows.drop(columns=column).replace({"": None}).astype(object), notes=notes
    )
    parts = None if part_of is None else [part_of.get(node) for node in all_ids]
    return NodeLabels(all_ids, [label_of.get(node) for node in all_ids], parts, table)


def read_known_labels(path: Path, target: str, ids: Sequence[str], id_column: str | None = None) -> list[str | None]:
    """The labels in a table of the nodes of a network, None where it has none.

    Args:
        path, target, id_column: as :func:`read_labels` takes them.
        ids: the nodes.

    Raises:
        InputError: as :func:`read_labels`; the file names a node that there is not.
    """
    found = read_labels(path, target, id_column, ids)
    if len(found.ids) > len(ids):
        raise InputError(f"{path}: node {found.ids[len(ids)]!r:.60} is not in the network: leave its row out")
    return found.labels


def _one_per_node(nodes: Sequence[str], cells: Sequence[str], what: str, path: Path) -> dict[str, str]:
    """The cell of each node that has one.

    Raises:
        InputError: when two rows of a node differ.
    """
    row_of: dict[str, int] = {}
    for row, (node, cell) in enumerate(zip(nodes, cells, strict=True)):
        if cell.lower() in _BLANK:
            continue
        before = row_of.setdefault(node, row)
        if cells[before] != cell:
            raise InputError(
                f"{path}: node {node!r:.60} has {what} {cells[before]!r:.60} in data row {before + 1} and {cell!r:.60} "
                f"in data row {row + 1}: leave one out"
            )
    return {node: cells[row] for node, row in row_of.items()}
