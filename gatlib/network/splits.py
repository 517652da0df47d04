"""Splits of the labelled nodes of one graph into train, valid and test."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gatlib.data.splits import PART_OF_WORD, SPLIT_NAMES, Split
from gatlib.errors import InputError
from gatlib.network.network import counted
from gatlib.network.text_tables import id_column_of, need_column, read_text_table

RANDOM = "random"


def node_split(
    labels: Sequence[str | None],
    split: str = RANDOM,
    seed: int = 0,
    *,
    ids: Sequence[str],
    parts: Sequence[str | None] | None = None,
    fractions: tuple[float, float] = (0.6, 0.2),
) -> tuple[Split, list[str]]:
    """The rows of the nodes in train, valid and test, and notes. Nodes without a label are in no part.

    Args:
        labels: one per node, None where unlabelled.
        split: ``random``, the name of the column that ``parts`` was, or a csv file with the columns ``node`` and
            ``split``. ``parts`` goes before a file.
        seed: of the random split; the same seed gives the same split.
        ids: of the nodes, for a file and for errors.
        parts: train, valid or test per node; None leaves the node out.
        fractions: sizes of train and valid in a random split; test takes the rest.

    Raises:
        InputError: no such file; an unknown word or node; a node in two parts; an empty part; one class only.
    """
    if len(set(labels) - {None}) < 2:
        found = next((repr(label) for label in labels if label is not None), "none")
        raise InputError(f"the labels have fewer than two classes ({found:.60}): two are needed to learn")
    if split == RANDOM and parts is None:
        return stratified_split(labels, seed, fractions)
    if parts is None:
        return _checked(labels, _read_parts(Path(split), ids), split)
    words = [part_of(text, f"split column {split!r}, node {node!r:.60}") for node, text in zip(ids, parts, strict=True)]
    return _checked(labels, words, f"split column {split!r}")


def stratified_split(
    labels: Sequence[str | None], seed: int, fractions: tuple[float, float] = (0.6, 0.2)
) -> tuple[Split, list[str]]:
    """Each class is divided at random by ``fractions``, to the nearest whole node; its first node goes to train.

    Raises:
        InputError: when a part is empty.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        if label is not None:
            rows_of[label].append(row)
    generator = np.random.default_rng(seed)
    part_of_row: list[str | None] = [None] * len(labels)
    notes = []
    for label in sorted(rows_of):  # in any order of the nodes the classes come in the same order
        rows = generator.permutation(rows_of[label])
        first = max(1, round(fractions[0] * len(rows)))
        second = max(first, round(sum(fractions) * len(rows)))
        for place, row in enumerate(rows):
            part_of_row[row] = "train" if place < first else "valid" if place < second else "test"
        if len(rows) == 1:
            notes.append(f"class {label!r:.60} has one node, which is in train: it cannot be judged")
    split, more = _checked(labels, part_of_row, "the random split")
    return split, notes + more


def part_of(text: str | None, where: str) -> str | None:
    """``train``, ``valid`` or ``test`` of a cell, None of a blank one.

    Raises:
        InputError: when it is another word.
    """
    word = "" if text is None else text.strip().lower()
    if word and word not in PART_OF_WORD:
        raise InputError(f"{where}: {text!r:.60} is not train, valid or test")
    return PART_OF_WORD.get(word)


def _read_parts(path: Path, ids: Sequence[str]) -> list[str | None]:
    frame = read_text_table(path)
    part_column = need_column(frame, "split", path)
    node_column, _ = id_column_of(frame, path, None, ids)
    row_of_node = {node: row for row, node in enumerate(ids)}
    parts: list[str | None] = [None] * len(ids)
    for row, (node, text) in enumerate(zip(frame[node_column], frame[part_column], strict=True), start=1):
        where = f"{path}, data row {row}"
        part = part_of(text, where)
        if node not in row_of_node:
            raise InputError(f"{where}: there is no node {node!r:.60} in the graph: leave the row out")
        before = parts[row_of_node[node]]
        if part is not None and before not in (None, part):
            raise InputError(f"{where}: node {node!r:.60} is in {part} here and in {before} before: leave one out")
        parts[row_of_node[node]] = part or before
    return parts


def _checked(labels: Sequence[str | None], part_of_row: Sequence[str | None], where: str) -> tuple[Split, list[str]]:
    rows: dict[str, list[int]] = {name: [] for name in SPLIT_NAMES}
    for row, (label, part) in enumerate(zip(labels, part_of_row, strict=True)):
        if label is not None and part is not None:
            rows[part].append(row)
    empty = [name for name in SPLIT_NAMES if not rows[name]]
    if empty:
        raise InputError(f"{where} has no labelled {' and no '.join(empty)} nodes: each part needs some")
    learned = {labels[row] for row in rows["train"]}
    unseen = sorted({str(labels[row]) for name in ("valid", "test") for row in rows[name]} - learned)
    notes = [f"class {unseen[0]!r:.60} has no node in train: the model cannot predict it"] if unseen else []
    missed = sum(label is not None for label in labels) - sum(map(len, rows.values()))
    if missed:
        notes.append(f"{counted(missed, 'labelled node')} in no part of the split")
    return Split(*(np.array(rows[name], dtype=np.int64) for name in SPLIT_NAMES)), notes
